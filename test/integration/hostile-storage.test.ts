/**
 * A storage that drops, rolls back, swaps, forks and mixes: named by a check, and when a snapshot is opened for a restore, by who was
 * there before (a checkpoint) and, as far as writers saw each other, by who was not.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { PortolanError } from '../../src/core/errors.ts';
import { rosterKey, snapshotKey, type WriterName } from '../../src/formats/repository/keys.ts';
import type { Roster } from '../../src/formats/repository/roster.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { openForRestore } from '../../src/usecases/restore/restore.ts';
import { createSigningKey, publicKeyText, signal } from '../support/backup-repository.ts';
import { pseudoRandom } from '../support/image-content.ts';
import {
  type Content,
  createMemoryRepository,
  isContent,
  type MemoryRepository,
  type Writer,
} from '../support/memory-repository.ts';
import { createMachineMemory, type MemoryOfMachine } from '../support/memory-state.ts';

const HOUR_MS = 3_600_000;
const DB_1 = 'db-1' as WriterName;
const DB_2 = 'db-2' as WriterName;
const content = (seed: string): Content => ({ a: pseudoRandom('a', 5000), b: pseudoRandom(seed, 5000) });

interface Prepared {
  readonly repository: MemoryRepository;
  /** Before the last snapshot of each writer, and before the newest epoch of the roster. */
  readonly earlier: MemoryRepository;
  readonly truth: ReadonlyMap<string, Content>;
}

async function back(repository: MemoryRepository, name: WriterName, seed: string): Promise<void> {
  await repository.run(repository.writers.find((writer) => writer.name === name) as Writer, content(seed));
  repository.clock.storageMs += HOUR_MS;
}

/** db-2/2 saw db-1/3, and nobody saw db-2/2 but the machine that checks. */
async function prepare(): Promise<Prepared> {
  const repository = await createMemoryRepository({ writers: ['db-1', 'db-2'] });
  await back(repository, DB_1, 'one');
  await back(repository, DB_2, 'other');
  await back(repository, DB_1, 'two');
  const earlier = repository.fork();
  await repository.change((roster) => ({ ...roster, minimumRecipients: 1 }));
  await back(repository, DB_1, 'three');
  await back(repository, DB_2, 'another');
  expect((await repository.check()).problems).toEqual([]);
  const truth = new Map([
    ...(['one', 'two', 'three'] as const).map((seed, index) => [`db-1/${index + 1}`, content(seed)] as const),
    ...(['other', 'another'] as const).map((seed, index) => [`db-2/${index + 1}`, content(seed)] as const),
  ]);
  return { repository, earlier, truth };
}

let base: Prepared;
let foreign: Prepared;
beforeAll(async () => {
  base = await prepare();
  foreign = await prepare();
});

function codesOf(error: unknown): string[] {
  if (error instanceof PortolanError) return [error, ...error.others].map(({ code }) => code);
  throw error;
}

async function checked(repository: MemoryRepository, memory: MemoryOfMachine): Promise<string[]> {
  try {
    return (await repository.check({ readPercent: 0 }, { memory })).problems.map(({ code }) => code);
  } catch (error) {
    return codesOf(error);
  }
}

async function restoring(repository: MemoryRepository, memory: MemoryOfMachine, snapshot: string): Promise<string[]> {
  const identities = [repository.people.reader.identity];
  const request = { snapshot, identities, despiteProblems: false };
  try {
    await openForRestore(await repository.open({ memory }), request, { progress: silentProgress }, { signal });
    return [];
  } catch (error) {
    return codesOf(error);
  }
}

const drop =
  (...keys: readonly string[]) =>
  async ({ store }: MemoryRepository) => {
    for (const key of keys) store.forget(key);
  };
const bytesAt = ({ store }: MemoryRepository, key: string) => store.get(key, { maxBytes: 1 << 26 });

async function putAll(from: MemoryRepository, to: MemoryRepository, prefix = ''): Promise<void> {
  for (const key of to.store.keys) if (key.startsWith(prefix)) to.store.forget(key);
  for (const key of from.store.keys) {
    if (key.startsWith(prefix)) to.store.overwrite(key, await bytesAt(from, key));
  }
}

interface Attack {
  readonly name: string;
  readonly work: (repository: MemoryRepository) => Promise<void>;
  /** What somebody is told who was here before. */
  readonly remembered: string;
  /** What somebody is told who never was: `undefined` where nobody can tell him. */
  readonly stranger: string | undefined;
}

