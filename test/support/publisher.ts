import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { type Digest, digestOf, hexOf } from '../../src/core/digest.ts';
import { createContent, pseudoRandom, writeLayout } from './image-content.ts';
import {
  type PortolanEnded,
  type PortolanRunning,
  type ProgramOptions,
  portolan,
  startPortolan,
  succeed,
} from './program.ts';

export const PASSWORD = 'throw-away password';
const IMAGE = 'registry.example/demo/web:1.0';
const MIB = 1024 * 1024;

/** Files of the project that go into the bundle, by their path inside it. */
export const PROJECT_FILES: Readonly<Record<string, Uint8Array>> = {
  // More than two pieces of 1 MiB; less than one; nothing.
  'big.bin': pseudoRandom('big', 2 * MIB + 345_678),
  'small.txt': new TextEncoder().encode('small\n'),
  'empty.txt': new Uint8Array(),
};

/**
 * A publisher on a real disk: a project with a chart, an image layout, a module, configuration and files; a key pair by the
 * real cosign, identities by the real age-keygen; a cache and a home of its own. `dispose` removes everything.
 */
export async function createPublisher() {
  const root = await mkdtemp(join(tmpdir(), 'portolan-publisher-'));
  const at = (...names: string[]) => join(root, ...names);
  const env = { HOME: root, XDG_CACHE_HOME: at('cache'), COSIGN_PASSWORD: PASSWORD, PORTOLAN_JSON: undefined };
  // Node comes from the cache of the machine, not from the publisher's: fetching it is no part of these tests.
  const portolanEnv = { ...process.env, COSIGN_PASSWORD: PASSWORD };
  await writeProject(at('project'));
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env });
  await succeed('age-keygen', ['-o', at('key.txt')]);
  const cacheArgs = ['--cache', at('cache')];

  const medium = at('stick');
  const recipient = await recipientOf(at('key.txt'));
  const publisher = {
    root,
    at,
    /** For cosign and others: a home of its own, and the password. */
    env,
    medium,
    identity: at('key.txt'),
    trust: at('cosign.pub'),
    recipient,
    blobPath: (digest: string, folder = medium) => join(folder, 'blobs', 'sha256', hexOf(digest as Digest)),
    /** A new identity file by age-keygen. */
    async createIdentity(name: string, flags: readonly string[] = []) {
      await succeed('age-keygen', [...flags, '-o', at(name)]);
      return { path: at(name), recipient: await recipientOf(at(name)) };
    },
    /** Sets the version in bundle.yaml, and the text of a file. */
    async change(version: string, text = version) {
      await writeFile(at('project', 'bundle.yaml'), bundleYaml(version));
      await writeFile(at('project', 'files', 'small.txt'), text);
    },
    buildArgs(options: { readonly recipients?: readonly string[]; readonly medium?: string } = {}): string[] {
      return [
        ...['bundle', 'build', at('project'), '--out', options.medium ?? medium, '--sign-key', at('cosign.key')],
        ...(options.recipients ?? [recipient]).flatMap((recipient) => ['-r', recipient]),
        ...cacheArgs,
      ];
    },
    /** Builds by the real command line. */
    build(
      options: {
        readonly recipients?: readonly string[];
        readonly medium?: string;
        readonly args?: readonly string[];
      } = {},
      program: ProgramOptions = {},
    ): Promise<PortolanEnded> {
      return publisher.startBuild(options, program).ended;
    },
    startBuild(
      options: {
        readonly recipients?: readonly string[];
        readonly medium?: string;
        readonly args?: readonly string[];
      } = {},
      program: ProgramOptions = {},
    ): PortolanRunning {
      const env = { ...portolanEnv, ...program.env };
      return startPortolan([...publisher.buildArgs(options), ...(options.args ?? [])], { ...program, env });
    },
    verify(bundle: string = medium, args: readonly string[] = ['-i', at('key.txt')]): Promise<PortolanEnded> {
      return portolan(['bundle', 'verify', bundle, '--trust', publisher.trust, ...args]);
    },
    unpack(bundle: string, folder: string, args: readonly string[] = ['-i', at('key.txt')]): Promise<PortolanEnded> {
      return portolan(['bundle', 'unpack', bundle, folder, '--trust', publisher.trust, ...args]);
    },
    async dispose() {
      await rm(root, { recursive: true, force: true });
    },
  };
  return publisher;
}

export type Publisher = Awaited<ReturnType<typeof createPublisher>>;

async function recipientOf(identity: string): Promise<string> {
  return (await succeed('age-keygen', ['-y', identity])).trim();
}

const bundleYaml = (version: string) => `name: demo
version: ${version}
sequence: 1
platforms: [linux/amd64]
pieceSize: 1MiB
charts:
  - { name: web, path: chart, namespace: demo }
images:
  layouts: [images]
modules:
  - { name: core, path: modules/core }
configuration:
  json: [settings.json]
files:
${Object.keys(PROJECT_FILES)
  .map((path) => `  - { path: ${path}, source: files/${path} }`)
  .join('\n')}
`;

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }} }
spec:
  template:
    spec:
      containers:
        - { name: web, image: {{ .Values.image | quote }} }
`;

async function writeProject(folder: string): Promise<void> {
  const files: Record<string, string | Uint8Array> = {
    'bundle.yaml': bundleYaml('1.0.0'),
    'chart/Chart.yaml': 'apiVersion: v2\nname: web\nversion: 0.1.0\n',
    'chart/values.yaml': `image: ${IMAGE}\n`,
    'chart/templates/deployment.yaml': DEPLOYMENT,
    'modules/core/0001_notes.sql': 'CREATE TABLE notes (id bigint PRIMARY KEY);\n',
    'settings.json': '{"title": "demo"}\n',
  };
  for (const [path, bytes] of Object.entries(PROJECT_FILES)) files[`files/${path}`] = bytes;
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  const content = createContent();
  const layer = await tarOf({ 'srv/index.html': '<h1>demo</h1>\n', 'srv/noise.bin': pseudoRandom('noise', 300_000) });
  const config = {
    os: 'linux',
    architecture: 'amd64',
    config: { Cmd: ['/bin/true'] },
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
  };
  const image = content.image({
    layers: [content.blob(gzipSync(layer))],
    config: content.blob(JSON.stringify(config), 'application/vnd.oci.image.config.v1+json'),
  });
  content.tag('1.0', image);
  await writeLayout(join(folder, 'images'), content, () => IMAGE);
}

async function tarOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<Uint8Array> {
  const archive = pack();
  for (const [name, content] of Object.entries(files))
    archive.entry({ name, mtime: new Date(0) }, Buffer.from(content));
  archive.finalize();
  const parts: Uint8Array[] = [];
  for await (const part of archive) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

/** Every file below a folder, by its path, in base64. */
export async function snapshot(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.sort().map(async (path) => [path, await readFile(path, 'base64')] as const)));
}

/** The contents of the bundle's manifest that a tag names. */
export async function manifestOf(
  medium: string,
  tag: string,
): Promise<{ digest: Digest; layers: { digest: Digest; size: number }[] }> {
  const index = JSON.parse(await readFile(join(medium, 'index.json'), 'utf8'));
  const entry = index.manifests.find(
    ({ annotations }: { annotations?: Record<string, string> }) =>
      annotations?.['org.opencontainers.image.ref.name'] === tag,
  );
  const manifest = JSON.parse(await readFile(join(medium, 'blobs', 'sha256', hexOf(entry.digest)), 'utf8'));
  return { digest: entry.digest, layers: manifest.layers };
}
