import { AdapterError, type AdapterErrorCode } from '../../src/adapters/errors.ts';
import { objectReplaced, objectShort } from '../../src/adapters/object-store/store-errors.ts';
import type { ObjectEntry, ObjectStore, StoreOptions } from '../../src/ports/object-store.ts';

/**
 * - a code: the call is refused with it, and nothing was done
 * - `answer-lost`: it was done, and fails with STORE_UNREACHABLE
 * - `short`: a read or a list ends too early, a size is too small; half of what is put is stored
 * - `damaged`: one bit of what is read or put is another, a size is too large
 * - `hang`: nothing happens until the signal is aborted
 * - `kill`, `kill-after`: the process ends by SIGKILL, before or after the call was done
 *
 * A read whose digest is known says OBJECT_DAMAGED for `short` and `damaged`, as every store does.
 */
export type Fault = AdapterErrorCode | 'answer-lost' | 'short' | 'damaged' | 'hang' | 'kill' | 'kill-after';

export type StoreMethod = 'put' | 'get' | 'getRange' | 'stat' | 'list' | 'versions' | 'remove' | 'now';

export interface FaultPlan {
  /** Which call, from 1, of those that the plan is about. */
  readonly call: number;
  readonly fault: Fault;
  /** Only calls of this method count; else all. */
  readonly method?: StoreMethod;
  /** Only calls about such keys count; of a list, its prefix, and of a removal, its first key. */
  readonly key?: RegExp;
  /** How many calls in a row fail; 1. `Infinity`: all from that one on. */
  readonly times?: number;
}

export interface StoreCall {
  readonly method: StoreMethod;
  readonly key: string;
}

export interface FaultyStore extends ObjectStore {
  /** Every call that was made. */
  readonly calls: readonly StoreCall[];
  /** How many of them failed as planned: a plan that never applied proves nothing. */
  readonly faults: number;
}

/** A store of which some calls go wrong. Without a plan it counts: how many calls there are is how many must be tried. */
export function faultyStore(store: ObjectStore, ...plans: readonly FaultPlan[]): FaultyStore {
  const calls: StoreCall[] = [];
  const seen = plans.map(() => 0);
  let faults = 0;

  const faultOf = (method: StoreMethod, key: string): Fault | undefined => {
    calls.push({ method, key });
    let found: Fault | undefined;
    plans.forEach((plan, index) => {
      if ((plan.method ?? method) !== method || plan.key?.test(key) === false) return;
      const call = (seen[index] ?? 0) + 1;
      seen[index] = call;
      if (call >= plan.call && call < plan.call + (plan.times ?? 1)) found ??= plan.fault;
    });
    if (found !== undefined) faults += 1;
    return found;
  };

  /** `alter` is what `short` and `damaged` do. */
  const run = async <T>(
    method: StoreMethod,
    key: string,
    options: StoreOptions | undefined,
    work: () => Promise<T>,
    alter: (fault: 'short' | 'damaged') => Promise<T> = work,
  ): Promise<T> => {
    const fault = faultOf(method, key);
    await before(fault, options, key);
    const result = await (fault === 'short' || fault === 'damaged' ? alter(fault) : work());
    after(fault, key);
    return result;
  };
  const before = async (fault: Fault | undefined, options: StoreOptions | undefined, key: string) => {
    if (fault === undefined || fault === 'answer-lost' || fault === 'short' || fault === 'damaged') return;
    if (fault === 'kill') process.kill(process.pid, 'SIGKILL');
    if (fault === 'hang') await hang(options?.signal);
    if (fault !== 'kill-after') throw planned(fault as AdapterErrorCode, key);
  };
  const after = (fault: Fault | undefined, key: string) => {
    if (fault === 'kill-after') process.kill(process.pid, 'SIGKILL');
    if (fault === 'answer-lost') throw planned('STORE_UNREACHABLE', key);
  };
  const changedEntry = <T extends ObjectEntry>(entry: T, fault: 'short' | 'damaged'): T => ({
    ...entry,
    sizeBytes: fault === 'short' ? Math.max(0, entry.sizeBytes - 1) : entry.sizeBytes + 1,
  });

  return {
    place: store.place,
    put: (key, bytes, options) =>
      run(
        'put',
        key,
        options,
        () => store.put(key, bytes, options),
        (fault) => store.put(key, changed(bytes, fault), options),
      ),
    get: (key, options) =>
      run(
        'get',
        key,
        options,
        () => store.get(key, options),
        async (fault) => {
          const bytes = await store.get(key, options);
          if (options.expected === undefined) return changed(bytes, fault);
          throw objectReplaced(store.place, key, { expected: options.expected.digest, found: undefined });
        },
      ),
    getRange: (key, range, options) =>
      run(
        'getRange',
        key,
        options,
        () => store.getRange(key, range, options),
        async (fault) => {
          const bytes = await store.getRange(key, range, options);
          if (fault === 'short') throw objectShort(store.place, key, bytes.length, bytes.length >> 1);
          if (bytes.length > 0) bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
          return bytes;
        },
      ),
    stat: (key, options) =>
      run(
        'stat',
        key,
        options,
        () => store.stat(key, options),
        async (fault) => {
          const entry = await store.stat(key, options);
          return entry === undefined ? undefined : changedEntry(entry, fault);
        },
      ),
    versions: (key, options) =>
      run(
        'versions',
        key,
        options,
        () => store.versions(key, options),
        async (fault) => (await store.versions(key, options)).map((entry) => changedEntry(entry, fault)),
      ),
    remove: (keys, options) => run('remove', keys[0] ?? '', options, () => store.remove(keys, options)),
    now: (options) => run('now', '', options, () => store.now(options)),
    async *list(prefix, options) {
      const fault = faultOf('list', prefix);
      await before(fault, options, prefix);
      let isFirst = true;
      for await (const entry of store.list(prefix, options)) {
        // In the middle: something was listed, the rest is not.
        if (!isFirst && fault === 'short') return;
        if (!isFirst && fault === 'answer-lost') throw planned('STORE_UNREACHABLE', prefix);
        yield fault === 'damaged' ? changedEntry(entry, fault) : entry;
        isFirst = false;
      }
      after(fault, prefix);
    },
    close: () => store.close(),
    calls,
    get faults() {
      return faults;
    },
  };
}

function changed(bytes: Uint8Array, fault: 'short' | 'damaged'): Uint8Array {
  if (fault === 'short') return bytes.slice(0, bytes.length >> 1);
  const copy = bytes.slice();
  if (copy.length > 0) copy[copy.length >> 1] = (copy[copy.length >> 1] as number) ^ 1;
  return copy;
}

function hang(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function planned(code: AdapterErrorCode, key: string): AdapterError {
  return new AdapterError(code, `a planned fault at ${key}`, { hint: 'This is a test.' });
}
