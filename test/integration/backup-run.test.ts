import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { digestOf } from '../../src/core/digest.ts';
import { FormatError } from '../../src/formats/errors.ts';
import { KEY_PREFIXES, markKey, packKey, snapshotKey, type WriterName } from '../../src/formats/repository/keys.ts';
import { encodeMark } from '../../src/formats/repository/mark.ts';
import type { ChunkWriterSettings } from '../../src/ports/chunks.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { UseCaseError } from '../../src/usecases/errors.ts';
import { listSnapshots } from '../../src/usecases/repository/list.ts';
import {
  type BackupRepository,
  createBackupRepository,
  memoryIn,
  readStreams,
  signal,
  streamSource,
} from '../support/backup-repository.ts';
import { dyingStore, Killed } from '../support/dying-store.ts';
import { pseudoRandom } from '../support/image-content.ts';

const MIB = 1024 * 1024;
const SMALL = streamSource('files', { a: pseudoRandom('small', 300_000) });

async function sequencesOf(repository: BackupRepository): Promise<number[]> {
  const { writers, problems } = await listSnapshots(await repository.open(), {});
  expect(problems).toEqual([]);
  return writers.flatMap(({ snapshots }) => snapshots.map(({ sequence }) => sequence));
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

test('a second run of the same content writes no pack, and both snapshots give it back', async () => {
  await using repository = await createBackupRepository();
  const a = pseudoRandom('a', 5 * MIB);
  const source = streamSource('files', { a, b: new Uint8Array() });
  const first = await repository.run([source]);
  const second = await repository.run([source]);
  expect(first).toMatchObject({ sequence: 1, full: true, fullReason: 'first', newBytes: 5 * MIB, reusedBytes: 0 });
  expect(second).toMatchObject({ sequence: 2, full: false, newBytes: 0, reusedBytes: 5 * MIB, newPacks: 0 });
  expect(await sequencesOf(repository)).toEqual([1, 2]);
  for (const name of ['db-1/1', 'db-1/2', second.run]) {
    const streams = await readStreams(await repository.open(), name, repository.identity);
    expect(streams.get('files/files/a')?.equals(a)).toBe(true);
    expect(streams.get('files/files/b')).toHaveLength(0);
  }
});

test('several sources stand in one snapshot', async () => {
  await using repository = await createBackupRepository();
  const other = streamSource('etc', { b: pseudoRandom('b', 1000) });
  const report = await repository.run([SMALL, other], { tags: ['nightly'], hold: true });
  expect(report.sources.map(({ name }) => name)).toEqual(['files', 'etc']);
  expect([...(await readStreams(await repository.open(), 'latest', repository.identity)).keys()].sort()).toEqual([
    'etc/files/b',
    'files/files/a',
  ]);
  const { writers } = await listSnapshots(await repository.open(), {});
  expect(writers[0]?.snapshots[0]).toMatchObject({ tags: ['nightly'], hold: true, full: true });
});

test('a full run reuses nothing: when it is asked for, and when the last one is too long ago', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  expect(await repository.run([SMALL], { full: true })).toMatchObject({
    full: true,
    fullReason: 'fresh',
    reusedBytes: 0,
  });
  expect(await repository.run([SMALL], { fullEveryMs: 3_600_000 })).toMatchObject({ full: false });
  expect(await repository.run([SMALL], { fullEveryMs: 1 })).toMatchObject({ full: true, fullReason: 'due' });
});

test.each(['before', 'after'] as const)(
  'killed %s any change, the next run goes on and nothing is half',
  async (when) => {
    await using repository = await createBackupRepository();
    await repository.run([SMALL]);
    const content = { a: pseudoRandom('small', 300_000), b: pseudoRandom('more', 700_000) };
    for (let at = 1; ; at += 1) {
      const store = dyingStore(repository.store, at, when);
      const failure = await thrownBy(() => repository.run([streamSource('files', content)], { store }));
      // Before the snapshot itself nothing new shows; the other snapshots stay good.
      const sequences = await sequencesOf(repository);
      expect(sequences).toEqual(sequences.map((_, index) => index + 1));
      if (failure === undefined) {
        expect(at).toBeGreaterThan(4);
        break;
      }
      expect(failure).toBeInstanceOf(Killed);
    }
    const last = await repository.run([streamSource('files', content)]);
    expect(last).toMatchObject({ newBytes: 0 });
    const streams = await readStreams(await repository.open(), `db-1/${last.sequence}`, repository.identity);
    expect(streams.get('files/files/b')?.equals(content.b)).toBe(true);
  },
);

