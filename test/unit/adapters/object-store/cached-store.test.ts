import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cachedStore } from '../../../../src/adapters/object-store/wrappers/cached-store.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { faultyStore } from '../../../support/faulty-store.ts';
import { createMemoryStore, type MemoryStore } from '../../../support/memory-store.ts';
import { objectStoreSuite } from '../../../support/object-store-suite.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const now = () => Date.now();
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array) => Buffer.from(content).toString();
const KEY = 'snapshots/writer/00000001.json';

describe('a store with a cache', () => {
  objectStoreSuite({
    manyObjects: 300,
    async open() {
      const store = createMemoryStore();
      const open = async () => cachedStore(store, { folder: await temporaryFolder(), now });
      return { store: await open(), again: open };
    },
  });
});

async function opened(memory: MemoryStore, maxBytes?: number) {
  const folder = await temporaryFolder();
  const counted = faultyStore(memory);
  const again = () => cachedStore(counted, { folder, now, ...(maxBytes === undefined ? {} : { maxBytes }) });
  return { folder, counted, again, store: again() };
}

describe('a cache', () => {
  test('asks once for what is small, and keeps it over the end of the program', async () => {
    const memory = createMemoryStore();
    for (const key of [KEY, 'keys/00000001.json', 'index/w/r.0.age']) {
      await memory.put(key, bytes(key));
      const { counted, store, again } = await opened(memory);
      for (const one of [store, store, again()]) expect(text(await one.get(key, { maxBytes: 99 }))).toBe(key);
      expect(counted.calls).toHaveLength(1);
    }
  });

  test('keeps what was put', async () => {
    const { counted, store } = await opened(createMemoryStore());
    expect(await store.put(KEY, bytes('content'))).toBe('created');
    expect(text(await store.get(KEY, { maxBytes: 99 }))).toBe('content');
    expect(counted.calls.map(({ method }) => method)).toEqual(['put']);
    expect(await store.put(KEY, bytes('other'))).toBe('exists');
    expect(text(await store.get(KEY, { maxBytes: 99 }))).toBe('content');
  });

  test('keeps neither packs nor what says which repository it is', async () => {
    const memory = createMemoryStore();
    for (const key of ['packs/ab/cd', 'repo.json', 'marks/x']) {
      await memory.put(key, bytes(key));
      const { counted, store, folder } = await opened(memory);
      for (const _ of [1, 2]) expect(text(await store.get(key, { maxBytes: 99 }))).toBe(key);
      expect(counted.calls).toHaveLength(2);
      expect(await readdir(folder)).toEqual([]);
    }
  });

  test('gives nothing that has another digest, or was altered, or is too large', async () => {
    const memory = createMemoryStore();
    await memory.put(KEY, bytes('true'));
    const { folder, counted, store } = await opened(memory);
    await store.get(KEY, { maxBytes: 99 });
    const [name = ''] = await readdir(folder);
    const file = join(folder, name);
    const whole = await readFile(file);

    for (let index = 0; index < whole.length; index += 1) {
      await writeFile(
        file,
        whole.map((value, at) => (at === index ? value ^ 1 : value)),
      );
      expect(text(await store.get(KEY, { maxBytes: 99 }))).toBe('true');
      await writeFile(file, whole.subarray(0, index));
      expect(text(await store.get(KEY, { maxBytes: 99 }))).toBe('true');
    }
    expect(counted.calls).toHaveLength(1 + 2 * whole.length);

    memory.overwrite(KEY, bytes('newer'));
    const expected = { digest: digestOf(bytes('newer')), sizeBytes: 5 };
    expect(text(await store.get(KEY, { maxBytes: 99, expected }))).toBe('newer');
    expect(await raised(() => store.get(KEY, { maxBytes: 4 }))).toMatchObject({ code: 'OBJECT_TOO_LARGE' });
  });

  test('forgets what is removed', async () => {
    const memory = createMemoryStore();
    const { store, folder } = await opened(memory);
    await store.put(KEY, bytes('content'));
    await store.remove([KEY]);
    expect(await readdir(folder)).toEqual([]);
    expect(await raised(() => store.get(KEY, { maxBytes: 9 }))).toMatchObject({ code: 'OBJECT_MISSING' });
  });

  test('stays under its size, and keeps what was used last', async () => {
    const memory = createMemoryStore();
    const maxBytes = 100_000;
    const { folder, counted, store, again } = await opened(memory, maxBytes);
    const key = (index: number) => `index/writer/run.${index}.age`;
    for (let index = 0; index < 40; index += 1) {
      await again().put(key(index), new Uint8Array(10_000).fill(index));
      const sizes = await Promise.all(
        (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size),
      );
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(maxBytes);
    }
    const before = counted.calls.length;
    await store.get(key(39), { maxBytes: 1e6 });
    expect(counted.calls).toHaveLength(before);
    await store.get(key(0), { maxBytes: 1e6 });
    expect(counted.calls).toHaveLength(before + 1);
    await store.put(key(99), new Uint8Array(maxBytes));
    expect(text(await store.get(key(99), { maxBytes: 1e6 }))).toHaveLength(maxBytes);
  });

  test('that cannot be written is no failure', async () => {
    const memory = createMemoryStore();
    const folder = join(await temporaryFolder(), 'file');
    await writeFile(folder, 'no folder');
    const store = cachedStore(memory, { folder: join(folder, 'cache'), now });
    expect(await store.put(KEY, bytes('content'))).toBe('created');
    expect(text(await store.get(KEY, { maxBytes: 9 }))).toBe('content');
  });
});
