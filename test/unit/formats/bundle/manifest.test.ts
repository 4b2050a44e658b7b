import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { type BundleManifest, decodeManifest, encodeManifest, tagOf } from '../../../../src/formats/bundle/manifest.ts';
import { FormatError } from '../../../../src/formats/errors.ts';

const manifest: BundleManifest = {
  name: 'demo',
  version: '1.0.0',
  lists: { mediaType: 'application/vnd.portolan.bundle.lists.v1.tar+age', digest: digestOf('lists'), size: 100 },
  pieces: ['one', 'two'].map((name) => ({
    mediaType: 'application/vnd.portolan.bundle.piece.v1+age',
    digest: digestOf(name),
    size: 200,
  })),
};

function decodeOrCode(bytes: Uint8Array): BundleManifest | string {
  try {
    return decodeManifest(bytes);
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
}

/** The manifest as JSON, changed. */
function changed(change: (json: Record<string, unknown> & { layers: Record<string, unknown>[] }) => void): Uint8Array {
  const json = JSON.parse(new TextDecoder().decode(encodeManifest(manifest)));
  change(json);
  return new TextEncoder().encode(JSON.stringify(json));
}

describe('the manifest of a bundle', () => {
  it('comes back as it was', () => {
    expect(decodeManifest(encodeManifest(manifest))).toEqual(manifest);
  });

  const bad: Readonly<Record<string, Uint8Array>> = {
    'an image': changed((json) => {
      delete json.artifactType;
    }),
    'another version of the format': changed((json) => {
      json.artifactType = 'application/vnd.portolan.bundle.v2';
    }),
    'no layers': changed((json) => {
      json.layers = [];
    }),
    'lists of another kind': changed((json) => {
      json.layers.reverse();
    }),
    'a piece of another kind': changed((json) => {
      (json.layers[1] as Record<string, unknown>).mediaType = 'application/vnd.oci.image.layer.v1.tar';
    }),
    'a piece named twice': changed((json) => {
      json.layers.push(json.layers[1] as Record<string, unknown>);
    }),
    'a negative size': changed((json) => {
      (json.layers[1] as Record<string, unknown>).size = -1;
    }),
    'no name': changed((json) => {
      json.annotations = {};
    }),
    'text that is not JSON': new TextEncoder().encode('{'),
    'bytes that are not text': Uint8Array.of(0xff, 0xfe),
  };
  for (const [what, bytes] of Object.entries(bad)) {
    it(`refuses ${what}`, () => expect(decodeOrCode(bytes)).toBe('BUNDLE_MANIFEST_INVALID'));
  }

  it('refuses every cut', () => {
    const bytes = encodeManifest(manifest);
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeOrCode(bytes.subarray(0, length))).toBe('BUNDLE_MANIFEST_INVALID');
    }
  });

  it('survives every flipped bit: refused, or another manifest, with another digest', () => {
    const bytes = encodeManifest(manifest);
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const flipped = bytes.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        const decoded = decodeOrCode(flipped);
        if (typeof decoded === 'string') expect(decoded).toBe('BUNDLE_MANIFEST_INVALID');
        expect(digestOf(flipped)).not.toBe(digestOf(bytes));
      }),
    );
  });

  it('writes a plus sign of the version as an underscore in the tag', () => {
    expect(tagOf('cms', '1.4.0+build.7')).toBe('cms-1.4.0_build.7');
  });
});