test('a lost answer is no conflict: what was stored is found again', async () => {
  await using repository = await createBackupRepository();
  const store: ObjectStore = {
    ...repository.store,
    // Each object is stored, and the answer that comes is the one of a second try.
    put: async (key, bytes, options) => {
      await repository.store.put(key, bytes, options);
      return await repository.store.put(key, bytes, options);
    },
  };
  expect(await repository.run([SMALL], { store })).toMatchObject({ sequence: 1 });
  expect(await sequencesOf(repository)).toEqual([1]);
});

test('when the answer to the snapshot is an error, and it is there, the run is committed', async () => {
  await using repository = await createBackupRepository();
  const store: ObjectStore = {
    ...repository.store,
    put: async (key, bytes, options) => {
      const result = await repository.store.put(key, bytes, options);
      if (key.startsWith(KEY_PREFIXES.snapshot)) throw new Error('connection lost');
      return result;
    },
  };
  expect(await repository.run([SMALL], { store })).toMatchObject({ sequence: 1 });
});

test('two machines with one writer at once: the slower one commits nothing and is told', async () => {
  await using repository = await createBackupRepository();
  const elsewhere = memoryIn(join(repository.root, 'elsewhere'), repository.now);
  let raced = false;
  const store: ObjectStore = {
    ...repository.store,
    put: async (key, bytes, options) => {
      if (key.startsWith(KEY_PREFIXES.snapshot) && !raced) {
        raced = true;
        await repository.run([SMALL], { memory: elsewhere });
      }
      return await repository.store.put(key, bytes, options);
    },
  };
  const failure = await thrownBy(() => repository.run([SMALL], { store }));
  expect(failure).toBeInstanceOf(UseCaseError);
  expect(failure).toMatchObject({ code: 'WRITER_FORKED' });
  expect(await sequencesOf(repository)).toEqual([1]);
  expect(await repository.run([SMALL])).toMatchObject({ sequence: 2, newBytes: 0 });
});

test('one writer runs once at a time on a machine', async () => {
  await using repository = await createBackupRepository();
  const state = repository.memory.ofWriter(repository.writerKey.repository, repository.writerKey.writer);
  await using _held = await state.lock('another', { waitMs: 0 });
  expect(await thrownBy(() => repository.run([SMALL]))).toMatchObject({ code: 'TARGET_LOCKED' });
});

test('what a pruner marks during a run is not built upon: the run commits nothing, the next one writes it afresh', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  const objects = (await keysOf(repository.store, KEY_PREFIXES.pack)).sort();
  const { id } = await repository.open();
  const mark = {
    version: 1,
    repository: id,
    pruner: 'pruner' as WriterName,
    time: new Date().toISOString(),
    objects,
  } as const;
  const bytes = encodeMark(mark, repository.signer);
  const source = {
    ...SMALL,
    backUp: async (...args: Parameters<typeof SMALL.backUp>) => {
      await repository.store.put(markKey(new Date(), digestOf(bytes)), bytes);
      return await SMALL.backUp(...args);
    },
  };
  expect(await thrownBy(() => repository.run([source]))).toMatchObject({ code: 'PACKS_MARKED' });
  expect(await sequencesOf(repository)).toEqual([1]);
  expect(await repository.run([SMALL])).toMatchObject({ sequence: 2, full: false, reusedBytes: 0, newBytes: 300_000 });
});

test('a run that took too long commits nothing', async () => {
  await using repository = await createBackupRepository();
  expect(await thrownBy(() => repository.run([SMALL], { longestRunMs: -1 }))).toMatchObject({ code: 'RUN_TOO_LONG' });
  expect(await sequencesOf(repository)).toEqual([]);
});

test('interrupted, a run commits nothing', async () => {
  await using repository = await createBackupRepository();
  const controller = new AbortController();
  const reason = new Error('Ctrl-C');
  const source = {
    ...SMALL,
    backUp: async (...args: Parameters<typeof SMALL.backUp>) => {
      const summary = await SMALL.backUp(...args);
      controller.abort(reason);
      return summary;
    },
  };
  expect(await thrownBy(() => repository.run([source], { signal: controller.signal }))).toBe(reason);
  expect(await sequencesOf(repository)).toEqual([]);
});

test('snapshots that were seen and are gone stop the next run, which would fork the chain', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  await repository.run([SMALL]);
  await repository.store.remove([snapshotKey('db-1' as WriterName, 2)]);
  const failure = await thrownBy(() => repository.run([SMALL]));
  expect(failure).toBeInstanceOf(FormatError);
  expect(failure).toMatchObject({ code: 'SNAPSHOTS_ROLLED_BACK' });
});

test('a snapshot that was replaced by an older state of the storage is found by the checkpoint', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  const key = snapshotKey('db-1' as WriterName, 2);
  const elsewhere = memoryIn(join(repository.root, 'elsewhere'), repository.now);
  await repository.run([SMALL]);
  await repository.store.remove([key]);
  // A machine that never saw the second snapshot makes another one.
  await repository.run([SMALL], { memory: elsewhere });
  expect(await thrownBy(() => repository.run([SMALL]))).toMatchObject({ code: 'SNAPSHOTS_FORKED' });
});

