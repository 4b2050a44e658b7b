import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { KEY_PREFIXES, snapshotKey, type WriterName } from '../../src/formats/repository/keys.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { type ForgetRequest, forgetSnapshots } from '../../src/usecases/repository/forget.ts';
import { listSnapshots } from '../../src/usecases/repository/list.ts';
import { type PruneRequest, pruneRepository } from '../../src/usecases/repository/prune.ts';
import {
  type BackupRepository,
  createBackupRepository,
  createSigningKey,
  readStreams,
  signal,
  streamSource,
} from '../support/backup-repository.ts';
import { dyingStore, Killed } from '../support/dying-store.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { raised } from '../support/raised.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DB_1 = 'db-1' as WriterName;

function source(seed: string) {
  return streamSource('files', { a: pseudoRandom(seed, 300_000) });
}

async function forget(repository: BackupRepository, request: Partial<ForgetRequest>, store = repository.store) {
  const opened = await repository.open(store);
  return await forgetSnapshots(
    opened,
    {
      ...{ signer: repository.signer, policy: undefined, named: [], evenHeld: false, writers: [], accept: [] },
      ...{ copied: false, plan: false, ...request },
    },
    { progress: silentProgress, now: repository.now },
    { signal },
  );
}

async function prune(
  repository: BackupRepository,
  { store = repository.store, longestRunMs, ...request }: Partial<PruneRequest> & PruneSettings = {},
) {
  const opened = await repository.open(store);
  return await pruneRepository(
    opened,
    { signer: repository.signer, plan: false, acceptMissing: false, ...request },
    { progress: silentProgress },
    { signal, ...(longestRunMs === undefined ? {} : { longestRunMs }) },
  );
}

interface PruneSettings {
  readonly store?: ObjectStore;
  readonly longestRunMs?: number;
}

