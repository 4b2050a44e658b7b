import { link, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createFolderStore } from '../../../../src/adapters/object-store/folder/folder-store.ts';
import { expectOneCreator, expectWholeAfterKill } from '../../../support/folder-store-races.ts';
import { objectStoreSuite } from '../../../support/object-store-suite.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('a folder', () => {
  objectStoreSuite({
    async open() {
      const folder = join(await temporaryFolder(), 'repository');
      return { store: createFolderStore(folder), again: async () => createFolderStore(folder) };
    },
  });
});

async function keysOf(folder: string, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of createFolderStore(folder).list(prefix)) keys.push(key);
  return keys;
}

describe('files of a folder store', () => {
  test('lie under their keys, read-only, and nothing else is left', async () => {
    const folder = await temporaryFolder();
    await createFolderStore(folder).put('packs/ab/object', bytes('content'));
    expect(await readFile(join(folder, 'packs/ab/object'), 'utf8')).toBe('content');
    expect((await stat(join(folder, 'packs/ab/object'))).mode & 0o222).toBe(0);
    expect(await readdir(join(folder, '.tmp'))).toEqual([]);
  });

  test('a folder that is not there is not created by reading', async () => {
    const folder = join(await temporaryFolder(), 'deep', 'repository');
    const store = createFolderStore(folder);
    expect(await keysOf(folder)).toEqual([]);
    expect(await store.stat('repo.json')).toBeUndefined();
    expect(await raised(() => store.get('repo.json', { maxBytes: 9 }))).toMatchObject({ code: 'OBJECT_MISSING' });
    await store.remove(['repo.json']);
    await expect(stat(folder)).rejects.toThrow();
    expect(await store.put('repo.json', bytes('{}'))).toBe('created');
  });

  test('a folder that vanishes while it is used is no empty one that is filled afresh', async () => {
    const folder = join(await temporaryFolder(), 'repository');
    const store = createFolderStore(folder);
    await store.put('a/b', bytes('content'));
    await rename(folder, `${folder}-unmounted`);
    await mkdir(folder);
    expect(await raised(() => store.put('a/c', bytes('content')))).toMatchObject({ code: 'STORE_MISSING' });
    expect(await readdir(folder)).toEqual([]);
  });

  test('a folder of keys that somebody removed is created again', async () => {
    const folder = await temporaryFolder();
    const store = createFolderStore(folder);
    await store.put('a/b', bytes('content'));
    await rm(join(folder, 'a'), { recursive: true });
    const results = [];
    for (const _ of [1, 2]) results.push(await store.put('a/b', bytes('content')).catch((error) => error.code));
    expect(results.at(-1)).toBe('created');
  });

  test('those of others are passed over', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'lost+found'));
    await mkdir(join(folder, 'packs', '.hidden'), { recursive: true });
    await writeFile(join(folder, 'System Volume Information'), '');
    await writeFile(join(folder, '.DS_Store'), '');
    await writeFile(join(folder, 'packs', '.hidden', 'x'), '');
    await createFolderStore(folder).put('packs/x', bytes('x'));
    expect(await keysOf(folder)).toEqual(['packs/x']);
  });
});