test('a damaged newest snapshot that the checkpoint knows does not stop backups', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  const second = await repository.run([SMALL]);
  const path = join(repository.root, 'store', snapshotKey('db-1' as WriterName, 2));
  await rm(path);
  await writeFile(path, 'damaged');
  expect(await repository.run([SMALL])).toMatchObject({ sequence: 3 });
  const { writers, problems } = await listSnapshots(await repository.open(), {});
  expect(writers[0]?.snapshots.map(({ sequence }) => sequence)).toEqual([1, 3]);
  expect(writers[0]?.snapshots.at(-1)?.previous).toBe(second.snapshot);
  expect(problems.map(({ code }) => code)).toEqual(['SIGNED_DOCUMENT_INVALID']);
});

test('what somebody put far ahead in the chain stops no run, and is one problem', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  await repository.store.put(snapshotKey('db-1' as WriterName, 99_999_999), Buffer.from('nobody signed this'));
  expect(await repository.run([SMALL])).toMatchObject({ sequence: 2, newBytes: 0 });
  const { writers, problems } = await listSnapshots(await repository.open(), {});
  expect(writers[0]?.snapshots.map(({ sequence }) => sequence)).toEqual([1, 2]);
  expect(problems.map(({ code }) => code)).toEqual(['SIGNED_DOCUMENT_INVALID']);
});

test('a pack that is missing or cut is written again', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  const [pack] = await keysOf(repository.store, KEY_PREFIXES.pack);
  await repository.store.remove([pack as string]);
  expect(await repository.run([SMALL])).toMatchObject({ reusedBytes: 0, newBytes: 300_000 });
  const streams = await readStreams(await repository.open(), 'db-1/2', repository.identity);
  expect(streams.get('files/files/a')).toHaveLength(300_000);
});

test('a damaged index costs reuse, and nothing else', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  const [index] = await keysOf(repository.store, KEY_PREFIXES.index);
  const path = join(repository.root, 'store', index as string);
  await rm(path);
  await writeFile(path, 'damaged');
  expect(await repository.run([SMALL])).toMatchObject({ sequence: 2, full: false, reusedBytes: 0 });
});

test('a pack of which little is used is written anew, and the rest of it can go', async () => {
  await using repository = await createBackupRepository();
  const parts = Object.fromEntries(
    Array.from({ length: 8 }, (_, index) => [String(index), pseudoRandom(`p${index}`, 300_000)]),
  );
  await repository.run([streamSource('files', parts)], { createChunkWriter: oneWorker });
  const few = streamSource('files', { 0: parts[0] as Uint8Array });
  // The run that finds less still builds on the pack; the one after it knows how little it used.
  expect(await repository.run([few])).toMatchObject({ reusedBytes: 300_000, collapsed: true });
  const third = await repository.run([few]);
  expect(third).toMatchObject({ reusedBytes: 0, newBytes: 300_000, packs: 1 });
});

test('the clock of the writer may jump: the chain and the storage’s time stay right', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SMALL]);
  repository.setNow(Date.parse('2001-01-01T00:00:00Z'));
  const second = await repository.run([SMALL], { fullEveryMs: 3_600_000 });
  expect(second).toMatchObject({ sequence: 2, full: false });
  const { writers } = await listSnapshots(await repository.open(), {});
  const [first, jumped] = writers[0]?.snapshots ?? [];
  expect(jumped?.finished.startsWith('2001-01-01')).toBe(true);
  expect(Date.parse(jumped?.storageTime ?? '')).toBeGreaterThanOrEqual(Date.parse(first?.storageTime ?? ''));
});

test('the identity of the run is nowhere in the repository but sealed', async () => {
  await using repository = await createBackupRepository();
  const content = pseudoRandom('content', 300_000);
  await repository.run([streamSource('files', { a: content })]);
  for (const key of await keysOf(repository.store, '')) {
    const bytes = Buffer.from(await repository.store.get(key, { maxBytes: 64 * MIB, signal }));
    expect(bytes.includes('AGE-SECRET-KEY'), key).toBe(false);
    expect(bytes.includes(Buffer.from(content.subarray(1000, 1064))), key).toBe(false);
    expect(bytes.includes(Buffer.from('files/files/a')), key).toBe(false);
  }
  const [pack] = await keysOf(repository.store, KEY_PREFIXES.pack);
  expect(pack).toBe(packKey(digestOf(await repository.store.get(pack as string, { maxBytes: 64 * MIB }))));
});

/** All chunks in one pack. */
function oneWorker(settings: ChunkWriterSettings) {
  return createChunkWriter({ ...settings, workers: 1 });
}

/** What a call rejects with; `undefined` when it does not. */
async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}
