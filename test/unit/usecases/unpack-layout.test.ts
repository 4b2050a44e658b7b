import { expect, test } from 'vitest';
import { digestOf } from '../../../src/core/digest.ts';
import type { Contents } from '../../../src/formats/bundle/contents.ts';
import { filesOf, imageIndexOf } from '../../../src/usecases/bundle/unpack-layout.ts';
import { exampleContents } from '../../support/contents-fixture.ts';

test('each thing has its folder; of images alone only blobs are left', () => {
  const contents = exampleContents();
  const paths = filesOf(contents, 'files').map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining([
      'sbom-index.json',
      'charts/app.tgz',
      'charts/app.values.json',
      'modules/core/001_core.sql',
      'configuration/site.json',
      'files/k3s/k3s',
    ]),
  );
  expect(filesOf(contents, 'oci-layout').every(({ path }) => path.startsWith('blobs/sha256/'))).toBe(true);
});

test('attachments stand in index.json once and without a tag, so that tools find what refers to an image', () => {
  const example = exampleContents();
  const [image] = example.images as [Contents['images'][number]];
  const [shared, own] = [digestOf('shared'), digestOf('own')];
  const images = [
    { ...image, attachments: [shared, own] },
    { ...image, reference: 'registry.example/web:2.0.0', digest: digestOf('second'), attachments: [shared] },
    // Somebody lists a signature as an image as well.
    { ...image, reference: 'registry.example/web:sig', digest: own, attachments: [] },
  ];
  const entries = imageIndexOf({ ...example, images }, new Map([[shared, 10]]));
  expect(
    entries.map(({ digest, annotations }) => [digest, annotations?.['org.opencontainers.image.ref.name']]),
  ).toEqual([
    [image.digest, image.reference],
    [digestOf('second'), 'registry.example/web:2.0.0'],
    [own, 'registry.example/web:sig'],
    [shared, undefined],
  ]);
  expect(entries[3]).toMatchObject({ size: 10, mediaType: 'application/vnd.oci.image.manifest.v1+json' });
});
