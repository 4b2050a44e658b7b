/** One fault at every call that the work of a repository makes of its storage. */
import { beforeAll, describe, expect, test } from 'vitest';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { PortolanError } from '../../src/core/errors.ts';
import { createIdentity, type NewIdentity } from '../../src/formats/age/new-identity.ts';
import { KEY_PREFIXES, parseRepositoryKey } from '../../src/formats/repository/keys.ts';
import { listSnapshots } from '../../src/usecases/repository/list.ts';
import { atEveryCall, type Position, type PositionFault } from '../support/fault-positions.ts';
import { pseudoRandom } from '../support/image-content.ts';
import {
  type Content,
  createMemoryRepository,
  isContent,
  type MemoryRepository,
  type Writer,
} from '../support/memory-repository.ts';
import { createMemoryStore } from '../support/memory-store.ts';

const HOUR_MS = 3_600_000;

/** Most of it stays from run to run. */
const content = (seed: string): Content => ({
  a: pseudoRandom('a', 8000),
  b: pseudoRandom(seed, 4000),
});

interface Prepared {
  readonly repository: MemoryRepository;
  /** Digests of the snapshots that are live. Each of them was read, and was right. */
  readonly live: ReadonlyMap<string, string>;
  /** Their runs. */
  readonly runs: ReadonlySet<string>;
  readonly anna: NewIdentity;
}

/**
 * Two writers; of the first one snapshot was forgotten and its data marked long ago, a second was forgotten and its data is not
 * marked yet. Anna became a reader after all runs but the last.
 */
async function prepare(): Promise<Prepared> {
  const repository = await createMemoryRepository({ writers: ['db-1', 'db-2'] });
  const { clock, writers } = repository;
  const [db1, db2] = writers as [Writer, Writer];
  const truth = new Map<string, Content>();
  const back = async (writer: Writer, seed: string, full = false) => {
    const { sequence } = await repository.run(writer, content(seed), { full });
    truth.set(`${writer.name}/${sequence}`, content(seed));
    clock.storageMs += 2 * HOUR_MS;
  };
  const forget = async (name: string) => {
    await repository.forget({ named: [name] });
    truth.delete(name);
    clock.storageMs += 3 * HOUR_MS;
  };
  await back(db1, 'first');
  await back(db1, 'second');
  await back(db1, 'third', true);
  await back(db2, 'other');
  await forget('db-1/1');
  await repository.prune();
  clock.storageMs += 3 * HOUR_MS;
  await forget('db-1/2');
  const anna = await createIdentity('classic');
  await repository.change((roster) => ({
    ...roster,
    recipients: [...roster.recipients, { name: 'anna', recipient: anna.recipient, role: 'reader' }],
  }));
  await back(db1, 'fourth');
  for (const [name, wanted] of truth) expect(isContent(await repository.read(name), wanted), name).toBe(true);
  const { writers: chains } = await listSnapshots(await repository.open(), {});
  const runs = new Set(chains.flatMap(({ snapshots }) => snapshots.map(({ run }) => run)));
  return { repository, live: await repository.digests(), runs, anna };
}

let base: Prepared;
beforeAll(async () => {
  base = await prepare();
});

/** Code and place of what a work reports or rejects with. */
async function codesOf(work: () => Promise<{ readonly problems: readonly PortolanError[] }>): Promise<string[]> {
  const told = ({ code, at }: PortolanError) => `${code} ${at?.file}`;
  try {
    return (await work()).problems.map(told);
  } catch (error) {
    if (error instanceof PortolanError) return [error, ...error.others].map(told);
    throw error;
  }
}

/**
 * The very snapshots that were right are there, and every byte that they name: more need not be decrypted to know that they are
 * right still.
 */
async function expectKept(repository: MemoryRepository, { name }: Position, live = base.live): Promise<void> {
  expect([...(await repository.digests())], name).toEqual(expect.arrayContaining([...live]));
  expect(await codesOf(() => repository.check()), name).toEqual([]);
}

async function expectRight(repository: MemoryRepository, snapshot: string, wanted: Content, name: string) {
  expect(isContent(await repository.read(snapshot), wanted), `${name}: ${snapshot}`).toBe(true);
}

/** A storage that lied about what it stored: the object is named, unless nothing needs it, and no other is. */
async function expectNamed(repository: MemoryRepository, { call, name }: Position): Promise<void> {
  const found = await codesOf(() => repository.check());
  if (found.length > 0) expect(found.join('\n'), name).toContain(call.key);
  expect([...(await repository.digests())], name).toEqual(expect.arrayContaining([...base.live]));
  for (const one of found) expect(one, name).toContain(call.key);
}