describe('symbolic links', () => {
  test('to the folder itself are followed', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'disk'));
    await symlink('disk', join(folder, 'link'));
    const store = createFolderStore(join(folder, 'link'));
    expect(await store.put('a/b', bytes('content'))).toBe('created');
    expect(Buffer.from(await store.get('a/b', { maxBytes: 9 })).toString()).toBe('content');
    expect(await keysOf(join(folder, 'disk'))).toEqual(['a/b']);
  });

  test.each(['a file', 'a folder', 'nothing'])('inside, to %s, are refused', async (what) => {
    const outside = await temporaryFolder();
    await writeFile(join(outside, 'file'), 'secret');
    await mkdir(join(outside, 'folder'));
    await writeFile(join(outside, 'folder', 'b'), 'secret');
    const folder = await temporaryFolder();
    const name = what === 'a file' ? 'file' : what === 'a folder' ? 'folder' : 'none';
    await symlink(join(outside, name), join(folder, 'a'));
    const store = createFolderStore(folder);
    const refused = { name: 'AdapterError', code: 'STORE_FAILED' };
    expect(await raised(() => store.get('a', { maxBytes: 99 }))).toMatchObject(refused);
    expect(await raised(() => store.getRange('a', { offsetBytes: 0, lengthBytes: 1 }))).toMatchObject(refused);
    expect(await raised(() => store.stat('a'))).toMatchObject(refused);
    expect(await raised(() => keysOf(folder))).toMatchObject(refused);
    expect(await raised(() => store.remove(['a']))).toMatchObject(refused);
    expect(await store.put('a', bytes('content'))).toBe('exists');
    if (what === 'a folder') {
      expect(await raised(() => store.get('a/b', { maxBytes: 99 }))).toMatchObject(refused);
      expect(await raised(() => store.put('a/c', bytes('content')))).toMatchObject(refused);
      expect(await raised(() => store.put('a/d/e', bytes('content')))).toMatchObject(refused);
      expect(await raised(() => store.remove(['a/b']))).toMatchObject(refused);
      expect(await raised(() => keysOf(folder, 'a/'))).toMatchObject(refused);
    }
    expect(await readdir(join(outside, 'folder'))).toEqual(['b']);
    expect(await readFile(join(outside, 'file'), 'utf8')).toBe('secret');
    expect((await readdir(outside)).sort()).toEqual(['file', 'folder']);
  });
});

describe('other processes', () => {
  test('that race for the same keys: each has one creator', async () => {
    await expectOneCreator(await temporaryFolder());
  });

  test('that are killed leave no half object, and what they left is cleared', async () => {
    await expectWholeAfterKill(join(await temporaryFolder(), 'repository'));
  });

  test('of which it is not certain that they are gone keep their files', async () => {
    const folder = await temporaryFolder();
    const store = createFolderStore(folder);
    await store.put('first', bytes('content'));
    const work = join(folder, '.tmp');
    const [own = ''] = await namesWhile(work, () => store.put('second', new Uint8Array(8_000_000)));
    expect(own).toMatch(/^[0-9a-f]{16}\.\d+\.\w*\.[0-9a-f]{16}$/);
    const [machine, pid, started, random] = own.split('.');
    const names = {
      alive: own,
      otherStart: `${machine}.${pid}.1${started}.${random}`,
      gone: `${machine}.4194305.${started}.${random}`,
      otherMachine: `0123456789abcdef.${pid}.${started}.${random}`,
      otherMachineLongAgo: `0123456789abcdef.${pid}.1.${random}`,
      guard: `${'ab'.repeat(16)}.lock`,
      guardLongAgo: `${'cd'.repeat(16)}.lock.12.0`,
      others: 'notes.txt',
    };
    for (const name of Object.values(names)) await writeFile(join(work, name), 'x');
    const days = new Date(2020, 1, 1);
    for (const name of [names.otherMachineLongAgo, names.alive, names.guardLongAgo, names.others]) {
      await utimes(join(work, name), days, days);
    }
    await createFolderStore(folder).put('third', bytes('content'));
    expect((await readdir(work)).sort()).toEqual([names.alive, names.otherMachine, names.guard, names.others].sort());
  });
});

/** What a folder held at some time while the work was done. */
async function namesWhile(folder: string, work: () => Promise<unknown>): Promise<string[]> {
  const done = work().then(() => true);
  for (;;) {
    const names = await readdir(folder);
    if (names.length > 0) {
      await done;
      return names;
    }
    if (await Promise.race([done, new Promise((resolve) => setImmediate(resolve, false))])) return [];
  }
}

test('a hard link of an object is an object', async () => {
  const folder = await temporaryFolder();
  const store = createFolderStore(folder);
  await store.put('a', bytes('content'));
  await link(join(folder, 'a'), join(folder, 'b'));
  expect(await keysOf(folder)).toEqual(['a', 'b']);
});
