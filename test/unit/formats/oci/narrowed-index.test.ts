import { expect, it } from 'vitest';
import { decodeManifest, MEDIA_TYPES } from '../../../../src/formats/oci/manifest.ts';
import { narrowedFrom, narrowIndex } from '../../../../src/formats/oci/narrowed-index.ts';
import { createContent } from '../../../support/image-content.ts';

const content = createContent();
const manifests = ['amd64', 'arm64', 's390x'].map((architecture) =>
  content.image({ platform: { os: 'linux', architecture } }),
);

it.each([MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerList])(
  'keeps all of an index (%s) but the entries that go',
  (mediaType) => {
    const index = content.document({ schemaVersion: 2, mediaType, manifests, annotations: { a: 'b' } }, mediaType);
    const bytes = content.blobs.get(index.digest) as Uint8Array;
    const [, arm] = manifests;
    const narrowed = narrowIndex(bytes, (digest) =>
      digest === arm?.digest ? { digest, sizeBytes: arm.size } : undefined,
    );
    const document = decodeManifest(narrowed.bytes, { declaredType: mediaType });
    expect(document).toMatchObject({ kind: 'index', mediaType, annotations: { a: 'b' } });
    expect(document.kind === 'index' && document.manifests).toEqual([arm]);
    expect(narrowedFrom(narrowed.bytes)).toBe(index.digest);
    expect(narrowedFrom(bytes)).toBeUndefined();
    const again = narrowIndex(bytes, (digest) =>
      digest === arm?.digest ? { digest, sizeBytes: arm.size } : undefined,
    );
    expect(again.digest).toBe(narrowed.digest);
  },
);

it('puts what an entry is now in its place', () => {
  const index = content.index(manifests);
  const [first, second] = manifests;
  const narrowed = narrowIndex(content.blobs.get(index.digest) as Uint8Array, (digest) =>
    digest === first?.digest && second ? { digest: second.digest, sizeBytes: 7 } : undefined,
  );
  expect(JSON.parse(new TextDecoder().decode(narrowed.bytes)).manifests).toEqual([
    { ...first, digest: second?.digest, size: 7 },
  ]);
});