const storeOf = (repository: MemoryRepository) => repository.store;
const stateOf = ({ store }: MemoryRepository) => store.keys.join();
const inMemory = { prepare: () => base.repository.fork(), storeOf, stateOf };
const db1Of = ({ writers }: MemoryRepository) => writers[0] as Writer;

const FAULTS: readonly PositionFault[] = ['refused', 'answer-lost', 'short', 'damaged', 'dies', 'dies-after'];

describe.each(FAULTS)('%s', (fault) => {
  test('in a run: the next one commits, and every snapshot gives back what it holds', async () => {
    const { looked } = await atEveryCall(fault, {
      ...inMemory,
      work: (repository, store) => repository.run(db1Of(repository), content('fifth'), { store }),
      async look(repository, position) {
        const { name, failure } = position;
        if (position.isLyingPut) {
          await expectNamed(repository, position);
          const { sequence } = await repository.run(db1Of(repository), content('sixth'), { full: true });
          await expectRight(repository, `db-1/${sequence}`, content('sixth'), name);
          return;
        }
        const { sequence } = await repository.run(db1Of(repository), content('sixth'));
        // What looked like a failure may have been a commit.
        expect(failure === undefined ? [6] : [5, 6], name).toContain(sequence);
        const names = [...base.live.keys(), 'db-1/5', ...(sequence === 6 ? ['db-1/6'] : [])];
        expect([...(await repository.digests()).keys()].sort(), name).toEqual(names.sort());
        await expectRight(repository, `db-1/${sequence}`, content('sixth'), name);
        if (sequence === 6 && failure === undefined) await expectRight(repository, 'db-1/5', content('fifth'), name);
        await expectKept(repository, position);
      },
    });
    expect(looked).toBeGreaterThan(4);
  });

  test('in pruning: nothing that is needed goes, and the next times finish it', async () => {
    const { positions } = await atEveryCall(fault, {
      ...inMemory,
      work: (repository, store) => repository.prune({ store }),
      async look(repository, position) {
        const { name, isLyingPut } = position;
        if (isLyingPut) await expectNamed(repository, position);
        else await expectKept(repository, position);
        for (let round = 0; round < 4; round += 1) {
          await repository.prune();
          repository.clock.storageMs += 3 * HOUR_MS;
        }
        expect(await repository.check(), name).toMatchObject({ unnamed: { objects: 0 } });
        // A mark that nobody can read means nothing, is told, and stays.
        if (isLyingPut) await expectNamed(repository, position);
        else await expectKept(repository, position);
        const marks = repository.store.keys.filter((key) => key.startsWith(KEY_PREFIXES.mark));
        expect(marks, name).toEqual(isLyingPut ? [position.call.key] : []);
      },
    });
    expect(positions).toBeGreaterThan(2);
  });

  test('in forgetting: the next time finishes it, and the chain is whole', async () => {
    const kept = new Map([...base.live].filter(([name]) => name !== 'db-1/3'));
    const { positions } = await atEveryCall(fault, {
      ...inMemory,
      work: (repository, store) => repository.forget({ policy: { last: 1, floorMs: 0 } }, { store }),
      async look(repository, position) {
        if (position.isLyingPut) {
          expect((await codesOf(() => repository.check())).join('\n'), position.name).toContain(position.call.key);
          expect([...(await repository.digests())], position.name).toEqual([...kept]);
          return;
        }
        await repository.forget({ policy: { last: 1, floorMs: 0 } });
        expect([...(await repository.digests())], position.name).toEqual([...kept]);
        await expectKept(repository, position, kept);
      },
    });
    expect(positions).toBeGreaterThan(1);
  });

  test('in a rewrap: the next one finishes it, and the new reader reads all', async () => {
    const identities = [base.repository.people.reader.identity];
    const { looked } = await atEveryCall(fault, {
      ...inMemory,
      work: (repository, store) => repository.rewrap(identities, { store }),
      async look(repository, position) {
        if (position.isLyingPut) {
          await expectNamed(repository, position);
          return;
        }
        await repository.rewrap(identities);
        await expectKept(repository, position);
        const { identity } = base.anna;
        for (const name of base.live.keys()) {
          expect((await repository.read(name, { identity })).size, `${position.name}: ${name}`).toBe(2);
        }
      },
    });
    expect(looked).toBeGreaterThan(1);
  });

  test('in a change of the roster: the next one is right', async () => {
    const change = (roster: Parameters<Parameters<MemoryRepository['change']>[0]>[0]) => ({
      ...roster,
      minimumRecipients: 2,
    });
    await atEveryCall(fault, {
      ...inMemory,
      work: (repository, store) => repository.change(change, { store }),
      async look(repository, position) {
        if (position.isLyingPut) {
          // Without its roster a repository is believed by nobody: that is said, and names it.
          expect((await codesOf(() => repository.check())).join('\n'), position.name).toContain(position.call.key);
          return;
        }
        const { epoch } = await repository.change(change);
        expect([4, 5], position.name).toContain(epoch);
        await expectKept(repository, position);
      },
    });
  });

  test('in a check: it says so, or finds nothing wrong, and the next one is right', async () => {
    await atEveryCall(fault, {
      ...{ prepare: inMemory.prepare, storeOf },
      async work(repository, store) {
        const { problems } = await repository.check({}, { store });
        if (problems[0] !== undefined) throw problems[0];
      },
      async look(repository, position) {
        const { name, call, failure } = position;
        // A document that does not verify is read once more; of data that was read wrongly that is said.
        if ((fault === 'short' || fault === 'damaged') && call.method === 'getRange')
          expect(failure, name).toBeDefined();
        expect(await codesOf(() => repository.check()), name).toEqual([]);
      },
    });
  });

  test.each(['source', 'target'] as const)('in a copy, at its %s: the next one completes it', async (where) => {
    await atEveryCall(fault, {
      prepare() {
        const repository = base.repository.fork();
        const target = createMemoryStore({ now: () => new Date(repository.clock.storageMs) });
        return { repository, target };
      },
      storeOf: ({ repository, target }) => (where === 'source' ? repository.store : target),
      stateOf: ({ target }) => `${target.keys.length}`,
      async work({ repository, target }, store) {
        const report = await (where === 'source' ? repository.copy(target, { store }) : repository.copy(store));
        if (report.problems[0] !== undefined) throw report.problems[0];
      },
      async look({ repository, target }, position) {
        const { name, call } = position;
        const memory = repository.memory.fork();
        if (position.isLyingPut) {
          // The next copy, or a check of the copy, names it.
          const again = await codesOf(() => repository.copy(target));
          const checked = await codesOf(() => repository.check({}, { store: target, memory }));
          if (isNeeded(call.key)) expect([...again, ...checked].join('\n'), name).toContain(call.key);
          return;
        }
        expect(await codesOf(() => repository.copy(target)), name).toEqual([]);
        expect([...(await repository.digests({ store: target, memory }))], name).toEqual([...base.live]);
        expect(await codesOf(() => repository.check({}, { store: target, memory })), name).toEqual([]);
      },
    });
  });
});

