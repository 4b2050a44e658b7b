import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareKeys } from '../../src/adapters/object-store/object-key.ts';
import { digestOf } from '../../src/core/digest.ts';
import type { ListOptions, ObjectEntry, ObjectStore } from '../../src/ports/object-store.ts';
import { raised } from './raised.ts';

export interface ObjectStoreSubject {
  /** Empty, and of the running test alone. */
  open(): Promise<{
    readonly store: ObjectStore;
    /** The same place, as another program sees it. */
    readonly again: () => Promise<ObjectStore>;
  }>;
  /** How many objects the long listing has; 2,000. */
  readonly manyObjects?: number;
  /** Where versions are kept, some storages take the mark of a removal for an object. */
  readonly removedStaysTaken?: boolean;
  /** `a` and `A` are one name. */
  readonly ignoresCase?: boolean;
}

const MIB = 1 << 20;
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const bytesOf = (content: string) => new TextEncoder().encode(content);
const equal = (left: Uint8Array, right: Uint8Array) => Buffer.compare(left, right) === 0;
const expectedOf = (bytes: Uint8Array) => ({ digest: digestOf(bytes), sizeBytes: bytes.length });

async function keysOf(store: ObjectStore, prefix = '', after?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, after === undefined ? {} : { after })) keys.push(key);
  return keys;
}

async function entriesOf(store: ObjectStore, options: ListOptions = {}): Promise<ObjectEntry[]> {
  const entries: ObjectEntry[] = [];
  for await (const entry of store.list('', options)) entries.push(entry);
  return entries;
}

