import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { AdapterError } from '../../src/adapters/errors.ts';
import { type Digest, digestOf, hexOf } from '../../src/core/digest.ts';
import { FormatError } from '../../src/formats/errors.ts';
import { MAX_MANIFEST_BYTES, MEDIA_TYPES } from '../../src/formats/oci/manifest.ts';
import type { Descriptor } from '../../src/formats/oci/types.ts';
import type { AcquiredImage, ImageSource } from '../../src/ports/images.ts';
import { createContent, type ImageContent, LAYER_TYPE } from './image-content.ts';

export interface SourceUnderTest {
  readonly source: ImageSource;
  /** The full reference of a tag. */
  reference(tag: string): string;
  close(): Promise<void>;
}

const AMD64 = { os: 'linux', architecture: 'amd64' };
const ARM64 = { os: 'linux', architecture: 'arm64' };

/** What every ImageSource must do. `open` serves the content in the adapter's own way. */
export function describeImageSource(
  name: string,
  open: (content: ImageContent) => Promise<SourceUnderTest>,
  absent: 'undefined' | 'IMAGE_NOT_FOUND',
): void {
  describe(`${name}: as an image source`, () => {
    const opened: SourceUnderTest[] = [];
    const start = async (content: ImageContent): Promise<SourceUnderTest> => {
      const source = await open(content);
      opened.push(source);
      return source;
    };
    const acquire = async (content: ImageContent, tag: string, platforms: string[]): Promise<AcquiredImage> => {
      const { source, reference } = await start(content);
      return present(await source.acquire({ reference: reference(tag), platforms }));
    };
    afterEach(async () => {
      for (const source of opened.splice(0)) await source.close();
    });

    it('keeps an index byte for byte and fetches the chosen platform alone', async () => {
      const content = createContent();
      const [amd64, arm64] = [content.image({ platform: AMD64 }), content.image({ platform: ARM64 })];
      const index = content.index([amd64, arm64]);
      content.tag('1.0', index);
      const image = await acquire(content, '1.0', ['linux/arm64']);
      expect(image.root).toEqual(index);
      expect(image.manifests.map(({ descriptor }) => descriptor.digest)).toEqual([arm64.digest]);
      expect(image.manifests[0]?.platform).toEqual(ARM64);
      await expectWhole(image, content);
      const { config, layers } = image.manifests[0] as AcquiredImage['manifests'][number];
      expect(digestsOf(image)).toEqual([index, arm64, config, ...layers].map(({ digest }) => digest).sort());
    });

    it('takes several platforms, in the order in which they were asked for', async () => {
      const content = createContent();
      content.tag('1.0', content.index([content.image({ platform: AMD64 }), content.image({ platform: ARM64 })]));
      const image = await acquire(content, '1.0', ['linux/arm64', 'linux/amd64']);
      expect(image.manifests.map(({ platform }) => platform)).toEqual([ARM64, AMD64]);
      await expectWhole(image, content);
    });

    it('reads the platform of a single manifest from its configuration', async () => {
      const content = createContent();
      content.tag('1.0', content.image({ platform: ARM64 }));
      expect((await acquire(content, '1.0', ['linux/arm64/v8'])).manifests[0]?.platform).toEqual(ARM64);
    });

    it('refuses a platform that is missing, and lists those that are there', async () => {
      const content = createContent();
      content.tag('single', content.image({ platform: ARM64 }));
      content.tag('index', content.index([content.image({ platform: AMD64 }), content.image({ platform: ARM64 })]));
      const { source, reference } = await start(content);
      const found = { single: 'linux/arm64', index: 'linux/amd64, linux/arm64' };
      for (const tag of ['single', 'index'] as const) {
        const request = { reference: reference(tag), platforms: ['linux/arm64', 'linux/s390x'] };
        await expectCode(source.acquire(request), AdapterError, 'PLATFORM_MISSING', {
          expected: 'linux/s390x',
          found: found[tag],
        });
      }
    });

    it('takes the highest variant that runs on the one asked for', async () => {
      const content = createContent();
      const arm = (variant: string) => content.image({ platform: { os: 'linux', architecture: 'arm', variant } });
      content.tag('1.0', content.index([arm('v5'), arm('v6'), arm('v8')]));
      const image = await acquire(content, '1.0', ['linux/arm/v7']);
      expect(image.manifests.map(({ platform }) => platform.variant)).toEqual(['v6']);
    });

    it('follows an index inside an index, and carries both', async () => {
      const content = createContent();
      const arm64 = content.image({ platform: ARM64 });
      const inner = content.index([arm64]);
      const root = content.index([content.image({ platform: AMD64 }), inner]);
      content.tag('1.0', root);
      const image = await acquire(content, '1.0', ['linux/arm64']);
      expect(digestsOf(image)).toEqual(expect.arrayContaining([root.digest, inner.digest, arm64.digest]));
      await expectWhole(image, content);
    });

    it('refuses indexes that are nested without end', async () => {
      const content = createContent();
      let entry = content.index([content.image()]);
      for (let level = 0; level < 5; level += 1) entry = content.index([entry]);
      content.tag('1.0', entry);
      await expectCode(acquire(content, '1.0', ['linux/amd64']), AdapterError, 'MANIFEST_LIMIT');
    });

    it('reads Docker schema 2 manifests and manifest lists', async () => {
      const content = createContent();
      const config = content.blob(JSON.stringify(AMD64), MEDIA_TYPES.dockerConfig);
      const layer = content.blob('layer', 'application/vnd.docker.image.rootfs.diff.tar.gzip');
      const manifest = content.image({ config, layers: [layer], mediaType: MEDIA_TYPES.dockerManifest });
      const list = { schemaVersion: 2, mediaType: MEDIA_TYPES.dockerList, manifests: [manifest] };
      const root = content.document(list, MEDIA_TYPES.dockerList);
      content.tag('1.0', root);
      const image = await acquire(content, '1.0', ['linux/amd64']);
      expect(image.root).toEqual(root);
      await expectWhole(image, content);
    });

    it('finds an image by a digest in the reference', async () => {
      const content = createContent();
      const image = content.image();
      content.tag('1.0', image);
      const { source, reference } = await start(content);
      const byDigest = reference('1.0').replace(/:1\.0$/, `@${image.digest}`);
      const acquired = present(await source.acquire({ reference: byDigest, platforms: ['linux/amd64'] }));
      expect(acquired.root.digest).toBe(image.digest);
      expect(acquired.reference).toBe(byDigest);
    });

    it('carries what hangs on the image: referrers, cosign tags, BuildKit attestations', async () => {
      const content = createContent();
      const { root, amd64, attached } = contentWithAttachments(content);
      content.tag('1.0', root);
      const image = await acquire(content, '1.0', ['linux/amd64']);
      const listed = image.attachments.map(({ descriptor, subject, artifactType }) => [
        descriptor.digest,
        subject,
        artifactType,
      ]);
      expect(listed.sort()).toEqual(
        [
          [attached.sbom.digest, root.digest, 'application/spdx+json'],
          [attached.childSbom.digest, amd64.digest, 'application/spdx+json'],
          [attached.signature.digest, amd64.digest, 'application/vnd.dev.cosign.simplesigning.v1+json'],
          [attached.buildkit.digest, amd64.digest, 'application/vnd.in-toto+json'],
        ].sort(),
      );
      await expectWhole(image, content);
      // The other platform's attestation stays behind.
      expect(digestsOf(image)).not.toContain(attached.otherBuildkit.digest);
    });

    it('gives the same for a pin as for what was discovered, and nothing that is not pinned', async () => {
      const content = createContent();
      content.tag('1.0', contentWithAttachments(content).root);
      const { source, reference } = await start(content);
      const request = { reference: reference('1.0'), platforms: ['linux/amd64'] };
      const image = present(await source.acquire(request));
      const attachments = image.attachments.map(({ descriptor }) => descriptor.digest);
      const pinned = { digest: image.root.digest, attachments };
      expect(await source.acquire({ ...request, pinned })).toEqual(image);
      const bare = present(await source.acquire({ ...request, pinned: { ...pinned, attachments: [] } }));
      expect(bare.attachments).toEqual([]);
    });

    it('refuses a foreign layer', async () => {
      for (const foreign of [
        { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' },
        { mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip' },
        { urls: ['https://elsewhere.example/layer'] },
      ]) {
        const content = createContent();
        content.tag('1.0', content.image({ layers: [{ ...content.blob('layer'), ...foreign }] }));
        await expectCode(acquire(content, '1.0', ['linux/amd64']), FormatError, 'LAYER_FOREIGN');
      }
    });

    it('refuses Docker schema 1', async () => {
      const content = createContent();
      const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
      content.tag('1.0', content.document({ schemaVersion: 1, name: 'web', fsLayers: [] }, type));
      await expectCode(acquire(content, '1.0', ['linux/amd64']), FormatError, 'MANIFEST_UNSUPPORTED');
    });

    it('refuses a manifest that is too large to be one', async () => {
      const content = createContent();
      const extra = { annotations: { padding: 'x'.repeat(MAX_MANIFEST_BYTES) } };
      content.tag('1.0', content.image({ extra }));
      await expectCode(acquire(content, '1.0', ['linux/amd64']), FormatError, 'MANIFEST_TOO_LARGE');
    });

    it('refuses blobs that are not what their digest says, are too long, too short, or missing', async () => {
      const spoil: Record<string, (bytes: Uint8Array) => Uint8Array | undefined> = {
        BLOB_DIGEST_MISMATCH: (bytes) => Buffer.from(bytes).fill(1, 0, 1),
        BLOB_SIZE_MISMATCH: (bytes) => Buffer.concat([bytes, Buffer.from('more')]),
        'BLOB_SIZE_MISMATCH (short)': (bytes) => bytes.subarray(0, bytes.byteLength - 1),
        BLOB_MISSING: () => undefined,
      };
      for (const [code, change] of Object.entries(spoil)) {
        const content = createContent();
        const layer = content.blob('\0 a layer with some content');
        content.tag('1.0', content.image({ layers: [layer] }));
        replaceBlob(content, layer.digest, change);
        await expectCode(acquire(content, '1.0', ['linux/amd64']), AdapterError, code.split(' ')[0] as string);
      }
    });

    it('refuses a manifest whose bytes are others than the index says', async () => {
      const content = createContent();
      const child = content.image();
      content.tag('1.0', content.index([child]));
      replaceBlob(content, child.digest, (bytes) => Buffer.from(new TextDecoder().decode(bytes).replace('{', '{ ')));
      await expect(acquire(content, '1.0', ['linux/amd64'])).rejects.toSatisfy(
        (error) => error instanceof AdapterError && /^BLOB_(DIGEST|SIZE)_MISMATCH$/.test(error.code),
      );
    });

    it('says so when it does not have the image', async () => {
      const content = createContent();
      content.tag('1.0', content.image());
      const { source, reference } = await start(content);
      const request = { reference: reference('2.0'), platforms: ['linux/amd64'] };
      if (absent === 'undefined') expect(await source.acquire(request)).toBeUndefined();
      else await expectCode(source.acquire(request), AdapterError, absent);
      const pinned = { digest: digestOf('nothing'), attachments: [] };
      if (absent === 'undefined') expect(await source.acquire({ ...request, pinned })).toBeUndefined();
      else await expectCode(source.acquire({ ...request, pinned }), AdapterError, absent);
    });

    it('stops when it is told to', async () => {
      const content = createContent();
      content.tag('1.0', content.image());
      const { source, reference } = await start(content);
      const reason = new Error('stop');
      const request = { reference: reference('1.0'), platforms: ['linux/amd64'] };
      await expect(source.acquire(request, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    });
  });
}

/** An index of two platforms with one of each kind of attachment. */
export function contentWithAttachments(content: ImageContent) {
  const [amd64, arm64] = [content.image({ platform: AMD64 }), content.image({ platform: ARM64 })];
  const attestation = (subject: Descriptor): Descriptor => ({
    ...content.image({
      platform: { os: 'unknown', architecture: 'unknown' },
      layers: [content.blob(`{"about":"${subject.digest}"}`, 'application/vnd.in-toto+json')],
    }),
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': subject.digest,
    },
  });
  const [buildkit, otherBuildkit] = [attestation(amd64), attestation(arm64)];
  const root = content.index([amd64, arm64, buildkit, otherBuildkit]);
  const empty = content.blob('{}', MEDIA_TYPES.ociEmpty);
  const sbomOf = (subject: Descriptor) =>
    content.image({
      config: empty,
      layers: [content.blob(`{"spdxVersion":"SPDX-2.3","of":"${subject.digest}"}`, 'application/spdx+json')],
      extra: { artifactType: 'application/spdx+json', subject: { ...subject, platform: undefined } },
    });
  const payload = JSON.stringify({ critical: { image: { 'docker-manifest-digest': amd64.digest } } });
  const signature = content.image({
    layers: [content.blob(payload, 'application/vnd.dev.cosign.simplesigning.v1+json')],
  });
  content.tag(`sha256-${hexOf(amd64.digest)}.sig`, signature);
  return {
    root,
    amd64,
    attached: { sbom: sbomOf(root), childSbom: sbomOf(amd64), signature, buildkit, otherBuildkit },
  };
}

export async function expectCode(
  work: Promise<unknown>,
  type: abstract new (...args: never[]) => Error,
  code: string,
  members: Record<string, unknown> = {},
): Promise<void> {
  const failure = await work.then(
    (value) => ({ resolved: value }),
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(type);
  expect(failure).toMatchObject({ code, ...members });
}

export function present<T>(value: T | undefined): T {
  expect(value).toBeDefined();
  return value as T;
}

function digestsOf(image: AcquiredImage): Digest[] {
  return image.blobs.map(({ digest }) => digest);
}

/** Every blob lies in a file with the right content; sorted, none twice. */
async function expectWhole(image: AcquiredImage, content: ImageContent): Promise<void> {
  const digests = digestsOf(image);
  expect(digests).toEqual([...new Set(digests)].sort());
  for (const blob of image.blobs) {
    const bytes = await readFile(blob.path);
    expect(digestOf(bytes)).toBe(blob.digest);
    expect(bytes.byteLength).toBe(blob.sizeBytes);
    expect(blob.mediaType).not.toBe('');
    expect(content.blobs.has(blob.digest)).toBe(true);
  }
  for (const { config, layers, descriptor } of image.manifests) {
    for (const part of [config, ...layers, descriptor]) expect(digests).toContain(part.digest);
    for (const layer of layers)
      expect([LAYER_TYPE, 'application/vnd.docker.image.rootfs.diff.tar.gzip']).toContain(layer.mediaType);
  }
}

function replaceBlob(
  content: ImageContent,
  digest: Digest,
  change: (bytes: Uint8Array) => Uint8Array | undefined,
): void {
  const changed = change(content.blobs.get(digest) as Uint8Array);
  if (changed) content.blobs.set(digest, changed);
  else content.blobs.delete(digest);
}