/** Whether a live snapshot needs an object, or the repository itself does. */
function isNeeded(key: string): boolean {
  const parsed = parseRepositoryKey(key);
  return parsed !== undefined && (parsed.kind !== 'runKey' || base.runs.has(parsed.run));
}

describe('with the worker threads of the true chunk writer', () => {
  test.each(['answer-lost', 'dies'] as const)('%s where packs are stored: the next run commits', async (fault) => {
    const large: Content = { a: pseudoRandom('large', 17 * 1024 * 1024), b: pseudoRandom('b', 1000) };
    const { looked } = await atEveryCall(fault, {
      ...{ prepare: inMemory.prepare, storeOf },
      async work(repository, store) {
        // Only calls about packs are faulty; the others go past.
        const own: typeof store = {
          ...repository.store,
          ...{ calls: store.calls, faults: 0 },
          put: (key, ...rest) => (key.startsWith(KEY_PREFIXES.pack) ? store : repository.store).put(key, ...rest),
        };
        await repository.run(db1Of(repository), large, { store: own, createChunkWriter });
      },
      async look(repository, position) {
        expect(position.call.key).toContain(KEY_PREFIXES.pack);
        const { sequence } = await repository.run(db1Of(repository), large, { createChunkWriter });
        const streams = await repository.read(`db-1/${sequence}`, { createChunkReader });
        expect(isContent(streams, large), position.name).toBe(true);
      },
    });
    expect(looked).toBeGreaterThanOrEqual(2);
  });
});