const ATTACKS: readonly Attack[] = [
  {
    name: 'drops a snapshot in the middle of a chain',
    work: drop(snapshotKey(DB_1, 2)),
    ...{ remembered: 'SNAPSHOT_DROPPED', stranger: 'SNAPSHOT_DROPPED' },
  },
  {
    name: 'drops the newest of a chain, which another writer saw',
    work: drop(snapshotKey(DB_1, 3)),
    ...{ remembered: 'SNAPSHOTS_ROLLED_BACK', stranger: 'SNAPSHOTS_ROLLED_BACK' },
  },
  {
    name: 'drops the newest of all, which no writer saw yet',
    work: drop(snapshotKey(DB_2, 2)),
    ...{ remembered: 'SNAPSHOTS_ROLLED_BACK', stranger: undefined },
  },
  {
    name: 'drops a whole chain, which another writer saw',
    work: drop(...[1, 2, 3].map((sequence) => snapshotKey(DB_1, sequence))),
    ...{ remembered: 'SNAPSHOTS_ROLLED_BACK', stranger: 'SNAPSHOTS_ROLLED_BACK' },
  },
  {
    name: 'rolls one chain back, and not the other',
    async work(repository) {
      await putAll(base.earlier, repository, 'snapshots/db-1/');
    },
    ...{ remembered: 'SNAPSHOTS_ROLLED_BACK', stranger: 'SNAPSHOTS_ROLLED_BACK' },
  },
  {
    name: 'rolls everything back',
    async work(repository) {
      await putAll(base.earlier, repository);
    },
    ...{ remembered: 'ROSTER_ROLLED_BACK', stranger: undefined },
  },
  {
    name: 'swaps two snapshots of one writer',
    async work(repository) {
      const [first, second] = [snapshotKey(DB_1, 1), snapshotKey(DB_1, 2)];
      const kept = await bytesAt(repository, first);
      repository.store.overwrite(first, await bytesAt(repository, second));
      repository.store.overwrite(second, kept);
    },
    ...{ remembered: 'SNAPSHOT_SWAPPED', stranger: 'SNAPSHOT_SWAPPED' },
  },
  {
    name: 'swaps snapshots of two writers',
    async work(repository) {
      const [first, second] = [snapshotKey(DB_1, 2), snapshotKey(DB_2, 2)];
      const kept = await bytesAt(repository, first);
      repository.store.overwrite(first, await bytesAt(repository, second));
      repository.store.overwrite(second, kept);
    },
    ...{ remembered: 'SIGNED_DOCUMENT_UNSIGNED', stranger: 'SIGNED_DOCUMENT_UNSIGNED' },
  },
  {
    name: 'shows others another snapshot of the same number',
    async work(repository) {
      // The same machine of the writer, as it was before, on the other side of the fork.
      const other = base.earlier.fork();
      await other.change((roster) => ({ ...roster, minimumRecipients: 1 }));
      await putAll(repository, other, 'keys/');
      await back(other, DB_1, 'something else');
      await putAll(other, repository, 'snapshots/db-1/');
    },
    ...{ remembered: 'SNAPSHOTS_FORKED', stranger: 'SNAPSHOTS_FORKED' },
  },
  {
    name: 'takes the newest roster away',
    work: drop(rosterKey(3)),
    ...{ remembered: 'ROSTER_ROLLED_BACK', stranger: 'ROSTER_MISSING' },
  },
  {
    name: 'shows others another roster of the same epoch',
    async work(repository) {
      const other = base.earlier.fork();
      other.clock.storageMs += HOUR_MS;
      await other.change((roster) => ({ ...roster, minimumRecipients: 1 }));
      repository.store.overwrite(rosterKey(3), await bytesAt(other, rosterKey(3)));
    },
    ...{ remembered: 'ROSTER_FORKED', stranger: 'ROSTER_FORKED' },
  },
  {
    name: 'puts a snapshot of another repository in the place of one',
    async work(repository) {
      repository.store.overwrite(snapshotKey(DB_1, 2), await bytesAt(foreign.repository, snapshotKey(DB_1, 2)));
    },
    ...{ remembered: 'SIGNED_DOCUMENT_UNSIGNED', stranger: 'SIGNED_DOCUMENT_UNSIGNED' },
  },
  {
    name: 'puts all snapshots of another repository there',
    async work(repository) {
      await putAll(foreign.repository, repository, 'snapshots/');
    },
    ...{ remembered: 'SIGNED_DOCUMENT_UNSIGNED', stranger: 'SIGNED_DOCUMENT_UNSIGNED' },
  },
  {
    name: 'puts the rosters of another repository there',
    async work(repository) {
      await putAll(foreign.repository, repository, 'keys/');
    },
    ...{ remembered: 'REPOSITORY_MISMATCH', stranger: 'REPOSITORY_MISMATCH' },
  },
  {
    name: 'is another repository',
    async work(repository) {
      await putAll(foreign.repository, repository);
    },
    ...{ remembered: 'REPOSITORY_MISMATCH', stranger: 'REPOSITORY_MISMATCH' },
  },
];

