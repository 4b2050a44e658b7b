import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import { folderScanCache } from '../../../../src/adapters/packages/scan-cache.ts';
import { scanImage } from '../../../../src/adapters/packages/scan-image.ts';
import { scanLayer } from '../../../../src/adapters/packages/scan-layer.ts';
import { digestFromHex, digestOf } from '../../../../src/core/digest.ts';
import { DATABASE_MAX_PACKAGES } from '../../../../src/formats/packages/package.ts';
import type { LocalBlob } from '../../../../src/ports/blobs.ts';
import type { AcquiredImage } from '../../../../src/ports/images.ts';

const OCI = 'application/vnd.oci.image.layer.v1.tar';
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-scan-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Entry = [name: string, content: string] | [name: string, type: 'symlink' | 'link' | 'directory', target: string];

async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const [name, second, target] of entries) {
    if (target === undefined) archive.entry({ name }, second);
    else archive.entry({ name, type: second as 'symlink', linkname: target });
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function blobOf(bytes: Uint8Array): Promise<LocalBlob> {
  const digest = digestFromHex(createHash('sha256').update(bytes).digest('hex'));
  const path = join(folder, digest.slice(7));
  await writeFile(path, bytes);
  return { digest, sizeBytes: bytes.length, path };
}

const scan = async (bytes: Uint8Array, mediaType = OCI) => scanLayer(await blobOf(bytes), mediaType);
const scanEntries = async (...entries: Entry[]) => scan(await tarOf(entries));
const namesOf = (layer: Awaited<ReturnType<typeof scanLayer>>) =>
  layer.files.flatMap((file) => ('packages' in file ? file.packages.map(({ name }) => name) : []));

const APK: Entry = ['lib/apk/db/installed', 'P:musl\nV:1.2.5-r9\nA:x86_64\nL:MIT\n\n'];
const NPM: Entry = ['./app/node_modules/@s/a/package.json', '{"name":"@s/a","version":"2.0.0","license":"MIT"}'];
const DISTROLESS: Entry = ['var/lib/dpkg/status.d/tzdata', 'Package: tzdata\nVersion: 2025b\nArchitecture: all\n'];
const RELEASE: Entry = ['etc/os-release', 'ID=alpine\nVERSION_ID=3.22.1\n'];
const NOISE: Entry = ['usr/bin/program', 'x'.repeat(300_000)];

test.each([
  [OCI, (bytes: Buffer) => bytes],
  [`${OCI}+gzip`, (bytes: Buffer) => gzipSync(bytes)],
  [`${OCI}+zstd`, (bytes: Buffer) => zstdCompressSync(bytes)],
  ['application/vnd.docker.image.rootfs.diff.tar.gzip', (bytes: Buffer) => gzipSync(bytes)],
  ['application/vnd.docker.image.rootfs.diff.tar', (bytes: Buffer) => bytes],
  // Engines go by the bytes, and so do mislabelled images in the world.
  [`${OCI}+gzip`, (bytes: Buffer) => zstdCompressSync(bytes)],
])('a layer of media type %s', async (mediaType, compress) => {
  const layer = await scan(compress(await tarOf([NOISE, APK, NPM, DISTROLESS, RELEASE])), mediaType);
  expect(layer).toMatchObject({ status: 'read', reasons: [], removed: [], emptied: [] });
  expect(namesOf(layer)).toEqual(['musl', '@s/a', 'tzdata']);
  expect(layer.files.at(-1)).toEqual({ path: 'etc/os-release', distribution: { id: 'alpine', versionId: '3.22.1' } });
});

test.each([
  ['encrypted', `${OCI}+gzip+encrypted`],
  ['media-type', 'application/vnd.in-toto+json'],
  ['media-type', 'application/vnd.oci.image.layer.v1.tar+br'],
])('%s: %s is not read, and that is said', async (reason, mediaType) => {
  expect(await scan(await tarOf([APK]), mediaType)).toMatchObject({ status: 'not-read', reasons: [reason], files: [] });
});

test('whiteouts and what replaces a folder are noted', async () => {
  const layer = await scanEntries(
    ['app/.wh.node_modules', ''],
    ['srv/.wh..wh..opq', ''],
    ['opt/node_modules/b', 'symlink', '../b'],
    ['lib', 'symlink', 'usr/lib'],
    ['etc/os-release', 'symlink', '../usr/lib/os-release'],
    ['var/lib/dpkg', 'directory', ''],
  );
  expect(layer.removed).toEqual(['app/node_modules', 'etc/os-release', 'lib', 'opt/node_modules/b']);
  expect(layer.emptied).toEqual(['srv']);
});

test('a package.json that names no package hides the one below it', async () => {
  const layer = await scanEntries(['node_modules/a/package.json', '{"type":"module"}']);
  expect(layer).toMatchObject({ status: 'read', files: [], removed: ['node_modules/a/package.json'] });
});

test('of two entries with one name the later counts', async () => {
  const entry = (version: string): Entry => ['node_modules/a/package.json', `{"name":"a","version":"${version}"}`];
  const layer = await scanEntries(entry('1.0.0'), entry('2.0.0'));
  expect(layer.files).toMatchObject([{ packages: [{ version: '2.0.0' }] }]);
});

test('a hard link to a kept file shares it; another is said', async () => {
  const store: Entry = ['x/node_modules/a/package.json', '{"name":"a","version":"1.0.0"}'];
  const layer = await scanEntries(store, ['y/node_modules/a/package.json', 'link', 'x/node_modules/a/package.json']);
  expect(layer.status).toBe('read');
  expect(layer.files).toHaveLength(2);
  const lost = await scanEntries(['y/node_modules/a/package.json', 'link', 'store/1234']);
  expect(lost).toMatchObject({ status: 'partial', reasons: ['hard-link'], files: [] });
});

test('a path that leads out is not taken for the one inside', async () => {
  const layer = await scanEntries(['../lib/apk/db/installed', APK[1]], ['a/../../etc/os-release', 'ID=x\n']);
  expect(layer.files).toEqual([]);
});

test('an rpm database is said', async () => {
  expect(await scanEntries(['var/lib/rpm/rpmdb.sqlite', 'x'])).toMatchObject({ status: 'partial', reasons: ['rpm'] });
});

test('a database that is too large is not read', async () => {
  const layer = await scanEntries(['node_modules/a/package.json', ' '.repeat(1024 * 1024 + 1)], APK);
  expect(layer).toMatchObject({ status: 'partial', reasons: ['limit'] });
  expect(namesOf(layer)).toEqual(['musl']);
});

test('a database with too many packages is cut, and the layer is read on', async () => {
  const many = Array.from({ length: DATABASE_MAX_PACKAGES + 1000 }, (_, number) => `P:p${number}\nV:1\n\n`).join('');
  const layer = await scanEntries(['lib/apk/db/installed', many], RELEASE, NPM);
  expect(layer).toMatchObject({
    status: 'partial',
    reasons: ['limit'],
    removed: ['app/node_modules/@s/a/package.json'],
  });
  expect(namesOf(layer)).toHaveLength(DATABASE_MAX_PACKAGES);
  expect(layer.files.at(-1)?.path).toBe('etc/os-release');
});

test('a zstd layer of many frames, some to be skipped, as zstd:chunked layers are', async () => {
  const skippable = Buffer.from('5a2a4d1803000000616263', 'hex');
  const whole = await tarOf([APK, NOISE, NPM, RELEASE]);
  const frames = [skippable];
  for (let at = 0; at < whole.length; at += 1000) {
    frames.push(zstdCompressSync(whole.subarray(at, at + 1000)));
    if (at % 7000 === 0) frames.push(skippable);
  }
  const layer = await scan(Buffer.concat(frames));
  expect(layer).toMatchObject({ status: 'read', reasons: [] });
  expect(namesOf(layer)).toEqual(['musl', '@s/a']);
});

test('a layer that expands beyond all measure is given up', async () => {
  // 192 MiB of zeros in about 190 kB, where 128 MiB and a hundred times the size are allowed.
  const zeros = gzipSync(Buffer.alloc(192 * 1024 * 1024));
  const layer = await scan(Buffer.concat([gzipSync(await tarOf([APK])), zeros]));
  expect(layer).toEqual({ status: 'not-read', reasons: ['limit'], files: [], removed: [], emptied: [] });
});

test('a cut layer counts for nothing, so that the result does not depend on chance', async () => {
  const whole = await tarOf([APK, NOISE, NPM]);
  for (const bytes of [
    whole.subarray(0, 2000),
    gzipSync(whole).subarray(0, -20),
    zstdCompressSync(whole).subarray(0, -20),
  ]) {
    expect(await scan(bytes)).toEqual({
      status: 'not-read',
      reasons: ['damaged'],
      files: [],
      removed: [],
      emptied: [],
    });
  }
});

test('cut at every block and with any bit flipped, a layer never raises', async () => {
  const whole = await tarOf([APK, NPM, RELEASE, ['.wh.x', '']]);
  for (let length = 0; length <= whole.length; length += 256) await scan(whole.subarray(0, length));
  const forms = [whole, gzipSync(whole), zstdCompressSync(whole)];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...forms), fc.nat(), async (form, position) => {
      const flipped = Uint8Array.from(form);
      const bit = position % (form.length * 8);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(['read', 'partial', 'not-read']).toContain((await scan(flipped)).status);
    }),
  );
});

