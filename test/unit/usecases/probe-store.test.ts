import { describe, expect, test } from 'vitest';
import { parseRepositoryKey } from '../../../src/formats/repository/keys.ts';
import type { ObjectStore } from '../../../src/ports/object-store.ts';
import { isProbe, PROBE_NAME, probeStore } from '../../../src/usecases/storage/probe-store.ts';
import { faultyStore } from '../../support/faulty-store.ts';
import { createMemoryStore } from '../../support/memory-store.ts';
import { raised } from '../../support/raised.ts';

const START = Date.UTC(2026, 0, 1);
const options = { now: () => START };
const memory = (keepsVersions = false) => createMemoryStore({ keepsVersions, now: () => new Date(START + 90_000) });

describe('a probe of a store', () => {
  test('says what one may do, and leaves nothing', async () => {
    const store = memory();
    expect(await probeStore(store, options)).toEqual({
      mayRead: true,
      mayList: true,
      mayRemove: true,
      keepsVersions: false,
      clockAheadMs: 90_000,
    });
    expect(store.keys).toEqual([]);
    expect(await probeStore(memory(true), options)).toMatchObject({ keepsVersions: true });
  });

  test('takes what is denied for an answer', async () => {
    const denied = (method: 'get' | 'list' | 'remove' | 'versions' | 'now') =>
      probeStore(faultyStore(memory(), { call: 1, method, fault: 'STORE_DENIED' }), options);
    expect(await denied('get')).toMatchObject({ mayRead: false, mayList: true });
    expect(await denied('list')).toMatchObject({ mayRead: true, mayList: false });
    expect(await denied('remove')).toMatchObject({ mayRemove: false, keepsVersions: undefined });
    expect(await denied('versions')).toMatchObject({ mayRemove: true, keepsVersions: undefined });
    expect(await denied('now')).toMatchObject({ clockAheadMs: undefined });
  });

  test('passes on that one may not create, and that the storage fails', async () => {
    for (const method of ['put', 'get', 'list', 'remove'] as const) {
      const fault = method === 'put' ? 'STORE_DENIED' : 'STORE_FAILED';
      const store = faultyStore(memory(), { call: 1, method, fault });
      expect(await raised(() => probeStore(store, options))).toMatchObject({ name: 'AdapterError', code: fault });
    }
  });

  test('finds out a storage that ignores the condition', async () => {
    const store = memory();
    const overwriting: ObjectStore = {
      ...store,
      put: async (key, bytes) => {
        store.overwrite(key, bytes);
        return 'created';
      },
    };
    expect(await raised(() => probeStore(overwriting, options))).toMatchObject({ code: 'STORE_NOT_CREATE_ONLY' });
  });

  test('finds out a storage that looks first and then writes', async () => {
    const store = memory();
    const racy: ObjectStore = {
      ...store,
      async put(key, bytes, putOptions) {
        const isTaken = (await store.stat(key, putOptions)) !== undefined;
        await new Promise(setImmediate);
        if (!isTaken) store.overwrite(key, bytes);
        return isTaken ? 'exists' : 'created';
      },
    };
    expect(await raised(() => probeStore(racy, options))).toMatchObject({ code: 'STORE_NOT_CREATE_ONLY' });
  });

  test.each([
    ['put', 'damaged'],
    ['get', 'damaged'],
    ['getRange', 'damaged'],
    ['get', 'short'],
    ['list', 'damaged'],
  ] as const)('finds out a storage whose %s is %s, and removes what it stored', async (method, fault) => {
    const store = memory();
    const faulty = faultyStore(store, { call: 1, method, fault, times: Number.POSITIVE_INFINITY });
    expect(await raised(() => probeStore(faulty, options))).toMatchObject({ code: 'STORE_NOT_FAITHFUL' });
    expect(store.keys).toEqual([]);
  });
});

test('what tries a storage out is told apart from strangers, and is no object of a repository', () => {
  for (const key of [
    'probes/0123',
    ...['keys', 'packs', 'snapshots/db-1', 'verified/db-1/00000001/anna'].map((place) => `${place}/${PROBE_NAME}`),
    `verified/${PROBE_NAME}/anna-${PROBE_NAME}`,
  ]) {
    expect(isProbe(key), key).toBe(true);
    expect(parseRepositoryKey(key), key).toBeUndefined();
  }
  for (const key of ['packs/ab/something', `${PROBE_NAME}/x`, 'repo.json']) expect(isProbe(key), key).toBe(false);
});
