import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createFolderStore } from '../../src/adapters/object-store/folder/folder-store.ts';
import { expectOneCreator, expectWholeAfterKill } from '../support/folder-store-races.ts';
import { fillDisk, mountExfat, mountTmpfs, remount } from '../support/mounts.ts';
import { objectStoreSuite } from '../support/object-store-suite.ts';
import { raised } from '../support/raised.ts';
import { temporaryFolder } from '../support/temporary.ts';

async function stick(sizeMiB = 128): Promise<string> {
  const folder = join(await temporaryFolder(), 'stick');
  await mountExfat(folder, sizeMiB);
  return join(folder, 'repository');
}

describe('a folder on a stick that knows no hard links', () => {
  objectStoreSuite({
    manyObjects: 300,
    ignoresCase: true,
    async open() {
      const folder = await stick();
      return { store: createFolderStore(folder), again: async () => createFolderStore(folder) };
    },
  });

  test('processes that race for the same keys: each has one creator', async () => {
    await expectOneCreator(await stick());
  });

  test('processes that are killed leave no half object, and what they left is cleared', async () => {
    await expectWholeAfterKill(await stick(1024));
  });
});

describe('a disk', () => {
  test('that is full says so and keeps nothing half; with space again it goes on', async () => {
    const folder = join(await temporaryFolder(), 'disk');
    await mountTmpfs(folder, 16);
    const store = createFolderStore(folder);
    await store.put('first', randomBytes(1000));
    const large = randomBytes(4_000_000);
    const empty = await fillDisk(folder);
    expect(await raised(() => store.put('packs/large', large))).toMatchObject({ code: 'STORE_FULL' });
    expect(await store.stat('packs/large')).toBeUndefined();
    expect(await readdir(join(folder, '.tmp'))).toEqual([]);
    await empty();
    expect(await store.put('packs/large', large)).toBe('created');
  });

  test('that is read-only is read, and says what it is', async () => {
    const folder = join(await temporaryFolder(), 'disk');
    await mountTmpfs(folder, 4);
    const store = createFolderStore(folder);
    await store.put('first', randomBytes(1000));
    await remount(folder, 'ro');
    const after = createFolderStore(folder);
    for (const one of [store, after]) {
      expect(await one.get('first', { maxBytes: 1000 })).toHaveLength(1000);
      expect(await raised(() => one.put('second', randomBytes(9)))).toMatchObject({ code: 'STORE_DENIED' });
      expect(await raised(() => one.remove(['first']))).toMatchObject({ code: 'STORE_DENIED' });
    }
  });
});
