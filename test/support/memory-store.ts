import { checkObjectKey, checkPrefix, compareKeys } from '../../src/adapters/object-store/object-key.ts';
import { rangeTarget } from '../../src/adapters/object-store/range-target.ts';
import {
  objectMissing,
  objectReplaced,
  objectShort,
  objectTooLarge,
} from '../../src/adapters/object-store/store-errors.ts';
import { digestOf } from '../../src/core/digest.ts';
import type { GetOptions, ObjectStore } from '../../src/ports/object-store.ts';

interface Stored {
  readonly bytes: Uint8Array;
  readonly modified: Date;
  readonly version: string;
  /** In place of an object: what a removal leaves in a store that keeps versions. */
  readonly isRemoval?: boolean;
}

export interface MemoryStore extends ObjectStore {
  /** What a hostile storage, or a writer with rights to overwrite, does. */
  overwrite(key: string, bytes: Uint8Array): void;
  /** Every version goes, as if it had never been there. */
  forget(key: string): void;
  /** Another store with the same objects, which goes its own way. */
  fork(changed?: MemoryStoreOptions): MemoryStore;
  /** Keys of what is there. */
  readonly keys: readonly string[];
  /** All bytes of all versions. */
  readonly sizeBytes: number;
}

export interface MemoryStoreOptions {
  readonly place?: string;
  readonly keepsVersions?: boolean;
  readonly now?: () => Date;
}

/** Objects in memory, for tests and models. */
export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  return storeOver(new Map(), options);
}

function storeOver(objects: Map<string, readonly Stored[]>, options: MemoryStoreOptions): MemoryStore {
  const { place = 'memory', keepsVersions = false, now = () => new Date() } = options;
  let lastVersion = [...objects.values()].flat().length;
  const add = (key: string, bytes: Uint8Array, isRemoval = false) => {
    lastVersion += 1;
    const stored = { bytes: Uint8Array.from(bytes), modified: now(), version: `v${lastVersion}`, isRemoval };
    objects.set(key, [stored, ...(keepsVersions ? (objects.get(key) ?? []) : [])]);
  };
  /** Newest first. */
  const all = (key: string) => (objects.get(key) ?? []).filter(({ isRemoval }) => isRemoval !== true);
  const newest = (key: string) => {
    const stored = objects.get(key)?.[0];
    return stored?.isRemoval === true ? undefined : stored;
  };
  const entryOf = (key: string, { bytes, modified }: Stored) => ({ key, sizeBytes: bytes.length, modified });
  const check = (key: string, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted();
    checkObjectKey(key);
  };

  return {
    place,
    async put(key, bytes, { signal } = {}) {
      check(key, signal);
      if (newest(key) !== undefined) return 'exists';
      add(key, bytes);
      return 'created';
    },
    async get(key, getOptions) {
      check(key, getOptions.signal);
      return read(place, key, newest(key), all(key), getOptions);
    },
    async getRange(key, range, { version, into, signal } = {}) {
      check(key, signal);
      const target = rangeTarget(range, into);
      if (range.lengthBytes === 0) return target;
      const stored = version === undefined ? newest(key) : all(key).find((one) => one.version === version);
      if (stored === undefined) throw objectMissing(place, key);
      const found = stored.bytes.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes);
      if (found.length < range.lengthBytes) throw objectShort(place, key, range.lengthBytes, found.length);
      target.set(found);
      return target;
    },
    async stat(key, { signal } = {}) {
      check(key, signal);
      const stored = newest(key);
      return stored === undefined ? undefined : entryOf(key, stored);
    },
    async *list(prefix, { after = '', signal } = {}) {
      checkPrefix(prefix);
      signal?.throwIfAborted();
      for (const key of [...objects.keys()].sort(compareKeys)) {
        const stored = newest(key);
        if (!key.startsWith(prefix) || key <= after || stored === undefined) continue;
        signal?.throwIfAborted();
        yield entryOf(key, stored);
      }
    },
    async versions(key, { signal } = {}) {
      check(key, signal);
      return all(key).map((stored) => ({ ...entryOf(key, stored), version: stored.version }));
    },
    async remove(keys, { signal } = {}) {
      for (const key of keys) check(key, signal);
      for (const key of keys) {
        if (newest(key) === undefined) continue;
        if (keepsVersions) add(key, new Uint8Array(), true);
        else objects.delete(key);
      }
    },
    async now({ signal } = {}) {
      signal?.throwIfAborted();
      return now();
    },
    async close() {},
    overwrite: (key, bytes) => add(key, bytes),
    forget: (key) => {
      objects.delete(key);
    },
    fork: (changed = {}) => storeOver(new Map(objects), { ...options, ...changed }),
    get keys() {
      return [...objects.keys()].filter((key) => newest(key) !== undefined).sort(compareKeys);
    },
    get sizeBytes() {
      return [...objects.values()].flat().reduce((sum, { bytes }) => sum + bytes.length, 0);
    },
  };
}

function read(
  place: string,
  key: string,
  newest: Stored | undefined,
  all: readonly Stored[],
  { expected, maxBytes }: GetOptions,
): Uint8Array {
  if (expected !== undefined) {
    const fitting = all.find(({ bytes }) => digestOf(bytes) === expected.digest);
    if (fitting !== undefined) return Uint8Array.from(fitting.bytes);
    if (all.length === 0) throw objectMissing(place, key);
    const found = newest === undefined ? undefined : digestOf(newest.bytes);
    throw objectReplaced(place, key, { expected: expected.digest, found });
  }
  if (newest === undefined) throw objectMissing(place, key);
  if (newest.bytes.length > maxBytes) throw objectTooLarge(place, key, maxBytes, newest.bytes.length);
  return Uint8Array.from(newest.bytes);
}
