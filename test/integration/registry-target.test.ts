/** Images into the distribution project's registry as people run it, and on its bad days; looked at with stock tools. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AdapterError } from '../../src/adapters/errors.ts';
import { createCredentialLookup } from '../../src/adapters/registry/credentials.ts';
import {
  createRegistryTarget,
  type RegistryTarget,
  type RegistryTargetSettings,
  type RegistryTargetWarning,
} from '../../src/adapters/registry-target/registry-target.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { parseRegistryAddress } from '../../src/formats/oci/registry-address.ts';
import type { TargetImage } from '../../src/ports/image-target.ts';
import { createContent, type ImageContent, pseudoRandom } from '../support/image-content.ts';
import { expectCode } from '../support/image-source-suite.ts';
import { mountTmpfs } from '../support/mounts.ts';
import { createPrivateRegistry, type PrivateRegistry } from '../support/private-registry.ts';
import { startRegistryProcess } from '../support/registry-process.ts';
import { attachmentOf, blobsOf, ELSEWHERE, HERE, streamOf, targetImage } from '../support/target-images.ts';
import { temporaryFolder } from '../support/temporary.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const WEB = 'registry.example/cms/web:1.4.0';
const SHOP = 'registry.example/cms/shop:1.4.0';
const RETRY = { attempts: 60, baseDelayMs: 50, maxDelayMs: 500 };

function open(host: string, settings: Partial<RegistryTargetSettings> = {}): RegistryTarget {
  const target = createRegistryTarget({ address: parseRegistryAddress(host), retry: RETRY, ...settings });
  onTestFinished(() => target.close());
  return target;
}

/** With the credentials and the authority of a private registry. */
function openPrivate(registry: PrivateRegistry, settings: Partial<RegistryTargetSettings> = {}): RegistryTarget {
  return open(registry.host, {
    caFile: registry.caFile,
    credentials: createCredentialLookup({ files: [join(registry.dockerConfig, 'config.json')] }),
    ...settings,
  });
}

function imageWith(content: ImageContent, reference: string, seed: string, sizeBytes: number): TargetImage {
  return targetImage(content, reference, content.image({ layers: [content.blob(pseudoRandom(seed, sizeBytes))] }));
}

/** Every blob of an image, as crane reads it, has its digest. */
async function expectWhole(reference: string, tool: (name: string, ...args: string[]) => Promise<Buffer>) {
  const { config, layers } = JSON.parse(String(await tool('crane', 'manifest', reference)));
  for (const { digest } of [config, ...layers]) {
    const bytes = await tool('crane', 'blob', `${reference.slice(0, reference.lastIndexOf(':'))}@${digest}`);
    expect(digestOf(bytes)).toBe(digest);
  }
}

/** The blobs in parts of a MiB; `onPart` is told how much was handed out. */
async function* blobsFrom(
  content: ImageContent,
  images: readonly TargetImage[],
  onPart: (bytes: number) => unknown = () => {},
) {
  let given = 0;
  for await (const blob of streamOf(content, blobsOf(images))) {
    const bytes = content.blobs.get(blob.digest) as Uint8Array;
    const parts = async function* () {
      for (let at = 0; at < bytes.length; at += MIB) {
        const part = bytes.subarray(at, at + MIB);
        given += part.length;
        await onPart(given);
        yield part;
      }
    };
    yield { ...blob, bytes: parts() };
  }
}

