import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import type { AdapterError } from '../../../../src/adapters/errors.ts';
import { createPace } from '../../../../src/adapters/object-store/pace.ts';
import { limitedStore } from '../../../../src/adapters/object-store/wrappers/limited-store.ts';
import { pacedStore } from '../../../../src/adapters/object-store/wrappers/paced-store.ts';
import { PATIENT, retryingStore } from '../../../../src/adapters/object-store/wrappers/retrying-store.ts';
import { backoffMs } from '../../../../src/core/retry.ts';
import type { ObjectStore } from '../../../../src/ports/object-store.ts';
import { type Fault, faultyStore, type StoreMethod } from '../../../support/faulty-store.ts';
import { createMemoryStore } from '../../../support/memory-store.ts';
import { objectStoreSuite } from '../../../support/object-store-suite.ts';
import { raised } from '../../../support/raised.ts';

const QUICK = { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 };
const retries = { policy: QUICK, firstPolicy: QUICK };
const bytes = (text: string) => new TextEncoder().encode(text);
const wrapped = (store: ObjectStore) => retryingStore(limitedStore(store, 3), retries);

describe('all wrappers together', () => {
  objectStoreSuite({
    manyObjects: 300,
    async open() {
      const store = createMemoryStore();
      const pace = createPace({ upBytesPerSecond: 1e12, downBytesPerSecond: 1e12 });
      return { store: wrapped(pacedStore(store, pace as NonNullable<typeof pace>)), again: async () => wrapped(store) };
    },
  });
});

describe('trying again', () => {
  const TRANSIENT: readonly Fault[] = ['STORE_UNREACHABLE', 'STORE_TIMEOUT', 'STORE_BUSY', 'answer-lost'];
  const work: Readonly<Record<StoreMethod, (store: ObjectStore) => Promise<unknown>>> = {
    put: (store) => store.put('new', bytes('new')),
    get: async (store) => Buffer.from(await store.get('a/one', { maxBytes: 9 })).toString(),
    getRange: async (store) =>
      Buffer.from(await store.getRange('a/one', { offsetBytes: 1, lengthBytes: 2 })).toString(),
    stat: async (store) => (await store.stat('a/one'))?.sizeBytes,
    list: async (store) => {
      const keys: string[] = [];
      for await (const { key } of store.list('a/')) keys.push(key);
      return keys;
    },
    versions: async (store) => (await store.versions('a/one')).length,
    remove: (store) => store.remove(['a/one', 'a/two']),
    now: async (store) => (await store.now()) instanceof Date,
  };
  const results: Readonly<Record<StoreMethod, unknown>> = {
    put: 'created',
    get: 'one',
    getRange: 'ne',
    stat: 3,
    list: ['a/one', 'a/three', 'a/two'],
    versions: 1,
    remove: undefined,
    now: true,
  };
  const filled = async () => {
    const store = createMemoryStore();
    for (const name of ['one', 'two', 'three']) await store.put(`a/${name}`, bytes(name));
    return store;
  };

  test.each(Object.keys(work) as StoreMethod[])('%s succeeds after every passing fault', async (method) => {
    for (const fault of TRANSIENT) {
      const failures: AdapterError[] = [];
      const faulty = faultyStore(await filled(), { call: 1, method, fault, times: 3 });
      const store = retryingStore(faulty, { ...retries, onRetry: (failure) => failures.push(failure) });
      expect(await work[method](store)).toEqual(results[method]);
      expect(faulty.faults).toBeGreaterThan(0);
      expect(failures).toHaveLength(faulty.faults);
    }
  });

  test.each(Object.keys(work) as StoreMethod[])(
    '%s gives up at last, and at once where it is no use',
    async (method) => {
      const lasting = faultyStore(await filled(), {
        call: 1,
        method,
        fault: 'STORE_BUSY',
        times: Number.POSITIVE_INFINITY,
      });
      expect(await raised(() => work[method](retryingStore(lasting, retries)))).toMatchObject({ code: 'STORE_BUSY' });
      expect(lasting.faults).toBe(QUICK.attempts);
      for (const fault of ['STORE_DENIED', 'STORE_FULL', 'STORE_FAILED', 'STORE_UNTRUSTED'] as const) {
        const faulty = faultyStore(await filled(), { call: 1, method, fault });
        expect(await raised(() => work[method](retryingStore(faulty, retries)))).toMatchObject({ code: fault });
        expect(faulty.calls).toHaveLength(1);
      }
    },
  );

  test('an outage of three minutes is waited for, however the waits are drawn', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    let waitedMs = 0;
    for (let failure = 1; failure < PATIENT.attempts; failure += 1) waitedMs += backoffMs(failure, PATIENT);
    expect(waitedMs).toBeGreaterThan(3.5 * 60_000);
  });

  test('a put whose answer was lost counts as created, of its own bytes only', async () => {
    const large = new Uint8Array(3_000_000).fill(1);
    const own = faultyStore(createMemoryStore(), { call: 1, method: 'put', fault: 'answer-lost' });
    expect(await retryingStore(own, retries).put('key', large)).toBe('created');
    expect(own.calls.filter(({ method }) => method === 'put')).toHaveLength(1);

    for (const other of [large.map((value, index) => (index === 2_999_999 ? 2 : value)), large.slice(1), bytes('')]) {
      const memory = createMemoryStore();
      await memory.put('key', other);
      const theirs = faultyStore(memory, { call: 1, method: 'put', fault: 'STORE_UNREACHABLE' });
      expect(await retryingStore(theirs, retries).put('key', large)).toBe('exists');
      expect(Buffer.compare(await memory.get('key', { maxBytes: 1e7 }), other)).toBe(0);
    }
  });

  test('a put that may not be read back is said to exist', async () => {
    const store = faultyStore(
      createMemoryStore(),
      { call: 1, method: 'put', fault: 'answer-lost' },
      { call: 1, method: 'stat', fault: 'STORE_DENIED', times: Number.POSITIVE_INFINITY },
    );
    expect(await retryingStore(store, retries).put('key', bytes('x'))).toBe('exists');
  });

  test('a put that exists at first is not compared', async () => {
    const memory = createMemoryStore();
    await memory.put('key', bytes('x'));
    const store = faultyStore(memory);
    expect(await retryingStore(store, retries).put('key', bytes('x'))).toBe('exists');
    expect(store.calls.map(({ method }) => method)).toEqual(['put']);
  });

  test('is more patient once the storage has answered', async () => {
    const outage = { call: 2, method: 'stat', fault: 'STORE_UNREACHABLE', times: 6 } as const;
    const patient = { policy: { ...QUICK, attempts: 8 }, firstPolicy: { ...QUICK, attempts: 2 } };
    const known = retryingStore(faultyStore(createMemoryStore(), outage), patient);
    await known.stat('key');
    expect(await known.stat('key')).toBeUndefined();
    const unknown = faultyStore(createMemoryStore(), { ...outage, call: 1 });
    expect(await raised(() => retryingStore(unknown, patient).stat('key'))).toMatchObject({
      code: 'STORE_UNREACHABLE',
    });
    expect(unknown.calls).toHaveLength(2);
  });

  test('a list goes on where it broke off, and each entry is progress', async () => {
    const memory = createMemoryStore();
    const keys = Array.from({ length: 30 }, (_, index) => `a/${String(index).padStart(3, '0')}`);
    for (const key of keys) await memory.put(key, bytes(key));
    const faulty = faultyStore(memory, { call: 1, method: 'list', fault: 'answer-lost', times: 25 });
    const listed: string[] = [];
    for await (const { key } of retryingStore(faulty, retries).list('a/')) listed.push(key);
    expect(listed).toEqual(keys);
    expect(faulty.faults).toBe(25);
  });

  test('an abort ends the wait', async () => {
    const store = faultyStore(createMemoryStore(), { call: 1, fault: 'STORE_BUSY', times: Number.POSITIVE_INFINITY });
    const slow = { attempts: 9, baseDelayMs: 600_000, maxDelayMs: 600_000 };
    const controller = new AbortController();
    const reason = new Error('stopped by the test');
    const waiting = retryingStore(store, {
      policy: slow,
      firstPolicy: slow,
      onRetry: () => setImmediate(() => controller.abort(reason)),
    }).stat('key', { signal: controller.signal });
    await expect(waiting).rejects.toBe(reason);
  });
});