/** Every object below a prefix becomes so much older. */
async function age(repository: BackupRepository, prefix: string, byMs: number): Promise<void> {
  for await (const { key, modified } of repository.store.list(prefix)) {
    const time = new Date(modified.getTime() - byMs);
    await utimes(join(repository.root, 'store', key), time, time);
  }
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

async function sequencesOf(repository: BackupRepository): Promise<number[]> {
  const { writers, problems } = await listSnapshots(await repository.open(), {});
  expect(problems).toEqual([]);
  return writers.flatMap(({ snapshots }) => snapshots.map(({ sequence }) => sequence));
}

test('forgetting by rule leaves a stub, and the chain stays whole', async () => {
  await using repository = await createBackupRepository();
  for (let index = 0; index < 4; index += 1) await repository.run([source('same')]);
  const policy = { last: 2, floorMs: 0 };
  expect(await forget(repository, { policy, plan: true })).toMatchObject({ done: false });
  expect(await sequencesOf(repository)).toEqual([1, 2, 3, 4]);
  const report = await forget(repository, { policy });
  expect(report.forgotten.map(({ snapshot }) => snapshot)).toEqual(['db-1/1', 'db-1/2']);
  expect(await sequencesOf(repository)).toEqual([3, 4]);
  expect(await repository.run([source('same')])).toMatchObject({ sequence: 5, newBytes: 0 });
  await forget(repository, { policy });
  expect(await sequencesOf(repository)).toEqual([4, 5]);
});

test('what is young is not forgotten, whatever the rule', async () => {
  await using repository = await createBackupRepository();
  for (let index = 0; index < 3; index += 1) await repository.run([source('same')]);
  expect(await forget(repository, { policy: { last: 1 } })).toMatchObject({ forgotten: [] });
  await age(repository, KEY_PREFIXES.snapshot, 2 * DAY_MS);
  // Now the storage and the writer disagree about the time: the chain is held until somebody looked.
  const held = await forget(repository, { policy: { last: 1 } });
  expect(held).toMatchObject({ forgotten: [], held: [{ writer: 'db-1', reason: 'clocks-disagree' }] });
  const accepted = await forget(repository, { policy: { last: 1 }, accept: ['clocks-disagree'] });
  expect(accepted.forgotten).toHaveLength(2);
});

test('holds, the newest, and strangers’ keys', async () => {
  await using repository = await createBackupRepository();
  await repository.run([source('same')], { hold: true });
  await repository.run([source('same')]);
  await repository.run([source('same')]);
  expect((await forget(repository, { policy: { last: 1, floorMs: 0 } })).forgotten).toMatchObject([
    { snapshot: 'db-1/2' },
  ]);
  expect(await raised(() => forget(repository, { named: ['db-1/1'] }))).toMatchObject({ code: 'SNAPSHOT_KEPT' });
  expect(await raised(() => forget(repository, { named: ['db-1/3'] }))).toMatchObject({ code: 'SNAPSHOT_KEPT' });
  expect(await raised(() => forget(repository, { named: ['db-1/9'] }))).toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  const other = createSigningKey();
  expect(await raised(() => forget(repository, { named: ['db-1/1'], signer: other }))).toMatchObject({
    code: 'ROLE_MISSING',
  });
  await forget(repository, { named: ['db-1/1'], evenHeld: true });
  expect(await sequencesOf(repository)).toEqual([3]);
});

test('what was begun to be forgotten is finished by its name, too', async () => {
  await using repository = await createBackupRepository();
  for (let index = 0; index < 2; index += 1) await repository.run([source('same')]);
  const store = { ...repository.store, remove: () => Promise.reject(new Error('one may not')) };
  await expect(forget(repository, { named: ['db-1/1'] }, store)).rejects.toThrow('one may not');
  expect(await sequencesOf(repository)).toEqual([1, 2]);
  expect(await forget(repository, { named: ['db-1/1'] })).toMatchObject({ forgotten: [{ snapshot: 'db-1/1' }] });
  expect(await sequencesOf(repository)).toEqual([2]);
});

test('what collapsed is held: forgetting waits for a person', async () => {
  await using repository = await createBackupRepository();
  await repository.run([streamSource('files', { a: pseudoRandom('large', 2_000_000) })]);
  await repository.run([source('small')]);
  await repository.run([source('small')]);
  const report = await forget(repository, { policy: { last: 1, floorMs: 0 } });
  expect(report).toMatchObject({ forgotten: [], held: [{ reason: 'collapsed', sequences: [2] }] });
});

test.each(['before', 'after'] as const)(
  'forgetting, killed %s any change, is finished by the next time',
  async (when) => {
    await using repository = await createBackupRepository();
    for (let index = 0; index < 3; index += 1) await repository.run([source('same')]);
    for (let at = 1; ; at += 1) {
      const store = dyingStore(repository.store, at, when);
      const failure = await forget(repository, { policy: { last: 1, floorMs: 0 } }, store).then(
        () => undefined,
        (error: unknown) => error,
      );
      const { writers } = await listSnapshots(await repository.open(), {});
      const listed = writers.flatMap(({ snapshots }) => snapshots);
      expect(listed.at(-1)).toMatchObject({ sequence: 3, isForgotten: false });
      if (failure === undefined) break;
      expect(failure).toBeInstanceOf(Killed);
    }
    expect(await sequencesOf(repository)).toEqual([3]);
    expect(await repository.run([source('same')])).toMatchObject({ sequence: 4 });
  },
);

test('pruning marks, waits by the storage’s clock, and deletes what no snapshot names', async () => {
  await using repository = await createBackupRepository();
  await repository.run([source('first')]);
  await repository.run([source('second')], { full: true });
  const [firstPack] = await keysOf(repository.store, KEY_PREFIXES.pack);
  expect(firstPack).toBeDefined();
  await forget(repository, { named: ['db-1/1'] });
  // A run could still commit what is young.
  expect(await prune(repository)).toMatchObject({ marked: { objects: 0 }, deleted: { objects: 0 } });
  for (const prefix of [KEY_PREFIXES.pack, KEY_PREFIXES.index, KEY_PREFIXES.contents, KEY_PREFIXES.runKey]) {
    await age(repository, prefix, 2 * DAY_MS);
  }
  expect(await prune(repository, { plan: true })).toMatchObject({ marked: { objects: 4 }, done: false });
  expect(await keysOf(repository.store, KEY_PREFIXES.mark)).toHaveLength(0);
  expect(await prune(repository)).toMatchObject({ marked: { objects: 4 }, deleted: { objects: 0 } });
  expect(await prune(repository)).toMatchObject({
    marked: { objects: 0 },
    deleted: { objects: 0 },
    kept: { waiting: { objects: 4 } },
  });
  await age(repository, KEY_PREFIXES.mark, 3 * DAY_MS);
  // Marks that are older than what they name were made for something else: the objects are older still.
  for (const prefix of [KEY_PREFIXES.pack, KEY_PREFIXES.index, KEY_PREFIXES.contents, KEY_PREFIXES.runKey]) {
    await age(repository, prefix, 4 * DAY_MS);
  }
  expect(await prune(repository)).toMatchObject({ deleted: { objects: 4 } });
  expect(await keysOf(repository.store, KEY_PREFIXES.pack)).toHaveLength(1);
  expect(await prune(repository)).toMatchObject({ deleted: { objects: 0 } });
  expect(await keysOf(repository.store, KEY_PREFIXES.mark)).toHaveLength(0);
  expect((await readStreams(await repository.open(), 'latest', repository.identity)).size).toBe(1);
});

test('what a run is just writing is not marked, and what it commits is not deleted', async () => {
  await using repository = await createBackupRepository();
  await repository.run([source('first')]);
  let during: Awaited<ReturnType<typeof prune>> | undefined;
  const slow = source('second');
  await repository.run([
    {
      ...slow,
      backUp: async (...args: Parameters<typeof slow.backUp>) => {
        const summary = await slow.backUp(...args);
        during = await prune(repository, { longestRunMs: HOUR_MS });
        return summary;
      },
    },
  ]);
  expect(during).toMatchObject({ marked: { objects: 0 }, deleted: { objects: 0 } });
  expect((await readStreams(await repository.open(), 'db-1/2', repository.identity)).size).toBe(1);
});

test.each(['before', 'after'] as const)('pruning, killed %s any change, harms nothing', async (when) => {
  await using repository = await createBackupRepository();
  await repository.run([source('first')]);
  await repository.run([source('second')], { full: true });
  await forget(repository, { named: ['db-1/1'] });
  for (let at = 1; ; at += 1) {
    const store = dyingStore(repository.store, at, when);
    const failure = await prune(repository, { store, longestRunMs: 0 }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect((await readStreams(await repository.open(), 'latest', repository.identity)).size).toBe(1);
    if (failure === undefined) break;
    expect(failure).toBeInstanceOf(Killed);
  }
  for (let round = 0; round < 3; round += 1) await prune(repository, { longestRunMs: 0 });
  expect(await keysOf(repository.store, KEY_PREFIXES.pack)).toHaveLength(1);
  expect(await keysOf(repository.store, KEY_PREFIXES.mark)).toHaveLength(0);
});

test('a snapshot that is gone without a stub stops pruning, until somebody accepts it', async () => {
  await using repository = await createBackupRepository();
  await repository.run([source('first')]);
  await repository.run([source('second')], { full: true });
  await repository.store.remove([snapshotKey(DB_1, 1)]);
  expect(await raised(() => prune(repository, { longestRunMs: 0 }))).toMatchObject({ code: 'SNAPSHOT_DROPPED' });
  expect(await keysOf(repository.store, KEY_PREFIXES.mark)).toHaveLength(0);
  expect(await prune(repository, { longestRunMs: 0, acceptMissing: true })).toMatchObject({ marked: { objects: 4 } });
  await repository.run([source('third')]);
  expect(await raised(() => forget(repository, { named: ['db-1/2'] }))).toMatchObject({ code: 'SNAPSHOT_DROPPED' });
  const report = await forget(repository, { named: ['db-1/2'], acceptMissing: true });
  expect(report.forgotten).toMatchObject([{ snapshot: 'db-1/2' }]);
});

test('while nobody can read a snapshot, nothing is marked', async () => {
  await using repository = await createBackupRepository();
  await repository.run([source('first')]);
  await repository.run([source('second')], { full: true });
  await forget(repository, { named: ['db-1/1'] });
  await writeFile(join(repository.root, 'store', snapshotKey(DB_1, 2)), 'unreadable');
  expect(await prune(repository, { longestRunMs: 0 })).toMatchObject({
    marked: { objects: 0 },
    kept: { 'unreadable-snapshots': { objects: 8 } },
  });
});