test('arbitrary bytes are no layer, and no failure', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
      expect((await scan(bytes)).files).toEqual([]);
    }),
  );
});

test('a blob that is not there is a failure', async () => {
  const blob = { digest: digestOf('x'), sizeBytes: 1, path: join(folder, 'missing') };
  await expect(scanLayer(blob, OCI)).rejects.toEqual(
    expect.objectContaining({ constructor: AdapterError, code: 'FILE_MISSING' }),
  );
  await expect(scanLayer({ ...blob, path: folder }, OCI)).rejects.toBeInstanceOf(AdapterError);
});

test('an abort ends it', async () => {
  const blob = await blobOf(await tarOf([NOISE]));
  const reason = new Error('stopped');
  await expect(scanLayer(blob, OCI, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const controller = new AbortController();
  const running = scanLayer(blob, OCI, { signal: controller.signal });
  controller.abort(reason);
  await expect(running).rejects.toBe(reason);
});

async function imageOf(...layers: Buffer[]): Promise<AcquiredImage> {
  const blobs = await Promise.all(layers.map(async (bytes) => ({ ...(await blobOf(bytes)), mediaType: OCI })));
  const descriptor = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf('m'), size: 3 };
  return {
    reference: 'registry.example/cms/web:1',
    root: descriptor,
    manifests: [
      {
        descriptor,
        platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf('c'), size: 1 },
        layers: blobs.map(({ digest, sizeBytes, mediaType }) => ({ digest, size: sizeBytes, mediaType })),
        annotations: { 'org.opencontainers.image.base.name': 'registry.example/base:12', other: 'x' },
      },
    ],
    attachments: [
      {
        subject: digestOf('m'),
        descriptor: { ...descriptor, digest: digestOf('sbom') },
        artifactType: 'application/spdx+json',
      },
    ],
    blobs,
  };
}

