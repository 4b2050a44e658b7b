/** Images out of a real registry behind TLS of a private authority and htpasswd, pushed there by oras, signed by cosign. */
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createBlobStore } from '../../src/adapters/blob-store/blob-store.ts';
import { AdapterError } from '../../src/adapters/errors.ts';
import { createLayoutSource } from '../../src/adapters/oci-layout/layout-source.ts';
import { createCredentialLookup } from '../../src/adapters/registry/credentials.ts';
import { createRegistrySource, type RegistrySourceOptions } from '../../src/adapters/registry/registry-source.ts';
import { digestOf } from '../../src/core/digest.ts';
import type { Descriptor } from '../../src/formats/oci/types.ts';
import { createContent, type ImageContent, pseudoRandom, writeLayout } from '../support/image-content.ts';
import { expectCode, present } from '../support/image-source-suite.ts';
import { createPrivateRegistry, type PrivateRegistry } from '../support/private-registry.ts';
import { temporaryFolder } from '../support/temporary.ts';

const run = promisify(execFile);
const PLATFORMS = ['linux/arm64'];
const LARGE_BYTES = 48 * 1024 * 1024;

let folder: string;
let registry: PrivateRegistry;
let content: ImageContent;
let index: Descriptor;
let reference: string;

/** A program with the registry's credentials, its authority, and a home of its own. */
async function program(name: string, ...args: string[]): Promise<string> {
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    DOCKER_CONFIG: registry.dockerConfig,
    SSL_CERT_FILE: registry.caFile,
    COSIGN_PASSWORD: 'throw-away',
    COSIGN_YES: 'true',
  };
  return (await run(name, args, { cwd: folder, env })).stdout;
}

async function newSource(options: Partial<RegistrySourceOptions> = {}) {
  const storeFolder = await temporaryFolder();
  const source = createRegistrySource({
    store: createBlobStore(storeFolder, { resume: { attempts: 60, baseDelayMs: 50, maxDelayMs: 500 } }),
    registries: { [registry.host]: { caFile: registry.caFile } },
    credentials: createCredentialLookup({ files: [join(registry.dockerConfig, 'config.json')] }),
    retry: { attempts: 60, baseDelayMs: 50, maxDelayMs: 500 },
    ...options,
  });
  onTestFinished(() => source.close());
  return { source, storeFolder };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-images-'));
  registry = await createPrivateRegistry(join(folder, 'registry'));
  await registry.start();
  content = createContent();
  const image = (architecture: string) =>
    content.image({
      platform: { os: 'linux', architecture },
      layers: [content.blob(pseudoRandom(architecture, 1_000_000)), content.blob('shared')],
    });
  index = content.index([image('amd64'), image('arm64')]);
  content.tag('1.0', index);
  const large = content.image({ layers: [content.blob(pseudoRandom('large', LARGE_BYTES))] });
  content.tag('large', large);
  await writeLayout(join(folder, 'layout'), content, (tag) => tag);
  reference = `${registry.host}/cms/web:1.0`;
  for (const tag of ['1.0', 'large']) {
    await program('oras', 'cp', '--from-oci-layout', `layout:${tag}`, `${registry.host}/cms/web:${tag}`);
  }
});

afterAll(async () => {
  await registry?.kill();
  await rm(folder, { recursive: true, force: true });
});

test('a private registry is trusted with its authority, and opens with the credentials of config.json', async () => {
  const request = { reference, platforms: PLATFORMS };
  const { source } = await newSource();
  const image = present(await source.acquire(request));
  expect(image.root.digest).toBe((await program('crane', 'digest', reference)).trim());
  expect(image.root.digest).toBe(index.digest);
  for (const blob of image.blobs) expect(digestOf(await readFile(blob.path))).toBe(blob.digest);
  // Each way to have it wrong is told apart.
  const untrusted = await newSource({ registries: {} });
  await expectCode(untrusted.source.acquire(request), AdapterError, 'REGISTRY_UNTRUSTED');
  const anonymous = await newSource({ credentials: async () => undefined });
  await expectCode(anonymous.source.acquire(request), AdapterError, 'REGISTRY_UNAUTHORIZED');
  const wrong = await newSource({
    credentials: async () => ({ kind: 'password', username: 'ann', password: 'wrong' }),
  });
  await expectCode(wrong.source.acquire(request), AdapterError, 'REGISTRY_UNAUTHORIZED');
  const absent = source.acquire({ reference: `${registry.host}/cms/web:2.0`, platforms: PLATFORMS });
  await expectCode(absent, AdapterError, 'IMAGE_NOT_FOUND');
  const notPem = join(folder, 'not.pem');
  await writeFile(notPem, 'no certificate');
  const unreadable = await newSource({ registries: { [registry.host]: { caFile: notPem } } });
  await expectCode(unreadable.source.acquire(request), AdapterError, 'CA_FILE_INVALID');
});

test('the authority may be given for all registries as well', async () => {
  const { source } = await newSource({ registries: {}, caFile: registry.caFile });
  expect(await source.acquire({ reference, platforms: PLATFORMS })).toBeDefined();
});