describe.each(ATTACKS)('a storage that $name', ({ work, remembered, stranger }) => {
  test.each([
    ['who was here before', (repository: MemoryRepository) => repository.memory, remembered],
    ['who never was', () => createMachineMemory(), stranger],
  ] as const)('is told by a check and before a restore to %s', async (_, memoryOf, wanted) => {
    const repository = base.repository.fork();
    await work(repository);
    const found = {
      check: await checked(repository, memoryOf(repository).fork()),
      restore: await restoring(repository, memoryOf(repository).fork(), 'db-2/1'),
    };
    if (wanted === undefined) expect(found).toEqual({ check: [], restore: [] });
    else {
      expect(found.check).toContain(wanted);
      expect(found.restore).toContain(wanted);
    }
  });

  test('gives nobody a wrong byte', async () => {
    const repository = base.repository.fork();
    await work(repository);
    for (const [snapshot, wanted] of base.truth) {
      const memory = createMachineMemory();
      let streams: Map<string, Buffer>;
      try {
        streams = await repository.read(snapshot, { memory });
      } catch (error) {
        codesOf(error);
        continue;
      }
      // The other side of a fork is what the writer wrote there: true, and told.
      const isOtherSide = isContent(streams, content('something else'));
      expect(isOtherSide || isContent(streams, wanted), snapshot).toBe(true);
    }
  });
});

test('what is left of a chain that is not whole is restored when it is named, and in spite of that', async () => {
  const repository = base.repository.fork();
  await drop(snapshotKey(DB_1, 2))(repository);
  const open = async (snapshot: string) => {
    const request = { snapshot, identities: [repository.people.reader.identity], despiteProblems: true };
    return await openForRestore(await repository.open(), request, { progress: silentProgress }, { signal });
  };
  expect((await open('db-1/1')).problems.map(({ code }) => code)).toEqual(['SNAPSHOT_DROPPED']);
  await expect(open('db-1')).rejects.toMatchObject({ code: 'SNAPSHOT_DROPPED' });
});

test.each([
  ['was revoked', (roster: Roster) => ({ ...roster, writers: roster.writers.filter(({ name }) => name !== DB_2) })],
  [
    'got another key',
    (roster: Roster) => ({
      ...roster,
      writers: roster.writers.map((writer) =>
        writer.name === DB_2 ? { ...writer, publicKey: publicKeyText(createSigningKey()) } : writer,
      ),
    }),
  ],
] as const)(
  'what the old key of a writer signs that %s counts for nothing, whatever epoch it names',
  async (_, change) => {
    const repository = base.repository.fork();
    const thief = base.repository.fork();
    await repository.change(change);
    await back(thief, DB_2, 'stolen');
    for (const key of thief.store.keys) {
      if (!repository.store.keys.includes(key)) await repository.store.put(key, await bytesAt(thief, key));
    }
    for (const memory of [repository.memory.fork(), createMachineMemory()]) {
      const { problems } = await repository.check({}, { memory });
      expect(problems.map(({ code, at }) => `${code} ${at?.file}`)).toEqual([
        `SIGNED_DOCUMENT_UNSIGNED ${snapshotKey(DB_2, 3)}`,
      ]);
      expect((await repository.digests({ memory })).has('db-2/3')).toBe(false);
      expect(isContent(await repository.read('db-2/2', { memory }), content('another'))).toBe(true);
      await expect(repository.read('db-2/3', { memory })).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    }
  },
);
