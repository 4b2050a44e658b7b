import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import {
  artifactTypeOf,
  decodeConfigPlatform,
  decodeManifest,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPES,
} from '../../../../src/formats/oci/manifest.ts';
import { raised } from '../../../support/raised.ts';

const encode = (document: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(document));
const descriptor = (name: string, mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip') => ({
  mediaType,
  digest: digestOf(name),
  size: name.length,
});
const IMAGE = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociManifest,
  config: descriptor('config', MEDIA_TYPES.ociConfig),
  layers: [descriptor('one'), descriptor('two')],
  annotations: { 'org.opencontainers.image.base.name': 'docker.io/library/debian:13' },
};
const INDEX = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociIndex,
  manifests: [
    { ...descriptor('amd64', MEDIA_TYPES.ociManifest), platform: { os: 'linux', architecture: 'amd64' } },
    { ...descriptor('arm', MEDIA_TYPES.ociManifest), platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
  ],
};

describe('manifests', () => {
  it('reads an image manifest and an index', () => {
    expect(decodeManifest(encode(IMAGE))).toEqual({
      kind: 'image',
      mediaType: IMAGE.mediaType,
      config: IMAGE.config,
      layers: IMAGE.layers,
      annotations: IMAGE.annotations,
    });
    expect(decodeManifest(encode(INDEX))).toEqual({
      kind: 'index',
      mediaType: INDEX.mediaType,
      manifests: INDEX.manifests,
      annotations: {},
    });
  });

  it('takes the media type from the announcement where the document has none', () => {
    const { mediaType: _, ...bare } = IMAGE;
    expect(decodeManifest(encode(bare)).mediaType).toBe(MEDIA_TYPES.ociManifest);
    const declaredType = MEDIA_TYPES.dockerManifest;
    expect(decodeManifest(encode(bare), { declaredType }).mediaType).toBe(declaredType);
  });

  it('ignores members that it does not know, and null for what is absent', () => {
    const document = { ...IMAGE, annotations: null, subject: null, future: [1, 2], artifactType: null };
    expect(decodeManifest(encode(document))).toMatchObject({ kind: 'image', annotations: {} });
  });

  const invalid: [string, Uint8Array, string, string?][] = [
    ['nothing', new Uint8Array(), 'MANIFEST_INVALID'],
    ['no JSON', new TextEncoder().encode('<html>'), 'MANIFEST_INVALID'],
    ['no UTF-8', Buffer.concat([encode(IMAGE), Buffer.from([0xff])]), 'MANIFEST_INVALID'],
    ['an array', encode([IMAGE]), 'MANIFEST_INVALID'],
    ['null', encode(null), 'MANIFEST_INVALID'],
    ['an empty object', encode({}), 'MANIFEST_INVALID'],
    ['an image that is an index too (CVE-2021-41190)', encode({ ...IMAGE, ...INDEX }), 'MANIFEST_INVALID'],
    ['an image announced as an index', encode(IMAGE), 'MANIFEST_INVALID', MEDIA_TYPES.ociIndex],
    ['an OCI image announced as Docker’s', encode(IMAGE), 'MANIFEST_INVALID', MEDIA_TYPES.dockerManifest],
    [
      'an index that calls itself an image',
      encode({ ...INDEX, mediaType: MEDIA_TYPES.ociManifest }),
      'MANIFEST_UNSUPPORTED',
    ],
    ['another media type', encode({ ...IMAGE, mediaType: 'application/json' }), 'MANIFEST_UNSUPPORTED'],
    ['schema 1', encode({ schemaVersion: 1, fsLayers: [] }), 'MANIFEST_UNSUPPORTED'],
    [
      'a signed schema 1',
      encode({ ...IMAGE, mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws' }),
      'MANIFEST_UNSUPPORTED',
    ],
    ['schema 3', encode({ ...IMAGE, schemaVersion: 3 }), 'MANIFEST_INVALID'],
    ['no layers', encode({ ...IMAGE, layers: undefined }), 'MANIFEST_INVALID'],
    ['no config', encode({ ...IMAGE, config: undefined }), 'MANIFEST_INVALID'],
    [
      'SHA-512',
      encode({ ...IMAGE, layers: [{ ...IMAGE.config, digest: `sha512:${'a'.repeat(128)}` }] }),
      'MANIFEST_INVALID',
    ],
    [
      'a path as digest',
      encode({ ...IMAGE, layers: [{ ...IMAGE.config, digest: 'sha256:../../etc/passwd' }] }),
      'MANIFEST_INVALID',
    ],
    ['a negative size', encode({ ...IMAGE, config: { ...IMAGE.config, size: -1 } }), 'MANIFEST_INVALID'],
    ['a fraction as size', encode({ ...IMAGE, config: { ...IMAGE.config, size: 1.5 } }), 'MANIFEST_INVALID'],
    [
      'a size beyond what can be counted',
      encode({ ...IMAGE, config: { ...IMAGE.config, size: 2 ** 60 } }),
      'MANIFEST_INVALID',
    ],
    ['annotations that are no text', encode({ ...IMAGE, annotations: { a: 1 } }), 'MANIFEST_INVALID'],
    [
      'too many layers',
      encode({ ...IMAGE, layers: Array.from({ length: 5000 }, () => IMAGE.config) }),
      'MANIFEST_INVALID',
    ],
    ['too many bytes', new Uint8Array(MAX_MANIFEST_BYTES + 1), 'MANIFEST_TOO_LARGE'],
    ['deep nesting', new TextEncoder().encode('['.repeat(1_000_000)), 'MANIFEST_INVALID'],
  ];
  it.each(invalid)('refuses %s', async (_name, bytes, code, declaredType) => {
    const error = await raised(() => decodeManifest(bytes, declaredType === undefined ? {} : { declaredType }));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.code).toBe(code);
  });

  it('refuses foreign layers, by type and by address', async () => {
    for (const foreign of [
      { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' },
      { mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd' },
      { urls: ['https://elsewhere.example/layer'] },
    ]) {
      const document = { ...IMAGE, layers: [IMAGE.layers[0], { ...IMAGE.layers[1], ...foreign }] };
      expect((await raised(() => decodeManifest(encode(document)))).code).toBe('LAYER_FOREIGN');
    }
    expect(decodeManifest(encode({ ...IMAGE, layers: [{ ...IMAGE.layers[0], urls: [] }] })).kind).toBe('image');
  });

  it('refuses every prefix of a document', async () => {
    for (const whole of [encode(IMAGE), encode(INDEX)]) {
      for (let length = 0; length < whole.length; length += 1) {
        expect((await raised(() => decodeManifest(whole.subarray(0, length)))).code).toBe('MANIFEST_INVALID');
      }
    }
  });

  it('answers a flipped bit with a document of its shape or with its own error', () => {
    for (const whole of [encode(IMAGE), encode(INDEX)]) {
      for (let bit = 0; bit < whole.length * 8; bit += 1) {
        const flipped = Buffer.from(whole);
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        expectDocumentOrError(() => decodeManifest(flipped));
      }
    }
  });

  it('answers any JSON, and any bytes, with a document of its shape or with its own error (property)', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => expectDocumentOrError(() => decodeManifest(bytes))));
    const member = fc.oneof(fc.jsonValue(), fc.constant(IMAGE.config), fc.constant(IMAGE.layers));
    const names = fc.constantFrom(
      'schemaVersion',
      'mediaType',
      'config',
      'layers',
      'manifests',
      'subject',
      'annotations',
    );
    const changed = fc.dictionary(names, member).map((change) => ({ ...IMAGE, ...change }));
    fc.assert(fc.property(changed, (document) => expectDocumentOrError(() => decodeManifest(encode(document)))));
  });
});

