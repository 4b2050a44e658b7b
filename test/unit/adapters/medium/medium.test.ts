import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openMedium } from '../../../../src/adapters/medium/medium.ts';
import { digestOf, hexOf } from '../../../../src/core/digest.ts';
import { MEDIA_TYPES } from '../../../../src/formats/oci/manifest.ts';
import type { Descriptor } from '../../../../src/formats/oci/types.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';
const indexOf = (manifests: readonly Descriptor[]) =>
  Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }));
const entry = (seed: string, name?: string): Descriptor => ({
  mediaType: MEDIA_TYPES.ociManifest,
  digest: digestOf(seed),
  size: 1,
  ...(name === undefined ? {} : { annotations: { [REF_NAME]: name } }),
});

/** A medium whose index.json names these; documents are put among the blobs. */
async function mediumWith(manifests: readonly Descriptor[], documents: readonly Uint8Array[] = []): Promise<string> {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true });
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(folder, 'index.json'), indexOf(manifests));
  for (const bytes of documents) await writeFile(join(folder, 'blobs', 'sha256', hexOf(digestOf(bytes))), bytes);
  return folder;
}

const asEntry = (bytes: Uint8Array): Descriptor => ({
  mediaType: MEDIA_TYPES.ociIndex,
  digest: digestOf(bytes),
  size: bytes.length,
});

describe('readIndex', () => {
  test('an index among the entries stands for what it names', async () => {
    const inner = indexOf([entry('a', 'a-1'), entry('b')]);
    const medium = await openMedium(await mediumWith([asEntry(inner), entry('c', 'c-1')], [inner]));
    expect(await medium.readIndex()).toMatchObject([entry('a', 'a-1'), entry('b'), entry('c', 'c-1')]);
  });

  test('a manifest counts once for each tag, and once where it has none', async () => {
    const entries = [entry('a'), entry('a', 'a-1'), entry('a', 'a-2'), entry('a', 'a-1'), entry('b'), entry('b')];
    const medium = await openMedium(await mediumWith(entries));
    expect(await medium.readIndex()).toMatchObject([entry('a', 'a-1'), entry('a', 'a-2'), entry('b')]);
  });

  test('indexes that are too deep, and one that is missing or altered, are refused', async () => {
    let bytes = indexOf([entry('a')]);
    const documents = [bytes];
    for (let depth = 0; depth < 4; depth += 1) {
      bytes = indexOf([asEntry(bytes)]);
      documents.push(bytes);
    }
    const deep = await openMedium(await mediumWith([asEntry(bytes)], documents));
    await expect(deep.readIndex()).rejects.toMatchObject({ code: 'MANIFEST_LIMIT' });
    const missing = await openMedium(await mediumWith([asEntry(indexOf([entry('a')]))]));
    await expect(missing.readIndex()).rejects.toMatchObject({ code: 'BLOB_MISSING' });
    const folder = await mediumWith([asEntry(bytes)]);
    await writeFile(join(folder, 'blobs', 'sha256', hexOf(digestOf(bytes))), indexOf([]));
    await expect((await openMedium(folder)).readIndex()).rejects.toMatchObject({ code: 'BLOB_DAMAGED' });
  });
});

describe('lock', () => {
  test('creates a medium, and takes all of it away again where nothing was written', async () => {
    const folder = join(await temporaryFolder(), 'stick');
    const medium = await openMedium(folder, { create: true });
    {
      await using _lock = await medium.lock();
      expect((await readdir(folder)).sort()).toEqual(['.portolan', 'blobs', 'oci-layout']);
    }
    expect(await readdir(join(folder, '..'))).toEqual([]);
  });

  test('keeps a folder that was there, and what lies in it', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'lost+found'));
    {
      await using _lock = await (await openMedium(folder, { create: true })).lock();
    }
    expect(await readdir(folder)).toEqual(['lost+found']);
  });

  test('keeps blobs, and clears what is half written', async () => {
    const folder = join(await temporaryFolder(), 'stick');
    const medium = await openMedium(folder, { create: true });
    {
      await using _lock = await medium.lock();
      await medium.putBlob(Buffer.from('sealed'));
      await writeFile(medium.temporaryPath(), 'half');
      await writeFile(join(folder, '.index.json.0123456789abcdef.tmp'), 'half');
    }
    {
      await using _lock = await medium.lock();
    }
    expect((await readdir(folder)).sort()).toEqual(['blobs', 'oci-layout']);
    expect(await readdir(join(folder, 'blobs', 'sha256'))).toEqual([hexOf(digestOf('sealed'))]);
  });

  test.each(['blobs', '.portolan'])('refuses a medium whose %s is a link', async (name) => {
    const folder = await temporaryFolder();
    const elsewhere = await temporaryFolder();
    await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    await symlink(elsewhere, join(folder, name));
    const medium = await openMedium(folder, { create: true });
    await expect(medium.lock()).rejects.toMatchObject({ code: 'MEDIUM_NOT_OURS' });
    expect(await readdir(elsewhere)).toEqual([]);
  });
});
