import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../../../src/core/canonical-json.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { decodeSbomIndex, encodeSbomIndex, type SbomImage } from '../../../../src/formats/bundle/sbom-index.ts';
import { FormatError } from '../../../../src/formats/errors.ts';

const code = expect.objectContaining({ constructor: FormatError, code: 'SBOM_INDEX_INVALID' });
const item = (name: string, version = '1') => ({
  type: 'npm' as const,
  name,
  version,
  purl: `pkg:npm/${name}@${version}`,
});
const image = (reference: string, change: Partial<SbomImage> = {}): SbomImage => ({
  reference,
  root: { digest: digestOf(reference), size: 7, mediaType: 'application/vnd.oci.image.index.v1+json' },
  platforms: [
    {
      platform: 'linux/amd64',
      manifest: digestOf('m'),
      layers: [
        {
          digest: digestOf('z'),
          size: 1,
          mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
          packages: 'read',
          reasons: [],
        },
        { digest: digestOf('a'), size: 2, mediaType: 'application/x', packages: 'not-read', reasons: ['media-type'] },
      ],
      base: { name: 'registry.example/base:1', digest: digestOf('base') },
      distribution: { id: 'debian', versionId: '12' },
      packages: [item('b'), item('a', '2'), item('a'), item('b')],
    },
  ],
  attachments: [{ subject: digestOf('m'), digest: digestOf('sbom'), artifactType: 'application/spdx+json' }],
  ...change,
});

test('it reads back, sorted, each package once, layers in their order', () => {
  const index = decodeSbomIndex(encodeSbomIndex([image('b'), image('a')]));
  expect(index.images.map(({ reference }) => reference)).toEqual(['a', 'b']);
  const platform = index.images[0]?.platforms[0];
  expect(platform?.packages.map(({ purl }) => purl)).toEqual(['pkg:npm/a@1', 'pkg:npm/a@2', 'pkg:npm/b@1']);
  expect(platform?.layers.map(({ digest }) => digest)).toEqual([digestOf('z'), digestOf('a')]);
});

test('the order in which things were found does not show', () => {
  const packages = ['d', 'c', 'b', 'a'].map((name) => item(name));
  const attachments = ['2', '1', '2'].map((name) => ({
    subject: digestOf('m'),
    digest: digestOf(name),
    artifactType: 'x',
  }));
  const variant = (order: typeof packages, attached: typeof attachments) => {
    const [platform] = image('x').platforms;
    if (platform === undefined) throw new Error('no platform');
    const other = { ...platform, platform: 'linux/arm64', packages: order };
    return image('x', { platforms: [{ ...platform, packages: order }, other], attachments: attached });
  };
  const reference = encodeSbomIndex([variant(packages, attachments), image('y')]);
  fc.assert(
    fc.property(
      fc.shuffledSubarray(packages, { minLength: 4 }),
      fc.shuffledSubarray(attachments, { minLength: 3 }),
      fc.boolean(),
      (order, attached, swap) => {
        const images = [variant(order, attached), image('y')];
        const flipped = images.map((one) => ({ ...one, platforms: one.platforms.toReversed() })).reverse();
        expect(encodeSbomIndex(swap ? flipped : images)).toEqual(reference);
      },
    ),
  );
});

test('an empty index', () => {
  expect(decodeSbomIndex(encodeSbomIndex([])).images).toEqual([]);
});

test.each([
  ['another version', (text: string) => text.replace('index.v1+json","', 'x')],
  ['an unknown member', (text: string) => text.replace('"reference"', '"references"')],
  ['a digest that is none', (text: string) => text.replaceAll('sha256:', 'md5:')],
  ['a purl that is none', (text: string) => text.replaceAll('pkg:npm', 'npm')],
  ['a media type of a newer version', (text: string) => text.replace('sbom-index.v1', 'sbom-index.v2')],
])('an index with %s is refused', (_, change) => {
  const text = Buffer.from(encodeSbomIndex([image('a')])).toString();
  expect(change(text)).not.toBe(text);
  expect(() => decodeSbomIndex(Buffer.from(change(text)))).toThrow(code);
});

test('cut at any place it is refused', () => {
  const bytes = encodeSbomIndex([image('a')]);
  for (let length = 0; length < bytes.length; length += 1) {
    expect(() => decodeSbomIndex(bytes.subarray(0, length))).toThrow(code);
  }
});

test('arbitrary bytes are refused with our own error', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        expect(() => decodeSbomIndex(bytes)).toThrow(code);
      },
    ),
  );
});

test('it is canonical JSON', () => {
  const bytes = encodeSbomIndex([image('b'), image('a')]);
  expect(canonicalJson(JSON.parse(Buffer.from(bytes).toString()))).toBe(Buffer.from(bytes).toString());
});

test('an index that no reader would take is not written', () => {
  const images = [image('a'), image('b')];
  const { length } = encodeSbomIndex(images);
  expect(encodeSbomIndex(images, { maxBytes: length })).toHaveLength(length);
  expect(() => encodeSbomIndex(images, { maxBytes: length - 1 })).toThrow(
    expect.objectContaining({ constructor: FormatError, code: 'SBOM_INDEX_TOO_LARGE' }),
  );
});