test('an image: layers laid over one another, base, distribution and attachments', async () => {
  const image = await imageOf(
    await tarOf([APK, RELEASE, ['app/node_modules/old/package.json', '{"name":"old","version":"1.0.0"}']]),
    await tarOf([
      ['app/.wh.node_modules', ''],
      ['srv/node_modules/n/package.json', '{"name":"n","version":"1.0.0"}'],
    ]),
  );
  const entry = await scanImage(image, folderScanCache(join(folder, 'cache-a')));
  expect(entry).toMatchObject({
    reference: image.reference,
    root: { digest: digestOf('m') },
    attachments: [{ digest: digestOf('sbom'), artifactType: 'application/spdx+json' }],
    platforms: [
      {
        platform: 'linux/arm64',
        base: { name: 'registry.example/base:12' },
        distribution: { id: 'alpine', versionId: '3.22.1' },
        layers: [{ packages: 'read' }, { packages: 'read' }],
        packages: [
          { purl: 'pkg:apk/alpine/musl@1.2.5-r9?arch=x86_64&distro=alpine-3.22.1' },
          { purl: 'pkg:npm/n@1.0.0' },
        ],
      },
    ],
  });
});

test('a layer is read once; a damaged cache entry is read again', async () => {
  const cacheFolder = join(folder, 'cache-b');
  const image = await imageOf(await tarOf([APK]));
  const first = await scanImage(image, folderScanCache(cacheFolder));
  const [name] = await readdir(cacheFolder);
  const entryPath = join(cacheFolder, name ?? '');
  const good = await readFile(entryPath);

  // With the layer gone, only the cache can answer.
  await rm(image.blobs[0]?.path ?? '');
  expect(await scanImage(image, folderScanCache(cacheFolder))).toEqual(first);
  for (const bad of ['', '{', '{"version":2}', good.subarray(0, -1)]) {
    await writeFile(entryPath, bad);
    await expect(scanImage(image, folderScanCache(cacheFolder))).rejects.toBeInstanceOf(AdapterError);
  }
  await imageOf(await tarOf([APK]));
  expect(await scanImage(image, folderScanCache(cacheFolder))).toEqual(first);
  expect(await readFile(entryPath)).toEqual(good);
});

test('the media type counts before the cache, which knows bytes alone', async () => {
  const cache = folderScanCache(join(folder, 'cache-c'));
  const image = await imageOf(await tarOf([APK]));
  await scanImage(image, cache);
  const encrypted = structuredClone(image);
  for (const layer of encrypted.manifests[0]?.layers ?? []) Object.assign(layer, { mediaType: `${OCI}+encrypted` });
  expect((await scanImage(encrypted, cache)).platforms[0]).toMatchObject({
    layers: [{ packages: 'not-read' }],
    packages: [],
  });
});

test('a cache that cannot be written is done without', async () => {
  const blocked = join(folder, 'blocked');
  await writeFile(blocked, '');
  const image = await imageOf(await tarOf([APK]));
  expect((await scanImage(image, folderScanCache(join(blocked, 'cache')))).platforms[0]?.packages).toHaveLength(1);
});

test('a failed write leaves no temporary file', async () => {
  const cacheFolder = join(folder, 'cache-d');
  const image = await imageOf(await tarOf([APK]));
  // A folder under the entry's name: the rename fails.
  await mkdir(join(cacheFolder, `${image.blobs[0]?.digest.slice(7)}.json`, 'x'), { recursive: true });
  await scanImage(image, folderScanCache(cacheFolder));
  expect(await readdir(cacheFolder)).toHaveLength(1);
});

test('an image whose layer is missing is a failure', async () => {
  const image = { ...(await imageOf(await tarOf([APK]))), blobs: [] };
  await expect(scanImage(image, folderScanCache(join(folder, 'cache-e')))).rejects.toEqual(
    expect.objectContaining({ constructor: AdapterError, code: 'BLOB_MISSING' }),
  );
});