describe.each(['htpasswd', 'token'] as const)('a private registry behind TLS, with %s', (auth) => {
  let folder: string;
  let registry: PrivateRegistry;
  const tool = async (name: string, ...args: string[]): Promise<Buffer> => {
    const env = {
      PATH: process.env.PATH,
      HOME: folder,
      DOCKER_CONFIG: registry.dockerConfig,
      SSL_CERT_FILE: registry.caFile,
    };
    return (await run(name, args, { cwd: folder, env, encoding: 'buffer', maxBuffer: 1 << 28 })).stdout;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portolan-target-'));
    registry = await createPrivateRegistry(join(folder, 'registry'), { auth });
    await registry.start();
  });
  afterAll(async () => {
    await registry?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('takes images that share blobs, with what hangs on them, for other tools to find', async () => {
    const content = createContent();
    const root = content.image({ layers: [content.blob(pseudoRandom(auth, 9 * MIB)), content.blob('small')] });
    const images = [targetImage(content, WEB, root, [attachmentOf(content, root)]), targetImage(content, SHOP, root)];
    const target = openPrivate(registry);
    expect(await target.check({ images })).toEqual([]);
    await target.write(images, blobsFrom(content, images));
    for (const name of ['web', 'shop']) {
      const reference = `${registry.host}/cms/${name}:1.4.0`;
      expect(String(await tool('crane', 'digest', reference)).trim()).toBe(root.digest);
      await expectWhole(reference, tool);
    }
    const found = String(await tool('oras', 'discover', '--format', 'json', `${registry.host}/cms/web:1.4.0`));
    expect(found).toContain(images[0]?.attachments[0]);
    expect((await openPrivate(registry).survey(images)).images).toEqual(new Set([WEB, SHOP]));
    expect(await target.remove(images)).toHaveLength(2);
    expect((await target.survey(images)).images.size).toBe(0);
  });

  test('tells who may not from who cannot', async () => {
    const images = [{ reference: WEB }];
    const codes = async (target: RegistryTarget, of = images) =>
      (await target.check({ images: of })).map((problem) => problem.code);
    expect(await codes(openPrivate(registry, { credentials: async () => undefined }))).toEqual([
      'REGISTRY_UNAUTHORIZED',
    ]);
    const wrong = async () => ({ kind: 'password', username: 'ann', password: 'wrong' }) as const;
    expect(await codes(openPrivate(registry, { credentials: wrong }))).toEqual(['REGISTRY_UNAUTHORIZED']);
    const elsewhere = await codes(openPrivate(registry), [{ reference: 'registry.example/others/web:1' }]);
    expect(elsewhere).toEqual(auth === 'token' ? ['REGISTRY_UNAUTHORIZED'] : []);
    expect(await codes(open(registry.host))).toEqual(['REGISTRY_UNTRUSTED']);
  });

  test('may be killed in the middle of a large layer and come back: the upload goes on', async () => {
    const content = createContent();
    // A repository that no other test opens uploads in: the registry keeps a folder of each that is given up.
    const image = imageWith(content, 'registry.example/cms/killed:1.4.0', `killed ${auth}`, 96 * MIB);
    let killed: Promise<void> | undefined;
    await openPrivate(registry).write(
      [image],
      blobsFrom(content, [image], (bytes) => {
        if (bytes > 60 * MIB) killed ??= registry.kill().then(() => registry.start());
      }),
    );
    expect(killed).toBeDefined();
    await killed;
    await expectWhole(`${registry.host}/cms/killed:1.4.0`, tool);
    const uploads = join(folder, 'registry/storage/docker/registry/v2/repositories/cms/killed/_uploads');
    expect(await readdir(uploads)).toEqual([]);
  });
});

test.each([40, 7])('a full disk is said of layers of %i MiB, and the next run has room again', async (sizeMiB) => {
  const folder = await temporaryFolder();
  await mountTmpfs(folder, 32);
  const registry = await startRegistryProcess(folder);
  onTestFinished(() => registry.close());
  const content = createContent();
  const images = Array.from({ length: sizeMiB > 32 ? 1 : 6 }, (_, number) =>
    imageWith(content, `r.example/web:${number}`, `${sizeMiB} ${number}`, sizeMiB * MIB),
  );
  const target = open(`http://${registry.host}`);
  await expectCode(target.write(images, blobsFrom(content, images)), AdapterError, 'REGISTRY_FULL');
  expect((await target.survey(images)).images.size).toBe(0);
  if (sizeMiB < 32) return;
  // The registry itself lets go of what it has open when it ends.
  await registry.close();
  const again = await startRegistryProcess(folder);
  onTestFinished(() => again.close());
  const small = imageWith(content, 'r.example/small:1', 'small', 9 * MIB);
  const afterwards = open(`http://${again.host}`);
  await afterwards.write([small], blobsFrom(content, [small]));
  expect((await afterwards.survey([small])).images.size).toBe(1);
});

test('an index of which only some platforms are carried is narrowed for a registry as it is by default', async () => {
  const folder = await temporaryFolder();
  const registry = await startRegistryProcess(folder);
  onTestFinished(() => registry.close());
  const content = createContent();
  const here = content.image({ platform: HERE });
  const elsewhere = content.image({ platform: ELSEWHERE });
  const root = content.index([elsewhere, here]);
  content.blobs.delete(elsewhere.digest);
  const image = targetImage(content, WEB, root);
  const warnings: RegistryTargetWarning[] = [];
  const target = open(`http://${registry.host}/mirror`, { onWarning: (warning) => warnings.push(warning) });
  await target.write([image], blobsFrom(content, [image]));
  const reference = `${registry.host}/mirror/cms/web:1.4.0`;
  const { stdout } = await run('crane', ['digest', '--insecure', reference]);
  expect(warnings).toMatchObject([{ expected: root.digest, found: stdout.trim() }]);
  await run('crane', [
    'pull',
    '--insecure',
    '--platform',
    `linux/${HERE.architecture}`,
    reference,
    join(folder, 'pulled.tar'),
  ]);
  expect((await target.survey([image])).images).toEqual(new Set([WEB]));
  const pinned = { ...image, reference: `registry.example/cms/web@${root.digest}` };
  await expectCode(target.write([pinned], blobsFrom(content, [pinned])), AdapterError, 'INDEX_REFUSED');
});

test('an upload that goes on at another host goes there without our credentials', async () => {
  const folder = await temporaryFolder();
  const registry = await createPrivateRegistry(join(folder, 'certificates'));
  const tls = {
    key: await readFile(join(folder, 'certificates/server.key'), 'utf8'),
    cert: await readFile(registry.caFile.replace('ca.pem', 'server.pem'), 'utf8'),
  };
  const seen: (string | undefined)[] = [];
  const received: Buffer[] = [];
  const storage = createServer(tls, async (request, response) => {
    seen.push(request.headers.authorization);
    for await (const chunk of request as AsyncIterable<Buffer>) received.push(chunk);
    response.writeHead(201).end();
  });
  const front = createServer(tls, (request, response) => {
    request.resume();
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    } else if (request.method === 'POST') {
      const { port } = storage.address() as AddressInfo;
      response.writeHead(202, { location: `https://127.0.0.1:${port}/upload?signature=secret` }).end();
    } else {
      response.writeHead(request.method === 'PUT' ? 201 : 404).end();
    }
  });
  for (const server of [storage, front]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  const content = createContent();
  const layer = Buffer.from(pseudoRandom('elsewhere', 5000));
  const image = targetImage(content, WEB, content.image({ layers: [content.blob(layer)] }));
  const target = open(`127.0.0.1:${(front.address() as AddressInfo).port}`, {
    caFile: registry.caFile,
    credentials: async () => ({ kind: 'password', username: 'ann', password: 'secret' }),
  });
  await target.write([image], streamOf(content, blobsOf([image])));
  expect(seen).toEqual([undefined, undefined]);
  const wanted = image.blobs.filter(({ role }) => role !== 'image-manifest').map(({ digest }) => digest);
  expect(received.map((bytes) => digestOf(bytes) as Digest).toSorted()).toEqual(wanted.toSorted());
});
