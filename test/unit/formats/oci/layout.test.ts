import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import {
  ANNOTATION_CONTAINERD_NAME,
  ANNOTATION_REF_NAME,
  decodeLayoutIndex,
  decodeLayoutMarker,
  encodeLayoutIndex,
  LAYOUT_MARKER,
  referenceOfEntry,
} from '../../../../src/formats/oci/layout.ts';
import { MEDIA_TYPES } from '../../../../src/formats/oci/manifest.ts';
import { raised } from '../../../support/raised.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const entry = (annotations: Record<string, string>) => ({
  mediaType: MEDIA_TYPES.ociManifest,
  digest: digestOf('x'),
  size: 1,
  annotations,
});

describe('OCI layout files', () => {
  it('writes the marker that the specification shows, and reads it', () => {
    expect(JSON.parse(LAYOUT_MARKER)).toEqual({ imageLayoutVersion: '1.0.0' });
    decodeLayoutMarker(encode(LAYOUT_MARKER));
  });

  it.each(['', '{', 'null', '[]', '{}', '{"imageLayoutVersion":"1.1.0"}', '{"imageLayoutVersion":1}'])(
    'refuses the marker %j',
    async (text) => {
      expect((await raised(() => decodeLayoutMarker(encode(text)))).code).toBe('LAYOUT_INVALID');
    },
  );

  it('reads the index that it wrote, in the same order, and writes the same each time', () => {
    const entries = [entry({ b: '1', a: '2' }), { ...entry({}), artifactType: 'application/x' }];
    const text = encodeLayoutIndex(entries);
    expect(decodeLayoutIndex(encode(text))).toEqual(entries);
    expect(encodeLayoutIndex(decodeLayoutIndex(encode(text)))).toBe(text);
  });

  it('refuses an index that is an image, or cut anywhere', async () => {
    const image = { schemaVersion: 2, config: entry({}), layers: [] };
    expect((await raised(() => decodeLayoutIndex(encode(JSON.stringify(image))))).code).toBe('LAYOUT_INVALID');
    const whole = encode(encodeLayoutIndex([entry({ a: 'b' })]));
    for (let length = 0; length < whole.length; length += 1) {
      expect((await raised(() => decodeLayoutIndex(whole.subarray(0, length)))).code).toBe('MANIFEST_INVALID');
    }
  });

  it('takes containerd’s name before OCI’s, and a tag alone for nothing', () => {
    const full = 'docker.io/library/nginx:1.27';
    expect(referenceOfEntry(entry({ [ANNOTATION_CONTAINERD_NAME]: full, [ANNOTATION_REF_NAME]: '1.27' }))).toBe(full);
    expect(referenceOfEntry(entry({ [ANNOTATION_REF_NAME]: 'nginx:1.27' }))).toBe(full);
    for (const name of ['1.27', 'nginx', '', 'Not/A/Reference']) {
      expect(referenceOfEntry(entry({ [ANNOTATION_REF_NAME]: name }))).toBeUndefined();
    }
    expect(referenceOfEntry({ mediaType: MEDIA_TYPES.ociManifest, digest: digestOf('x'), size: 1 })).toBeUndefined();
  });
});