/** What every ObjectStore must do. */
export function objectStoreSuite(subject: ObjectStoreSubject): void {
  describe('creating', () => {
    test('an object is there as it was put, for every reader, and stays so', async () => {
      const { store, again } = await subject.open();
      const content = randomBytes(70_001);
      expect(await store.put('packs/ab/object', content)).toBe('created');
      expect(await store.put('packs/ab/object', bytesOf('another'))).toBe('exists');
      expect(await store.put('packs/ab/object', content)).toBe('exists');
      expect(await store.put('repo.json', bytesOf('{}'))).toBe('created');
      const other = await again();
      expect(equal(await other.get('packs/ab/object', { maxBytes: MIB }), content)).toBe(true);
      expect(await other.put('repo.json', bytesOf('[]'))).toBe('exists');
      expect(text(await store.get('repo.json', { maxBytes: 2 }))).toBe('{}');
    });

    test('of several that race for a key, one creates it, whole', async () => {
      const { store, again } = await subject.open();
      const writers = [store, await again(), store, await again()];
      for (let round = 0; round < 12; round += 1) {
        const key = `snapshots/writer/${round}.json`;
        const contents = writers.map((_, index) => randomBytes(40_000 + index));
        const results = await Promise.all(
          writers.map((writer, index) => writer.put(key, contents[index] as Uint8Array)),
        );
        expect(results.filter((one) => one === 'created')).toHaveLength(1);
        const stored = await store.get(key, { maxBytes: MIB });
        expect(equal(stored, contents[results.indexOf('created')] as Uint8Array)).toBe(true);
      }
    });

    test('16 MiB and nothing at all', async () => {
      const { store } = await subject.open();
      // As the workers hand them over.
      const large = new Uint8Array(new SharedArrayBuffer(16 * MIB + 777));
      createHash('shake256', { outputLength: large.length }).update('seed').digest().copy(large);
      expect(await store.put('packs/large', large)).toBe('created');
      expect(await store.put('empty', new Uint8Array())).toBe('created');
      expect(await store.put('empty', bytesOf('not'))).toBe('exists');
      const options = { maxBytes: 17 * MIB, expected: expectedOf(large) };
      expect(equal(await store.get('packs/large', options), large)).toBe(true);
      expect(await store.get('empty', { maxBytes: 0 })).toHaveLength(0);
      expect(await store.stat('empty')).toMatchObject({ sizeBytes: 0 });
      const into = new Uint8Array(new SharedArrayBuffer(large.length));
      await store.getRange('packs/large', { offsetBytes: 0, lengthBytes: large.length }, { into });
      expect(equal(into, large)).toBe(true);
    });

    test('bytes that are not all of their buffer', async () => {
      const { store } = await subject.open();
      const whole = randomBytes(5000);
      await store.put('part', whole.subarray(1000, 3000));
      expect(equal(await store.get('part', { maxBytes: MIB }), whole.subarray(1000, 3000))).toBe(true);
    });
  });

  describe('reading', () => {
    test('what is not there, and what is not as it should be', async () => {
      const { store } = await subject.open();
      const content = bytesOf('content');
      await store.put('index/writer/object', content);
      const get = (key: string, options: Parameters<ObjectStore['get']>[1]) => raised(() => store.get(key, options));
      expect(await get('none', { maxBytes: 9 })).toMatchObject({ name: 'AdapterError', code: 'OBJECT_MISSING' });
      const folder = await raised(() => store.getRange('index/writer', { offsetBytes: 0, lengthBytes: 1 }));
      expect(folder).toMatchObject({ code: 'OBJECT_MISSING' });
      expect(await get('none/at/all', { maxBytes: 9 })).toMatchObject({ code: 'OBJECT_MISSING' });
      expect(await get('index/writer', { maxBytes: 9 })).toMatchObject({ code: 'OBJECT_MISSING' });
      expect(await get('index/writer/object', { maxBytes: 6 })).toMatchObject({ code: 'OBJECT_TOO_LARGE' });
      for (const other of [bytesOf('Content'), bytesOf('contents')]) {
        const expected = expectedOf(other);
        expect(await get('none', { maxBytes: 9, expected })).toMatchObject({ code: 'OBJECT_MISSING' });
        const error = await get('index/writer/object', { maxBytes: 9, expected });
        expect(error).toMatchObject({ code: 'OBJECT_DAMAGED', at: { digest: expected.digest } });
      }
      expect(text(await store.get('index/writer/object', { maxBytes: 7, expected: expectedOf(content) }))).toBe(
        'content',
      );
      expect(await store.stat('none')).toBeUndefined();
      expect(await store.stat('index/writer')).toBeUndefined();
      expect(await store.versions('none')).toEqual([]);
    });

    test('any range, into memory that is given or not', async () => {
      const { store } = await subject.open();
      const content = randomBytes(3000);
      await store.put('packs/object', content);
      const range = fc.tuple(fc.nat(2999), fc.nat(3000)).map(([offsetBytes, length]) => ({
        offsetBytes,
        lengthBytes: Math.min(length, 3000 - offsetBytes),
      }));
      await fc.assert(
        fc.asyncProperty(range, fc.boolean(), async ({ offsetBytes, lengthBytes }, isGiven) => {
          const into = isGiven ? new Uint8Array(lengthBytes + 3).fill(7) : undefined;
          const options = into === undefined ? {} : { into };
          const read = await store.getRange('packs/object', { offsetBytes, lengthBytes }, options);
          expect(equal(read, content.subarray(offsetBytes, offsetBytes + lengthBytes))).toBe(true);
          if (into === undefined) return;
          expect(read.buffer).toBe(into.buffer);
          expect([...into.subarray(lengthBytes)]).toEqual([7, 7, 7]);
        }),
        { numRuns: 40 },
      );
    });

    test('a range beyond the end, or of nothing', async () => {
      const { store } = await subject.open();
      await store.put('object', bytesOf('0123456789'));
      for (const [offsetBytes, lengthBytes] of [
        [8, 3],
        [10, 1],
        [500, 20],
      ] as const) {
        const error = await raised(() => store.getRange('object', { offsetBytes, lengthBytes }));
        expect(error).toMatchObject({ name: 'AdapterError', code: 'OBJECT_DAMAGED' });
      }
      const missing = await raised(() => store.getRange('none', { offsetBytes: 0, lengthBytes: 1 }));
      expect(missing).toMatchObject({ code: 'OBJECT_MISSING' });
      expect(await store.getRange('object', { offsetBytes: 3, lengthBytes: 0 })).toHaveLength(0);
      await expect(store.getRange('object', { offsetBytes: -1, lengthBytes: 2 })).rejects.toThrow(RangeError);
      const into = new Uint8Array(3);
      await expect(store.getRange('object', { offsetBytes: 0, lengthBytes: 4 }, { into })).rejects.toThrow(RangeError);
    });

    test('a version by its name', async () => {
      const { store } = await subject.open();
      await store.put('object', bytesOf('content'));
      const [only, ...others] = await store.versions('object');
      expect(others).toEqual([]);
      expect(only).toMatchObject({ key: 'object', sizeBytes: 7, version: expect.any(String) });
      const version = only?.version ?? '';
      expect(text(await store.getRange('object', { offsetBytes: 3, lengthBytes: 4 }, { version }))).toBe('tent');
    });
  });

  describe('listing', () => {
    test('is in the order of the bytes, by whole segments, from any key on', async () => {
      const { store } = await subject.open();
      const keys = [
        'a-b/c',
        'a',
        'a.b',
        'ab/c/d',
        'ab/c-d',
        'ab/c.d',
        'A/z',
        'a0',
        '_/x',
        '-/x',
        'b/1',
        'ab/B',
        'abc/d',
      ].filter((key) => subject.ignoresCase !== true || key !== 'A/z');
      for (const [index, key] of keys.entries()) await store.put(key, new Uint8Array(index));
      const sorted = keys.toSorted(compareKeys);
      expect(await keysOf(store)).toEqual(sorted);
      expect(await keysOf(store, 'ab/')).toEqual(['ab/B', 'ab/c-d', 'ab/c.d', 'ab/c/d']);
      expect(await keysOf(store, 'ab/c/')).toEqual(['ab/c/d']);
      expect(await keysOf(store, 'none/')).toEqual([]);
      for (const after of [...keys, 'ab/', 'ab/c', 'ab/c/zz', '', 'zzz', 'a-']) {
        expect(await keysOf(store, '', after)).toEqual(sorted.filter((key) => key > after));
        expect(await keysOf(store, 'ab/', after)).toEqual(sorted.filter((key) => key > after && key.startsWith('ab/')));
      }
      for await (const { key, sizeBytes } of store.list('')) expect(sizeBytes).toBe(keys.indexOf(key));
    });

    test('says when an object was created, by the storage’s clock', async () => {
      const { store } = await subject.open();
      // Some storages keep whole seconds.
      const before = Math.floor((await store.now()).getTime() / 1000) * 1000;
      await store.put('object', bytesOf('content'));
      const after = (await store.now()).getTime() + 2000;
      const listed = await entriesOf(store);
      for (const entry of [...listed, await store.stat('object')]) {
        expect(entry).toMatchObject({ key: 'object', sizeBytes: 7 });
        expect(entry?.modified.getTime()).toBeGreaterThanOrEqual(before);
        expect(entry?.modified.getTime()).toBeLessThanOrEqual(after);
      }
    });

    test('goes through thousands of objects, and can be left', async () => {
      const { store } = await subject.open();
      const count = subject.manyObjects ?? 2000;
      const keys = Array.from({ length: count }, (_, index) => {
        const name = createHash('sha256').update(String(index)).digest('hex');
        return `packs/${name.slice(0, 1)}/${name}`;
      });
      for (let start = 0; start < count; start += 50) {
        await Promise.all(keys.slice(start, start + 50).map((key) => store.put(key, bytesOf(key))));
      }
      keys.sort(compareKeys);
      expect(await keysOf(store)).toEqual(keys);
      const middle = keys[count >> 1] as string;
      expect(await keysOf(store, 'packs/', middle)).toEqual(keys.slice((count >> 1) + 1));
      for await (const { key } of store.list('packs/')) {
        expect(key).toBe(keys[0]);
        break;
      }
      await store.remove(keys.slice(0, -1));
      expect(await keysOf(store)).toEqual(keys.slice(-1));
    });
  });

  describe('removing', () => {
    test('takes what is named, and minds nothing that is not there', async () => {
      const { store } = await subject.open();
      for (const key of ['a/b', 'a/c', 'd']) await store.put(key, bytesOf(key));
      await store.remove([]);
      await store.remove(['a/b', 'none', 'none/deep', 'd']);
      expect(await keysOf(store)).toEqual(['a/c']);
      expect(await store.stat('a/b')).toBeUndefined();
      expect(await raised(() => store.get('a/b', { maxBytes: 9 }))).toMatchObject({ code: 'OBJECT_MISSING' });
      const again = await store.put('a/b', bytesOf('new'));
      expect(again).toBe(subject.removedStaysTaken ? 'exists' : 'created');
      if (again === 'created') expect(text(await store.get('a/b', { maxBytes: 9 }))).toBe('new');
    });
  });

  describe('refusing', () => {
    test.each([
      '',
      '/',
      '../x',
      'a/../b',
      'a//b',
      'a/',
      '/a',
      '.tmp/x',
      'a/.b',
      'a b',
      'ä',
      'a\0b',
      'a\\b',
      'x'.repeat(513),
    ])('the key %j', async (key) => {
      const { store } = await subject.open();
      const refused = { name: 'AdapterError', code: 'OBJECT_KEY_INVALID' };
      expect(await raised(() => store.put(key, bytesOf('x')))).toMatchObject(refused);
      expect(await raised(() => store.get(key, { maxBytes: 9 }))).toMatchObject(refused);
      expect(await raised(() => store.getRange(key, { offsetBytes: 0, lengthBytes: 1 }))).toMatchObject(refused);
      expect(await raised(() => store.stat(key))).toMatchObject(refused);
      expect(await raised(() => store.versions(key))).toMatchObject(refused);
      expect(await raised(() => store.remove([key]))).toMatchObject(refused);
      if (key !== '' && key !== 'a/') expect(await raised(() => keysOf(store, key))).toMatchObject(refused);
      expect(await keysOf(store)).toEqual([]);
    });
  });

  describe('aborting', () => {
    test('before a call rejects with the reason, and does nothing', async () => {
      const { store } = await subject.open();
      await store.put('object', bytesOf('content'));
      const reason = new Error('stopped by the test');
      const options = { signal: AbortSignal.abort(reason) };
      for (const work of [
        () => store.put('other', bytesOf('x'), options),
        () => store.get('object', { maxBytes: 9, ...options }),
        () => store.getRange('object', { offsetBytes: 0, lengthBytes: 1 }, options),
        () => store.stat('object', options),
        () => store.versions('object', options),
        () => store.remove(['object'], options),
        () => store.now(options),
        () => entriesOf(store, options),
      ]) {
        await expect(work()).rejects.toBe(reason);
      }
      expect(await keysOf(store)).toEqual(['object']);
    });

    test('in the middle leaves a whole object or none, and the store goes on', async () => {
      const { store, again } = await subject.open();
      const content = randomBytes(8 * MIB);
      const reason = new Error('stopped by the test');
      for (let round = 0; round < 8; round += 1) {
        const controller = new AbortController();
        const key = `packs/${round}`;
        const put = store.put(key, content, { signal: controller.signal }).catch((error) => error);
        setTimeout(() => controller.abort(reason), round * 3);
        const result = await put;
        expect([reason, 'created']).toContain(result);
        const entry = await (await again()).stat(key);
        if (result === 'created') expect(entry).toMatchObject({ sizeBytes: content.length });
        if (entry !== undefined) {
          expect(equal(await store.get(key, { maxBytes: 9 * MIB }), content)).toBe(true);
        }
      }
      expect(['created', 'exists']).toContain(await store.put('packs/0', content));
    });
  });
}
