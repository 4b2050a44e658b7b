import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MANIFEST_MEDIA_TYPE, updateLayout } from '../../../scripts/images/layout.ts';
import { withLock } from '../../../scripts/images/lock.ts';
import { type Digest, digestOf, hexOf } from '../../../src/core/digest.ts';
import { temporaryFolder } from '../../support/temporary.ts';

/** A manifest with the given layers, each a blob with that text. */
function putImage(folder: string, reference: string, layers: readonly string[]) {
  return updateLayout(folder, reference, async (staged) => {
    const descriptors = [];
    for (const [index, text] of layers.entries()) {
      const path = join(staged.folder, String(index));
      await writeFile(path, text);
      await staged.take(path, digestOf(text));
      descriptors.push({ mediaType: 'text/plain', digest: digestOf(text), size: text.length });
    }
    return { mediaType: MANIFEST_MEDIA_TYPE, ...(await staged.put({ schemaVersion: 2, layers: descriptors })) };
  });
}

async function tags(folder: string): Promise<Record<string, Digest>> {
  const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'));
  return Object.fromEntries(
    index.manifests.map((item: { annotations: Record<string, string>; digest: Digest }) => [
      item.annotations['org.opencontainers.image.ref.name'],
      item.digest,
    ]),
  );
}

const blobs = async (folder: string) => (await readdir(join(folder, 'blobs/sha256'))).sort();

test('several images share a layout and its blobs', async () => {
  const folder = await temporaryFolder();
  const one = await putImage(folder, 'portolan.local/one:1', ['base', 'one']);
  const two = await putImage(folder, 'portolan.local/two:1', ['base', 'two']);
  expect(await tags(folder)).toEqual({ 'portolan.local/one:1': one.digest, 'portolan.local/two:1': two.digest });
  const expected = [one.digest, two.digest, digestOf('base'), digestOf('one'), digestOf('two')].map(hexOf).sort();
  expect(await blobs(folder)).toEqual(expected);
  expect(JSON.parse(await readFile(join(folder, 'oci-layout'), 'utf8'))).toEqual({ imageLayoutVersion: '1.0.0' });
});

test('a new image under a tag takes the place of the former one, whose blobs go unless others use them', async () => {
  const folder = await temporaryFolder();
  const other = await putImage(folder, 'other:1', ['shared']);
  await putImage(folder, 'image:1', ['shared', 'former']);
  const image = await putImage(folder, 'image:1', ['present']);
  expect(await tags(folder)).toEqual({ 'image:1': image.digest, 'other:1': other.digest });
  expect(await blobs(folder)).toEqual(
    [other.digest, image.digest, digestOf('shared'), digestOf('present')].map(hexOf).sort(),
  );
});

test('builds at the same time lose nothing', async () => {
  const folder = await temporaryFolder();
  const names = Array.from({ length: 12 }, (_, index) => `image-${index}:1`);
  await Promise.all(names.map((name) => putImage(folder, name, ['base', name])));
  expect(Object.keys(await tags(folder)).sort()).toEqual([...names].sort());
  expect(await blobs(folder)).toHaveLength(1 + 2 * names.length);
});

test('a build that fails leaves the layout as it was', async () => {
  const folder = await temporaryFolder();
  await putImage(folder, 'image:1', ['layer']);
  const before = { tags: await tags(folder), blobs: await blobs(folder), files: await readdir(folder) };
  const failing = updateLayout(folder, 'image:1', async (staged) => {
    await staged.put({ schemaVersion: 2 });
    throw new Error('no such package');
  });
  await expect(failing).rejects.toThrow('no such package');
  expect({ tags: await tags(folder), blobs: await blobs(folder), files: await readdir(folder) }).toEqual(before);
});

test('a lock whose process is gone is taken over', async () => {
  const path = join(await temporaryFolder(), 'lock');
  // Beyond the largest process number that Linux gives (2^22).
  await writeFile(path, '4194305');
  expect(await withLock(path, async () => readFile(path, 'utf8'))).toBe(String(process.pid));
  await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('what a killed build left is removed, what a running one works on stays', async () => {
  const folder = await temporaryFolder();
  for (const owner of ['4194305', String(process.ppid)]) await mkdir(join(folder, `.work-${owner}-abcdef`));
  await putImage(folder, 'image:1', ['layer']);
  const left = (await readdir(folder)).filter((name) => name.startsWith('.work-'));
  expect(left).toEqual([`.work-${process.ppid}-abcdef`]);
});