describe('a limit of requests', () => {
  test('holds the rest back, in a list too', async () => {
    let running = 0;
    let most = 0;
    const memory = createMemoryStore();
    const slow: ObjectStore = {
      ...memory,
      async put(key, content) {
        running += 1;
        most = Math.max(most, running);
        await sleep(2);
        running -= 1;
        return memory.put(key, content);
      },
    };
    const store = limitedStore(slow, 3);
    await Promise.all(Array.from({ length: 12 }, (_, index) => store.put(`key-${index}`, bytes('x'))));
    expect(most).toBe(3);
    const single = limitedStore(memory, 1);
    let seen = 0;
    for await (const { key } of single.list('')) {
      expect(await single.stat(key)).toBeDefined();
      seen += 1;
    }
    expect(seen).toBe(12);
  });
});

describe('a pace', () => {
  test('keeps all transfers together under the rate', async () => {
    const pace = createPace({ upBytesPerSecond: 1_000_000 });
    expect(pace).toBeDefined();
    const store = pacedStore(createMemoryStore(), pace as NonNullable<typeof pace>);
    const start = performance.now();
    await Promise.all([1, 2, 3, 4].map((index) => store.put(`key-${index}`, new Uint8Array(50_000))));
    // The fourth waits for the three before it: 150 ms. How much longer it takes is the machine's affair.
    expect(performance.now() - start).toBeGreaterThan(140);
    expect(createPace({})).toBeUndefined();
  });

  test('an abort ends the wait', async () => {
    const pace = createPace({ downBytesPerSecond: 1 });
    const memory = createMemoryStore();
    await memory.put('key', bytes('12345678'));
    const store = pacedStore(memory, pace as NonNullable<typeof pace>);
    await store.getRange('key', { offsetBytes: 0, lengthBytes: 8 });
    const reason = new Error('stopped by the test');
    const controller = new AbortController();
    const waiting = store.getRange('key', { offsetBytes: 0, lengthBytes: 8 }, { signal: controller.signal });
    setImmediate(() => controller.abort(reason));
    await expect(waiting).rejects.toBe(reason);
  });
});