test('what oras attaches and cosign signs comes along, and pins to the same without the registry', async () => {
  const signed = `${registry.host}/cms/signed:1.0`;
  await program('oras', 'cp', reference, signed);
  await writeFile(join(folder, 'sbom.json'), '{"spdxVersion":"SPDX-2.3"}');
  const file = 'sbom.json:application/spdx+json';
  await program('oras', 'attach', '--artifact-type', 'application/spdx+json', signed, file);
  await program('cosign', 'generate-key-pair');
  const mediaType = 'application/vnd.dev.sigstore.signingconfig.v0.2+json';
  await writeFile(join(folder, 'signing.json'), JSON.stringify({ mediaType, rekorTlogConfig: {}, tsaConfig: {} }));
  const root = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}';
  await writeFile(join(folder, 'root.json'), root);
  const offline = ['--signing-config', 'signing.json', '--trusted-root', 'root.json'];
  await program('cosign', 'sign', '--key', 'cosign.key', ...offline, `${registry.host}/cms/signed@${index.digest}`);

  const { source, storeFolder } = await newSource();
  const request = { reference: signed, platforms: PLATFORMS };
  const image = present(await source.acquire(request));
  expect(image.attachments.map(({ artifactType }) => artifactType).sort()).toEqual([
    'application/spdx+json',
    'application/vnd.dev.sigstore.bundle.v0.3+json',
  ]);
  for (const { subject } of image.attachments) expect(subject).toBe(index.digest);
  const attachments = image.attachments.map(({ descriptor }) => descriptor.digest);
  const offlineSource = createRegistrySource({
    store: createBlobStore(storeFolder),
    // Nobody listens there.
    proxy: { httpsProxy: 'http://127.0.0.1:1' },
    retry: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1 },
  });
  expect(await offlineSource.acquire({ ...request, pinned: { digest: index.digest, attachments } })).toEqual(image);

  // The same image as a layout that oras wrote, with what hangs on it.
  const layout = join(folder, 'copied');
  await program('oras', 'cp', '-r', signed, '--to-oci-layout-path', layout, signed);
  const fromLayout = present(await createLayoutSource(layout).acquire(request));
  const withoutPaths = ({ blobs, ...rest }: typeof image) => ({
    ...rest,
    blobs: blobs.map(({ path: _path, ...blob }) => blob),
  });
  expect(withoutPaths(fromLayout)).toEqual(withoutPaths(image));
});

test('a registry that is killed in the middle of a layer and comes back is read on', async () => {
  const { source, storeFolder } = await newSource();
  let received = 0;
  let killed: Promise<void> | undefined;
  const onBytes = (bytes: number): void => {
    received += bytes;
    if (received > LARGE_BYTES / 4) killed ??= registry.kill().then(() => registry.start());
  };
  const request = { reference: `${registry.host}/cms/web:large`, platforms: ['linux/amd64'] };
  const image = present(await source.acquire(request, { onBytes }));
  await killed;
  expect(killed).toBeDefined();
  for (const blob of image.blobs) expect(digestOf(await readFile(blob.path))).toBe(blob.digest);
  // Nothing was fetched twice: the counted bytes are those of the blobs, manifests aside.
  const content = image.manifests.flatMap(({ config, layers }) => [config, ...layers]);
  expect(received).toBe(content.reduce((sum, { size }) => sum + size, 0));
  expect((await readdir(join(storeFolder, 'blobs', 'sha256'))).filter((name) => name.includes('.'))).toEqual([]);
});

test('a proxy is used where it is set, with its own password, and not for the hosts that it is not for', async () => {
  const tunnels: string[] = [];
  const secret = `Basic ${Buffer.from('proxy-user:proxy-password').toString('base64')}`;
  const proxy = createServer((_request, response) => response.writeHead(500).end());
  proxy.on('connect', (request, socket) => {
    socket.on('error', () => {});
    if (request.headers['proxy-authorization'] !== secret) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      return;
    }
    tunnels.push(request.url ?? '');
    const [host, port] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  const { port } = proxy.address() as AddressInfo;
  const request = { reference, platforms: PLATFORMS };
  const httpsProxy = `http://proxy-user:proxy-password@127.0.0.1:${port}`;

  const through = await newSource({ proxy: { httpsProxy } });
  expect(await through.source.acquire(request)).toBeDefined();
  expect(new Set(tunnels)).toEqual(new Set([registry.host]));

  tunnels.length = 0;
  const around = await newSource({ proxy: { httpsProxy, noProxy: 'elsewhere.example,127.0.0.1' } });
  expect(await around.source.acquire(request)).toBeDefined();
  expect(tunnels).toEqual([]);

  const refused = await newSource({ proxy: { httpsProxy: `http://127.0.0.1:${port}` } });
  const failure = await refused.source.acquire(request).catch((error: unknown) => error as AdapterError);
  expect(failure).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
});

test('a full disk ends in NO_SPACE and leaves nothing, and the store is good afterwards', async () => {
  const mounted = join(folder, 'small-disk');
  await mkdir(mounted);
  const put = join(import.meta.dirname, '../unit/adapters/blob-store/put-process.ts');
  const script = [
    `mount -t tmpfs -o size=1m tmpfs "$0"`,
    `"$1" "$2" "$0" blob 2500000`,
    `find "$0" -type f | wc -l`,
    `"$1" "$2" "$0" blob 500000`,
    `find "$0" -type f | wc -l`,
  ].join('\n');
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const child = spawn('unshare', [...asRoot, '--mount', 'sh', '-c', script, mounted, process.execPath, put], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  expect((await text(child.stdout)).trim().split(/\s+/)).toEqual(['NO_SPACE', '0', '[0]', '1']);
});