describe('image configurations', () => {
  it('names the platform', () => {
    expect(decodeConfigPlatform(encode({ os: 'linux', architecture: 'aarch64', variant: 'v8', config: {} }))).toEqual({
      os: 'linux',
      architecture: 'arm64',
    });
  });

  it.each([
    ['an empty object', encode({}), 'MANIFEST_INVALID'],
    ['an empty system', encode({ os: '', architecture: 'amd64' }), 'MANIFEST_INVALID'],
    ['another type', encode({ os: 1, architecture: 'amd64' }), 'MANIFEST_INVALID'],
    ['too many bytes', new Uint8Array(MAX_CONFIG_BYTES + 1), 'MANIFEST_TOO_LARGE'],
  ])('refuses %s', async (_name, bytes, code) => {
    expect((await raised(() => decodeConfigPlatform(bytes))).code).toBe(code);
  });
});

describe('artifact types', () => {
  it('is the manifest’s own, else the configuration’s, else the first layer’s', () => {
    const typeOf = (change: object) => artifactTypeOf(decodeManifest(encode({ ...IMAGE, ...change })));
    expect(typeOf({ artifactType: 'application/spdx+json' })).toBe('application/spdx+json');
    expect(typeOf({ config: descriptor('c', 'application/vnd.cncf.helm.config.v1+json') })).toMatch(/helm/);
    const layers = [descriptor('l', 'application/vnd.in-toto+json')];
    expect(typeOf({ layers, config: descriptor('c', MEDIA_TYPES.ociEmpty) })).toBe('application/vnd.in-toto+json');
    expect(typeOf({ layers: [] })).toBe(MEDIA_TYPES.ociConfig);
    expect(artifactTypeOf(decodeManifest(encode(INDEX)))).toBe(MEDIA_TYPES.ociIndex);
  });
});

function expectDocumentOrError(decode: () => { readonly kind: string }): void {
  try {
    expect(['image', 'index']).toContain(decode().kind);
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
  }
}
