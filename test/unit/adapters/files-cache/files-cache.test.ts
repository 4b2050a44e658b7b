import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { filesCacheOpener } from '../../../../src/adapters/files-cache/files-cache.ts';
import { CHUNK_RECORD_BYTES } from '../../../../src/formats/repository/chunk-table.ts';
import type { FileSigns } from '../../../../src/formats/repository/files-cache.ts';
import type { FilesCache } from '../../../../src/ports/files-cache.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const { signal } = new AbortController();
const signs: FileSigns = { sizeBytes: 7, mtimeNs: -1n, ctimeNs: 1_700_000_000_123_456_789n, inode: 2n ** 63n };
const pathOf = (index: number) => Buffer.from(`folder/file ${index}`);
const tableOf = (chunks: number) => randomBytes(chunks * CHUNK_RECORD_BYTES);

async function cacheIn(folder: string, settings: { readonly scope?: string; readonly isUsed?: boolean } = {}) {
  const problems: unknown[] = [];
  const path = join(folder, 'state/files.cache');
  const open = filesCacheOpener({
    ...{ path, scope: 'one', isUsed: true, onProblem: (error) => problems.push(error) },
    ...settings,
  });
  return { path, problems, open: () => open({ signal }) };
}

async function kept(folder: string, put: (cache: FilesCache) => void): Promise<string> {
  const { path, open } = await cacheIn(folder);
  await using cache = await open();
  put(cache);
  await cache.commit();
  return path;
}

test('finds of ten thousand files each with its own chunks, those of many blocks too, and no other', async () => {
  const folder = await temporaryFolder();
  const tables = Array.from({ length: 10_000 }, (_, index) => tableOf(index % 1000 === 5 ? 30_000 : (index % 3) + 1));
  const path = await kept(folder, (cache) => {
    for (const [index, table] of tables.entries()) cache.put(pathOf(index), signs, table);
  });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const { open } = await cacheIn(folder);
  await using cache = await open();
  for (const index of [0, 5, 9999, 1, 5005, 3, ...tables.keys()]) {
    expect(Buffer.from(cache.find(pathOf(index), signs) ?? []).equals(tables[index] as Buffer), `${index}`).toBe(true);
  }
  expect(cache.find(pathOf(10_000), signs)).toBeUndefined();
});

test('a file of other signs is another file', async () => {
  const folder = await temporaryFolder();
  await kept(folder, (cache) => cache.put(pathOf(1), signs, tableOf(1)));
  const { open } = await cacheIn(folder);
  await using cache = await open();
  expect(cache.find(pathOf(1), signs)).toBeDefined();
  const others = [{ sizeBytes: 8 }, { mtimeNs: 0n }, { ctimeNs: signs.ctimeNs + 1n }, { inode: 1n }];
  for (const other of others) expect(cache.find(pathOf(1), { ...signs, ...other })).toBeUndefined();
});

test('only what was committed is there, and nothing else is left', async () => {
  const folder = await temporaryFolder();
  await kept(folder, (cache) => cache.put(pathOf(1), signs, tableOf(1)));
  const { path, open, problems } = await cacheIn(folder);
  const before = await readFile(path);
  {
    await using cache = await open();
    cache.put(pathOf(2), signs, tableOf(1));
  }
  expect(await readFile(path)).toEqual(before);
  expect(await readdir(join(folder, 'state'))).toEqual(['files.cache']);
  expect(problems).toEqual([]);
});

test('of another scope, or when it is not wanted, nothing is found, and what is put is kept', async () => {
  for (const settings of [{ scope: 'two' }, { isUsed: false }]) {
    const folder = await temporaryFolder();
    await kept(folder, (cache) => cache.put(pathOf(1), signs, tableOf(1)));
    const { open } = await cacheIn(folder, settings);
    {
      await using cache = await open();
      expect(cache.find(pathOf(1), signs)).toBeUndefined();
      cache.put(pathOf(2), signs, tableOf(1));
      await cache.commit();
    }
    await using again = await (await cacheIn(folder, { ...settings, isUsed: true })).open();
    expect(again.find(pathOf(2), signs)).toBeDefined();
    expect(again.find(pathOf(1), signs)).toBeUndefined();
  }
});

test('one with a bit flipped anywhere, or cut anywhere, is not used', async () => {
  const folder = await temporaryFolder();
  const path = await kept(folder, (cache) => {
    cache.put(pathOf(1), signs, tableOf(1));
    cache.put(pathOf(2), signs, tableOf(2));
  });
  const whole = await readFile(path);
  const { open, problems } = await cacheIn(folder);
  const findsNothing = async () => {
    await using cache = await open();
    return [1, 2].every((index) => cache.find(pathOf(index), signs) === undefined);
  };
  expect(await findsNothing()).toBe(false);
  for (let at = 0; at < whole.length; at += 1) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
    await writeFile(path, flipped);
    expect(await findsNothing(), `flipped at ${at}`).toBe(true);
    await writeFile(path, whole);
    await truncate(path, at);
    expect(await findsNothing(), `cut at ${at}`).toBe(true);
  }
  expect(problems).toEqual([]);
});

test('what stands in its way is told once, and the run goes on without it', async () => {
  const folder = await temporaryFolder();
  const { path, open, problems } = await cacheIn(folder);
  await mkdir(path, { recursive: true });
  {
    await using cache = await open();
    expect(cache.find(pathOf(1), signs)).toBeUndefined();
    cache.put(pathOf(1), signs, tableOf(1));
    await cache.commit();
  }
  expect(problems.length).toBeGreaterThan(0);
  expect(await readdir(join(folder, 'state'))).toEqual(['files.cache']);
});
