import fc from 'fast-check';
import { expect } from 'vitest';
import { PortolanError } from '../../src/core/errors.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import type { RetentionPolicy } from '../../src/formats/repository/retention.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { type FaultPlan, faultyStore } from './faulty-store.ts';
import { pseudoRandom } from './image-content.ts';
import { inlineChunkWriterWith } from './inline-chunks.ts';
import {
  addWriter,
  type Content,
  createMemoryRepository,
  isContent,
  type MemoryRepository,
  type Writer,
} from './memory-repository.ts';
import { createMachineMemory } from './memory-state.ts';
import { createMemoryStore } from './memory-store.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Of the model's repository: an hour, so that marks wait for two. */
const LONGEST_RUN_MS = HOUR_MS;
/** What a run is told that took longer: by itself, or by who prunes. */
const TOO_LONG: readonly string[] = ['RUN_TOO_LONG', 'PACKS_MARKED'];
const FLOOR_MS = 2 * HOUR_MS;
/** Every epoch names all of them, and every command reads every epoch. */
const MOST_WRITERS = 6;

/** At which call of the store something happens to it; often there are fewer, and then nothing does. */
type Crash = Pick<FaultPlan, 'call' | 'fault' | 'times'> | undefined;

export type Step =
  | {
      readonly kind: 'run';
      readonly writer: number;
      /** What changed since the writer's last run: a part of its content. */
      readonly change: number;
      readonly full: boolean;
      readonly hold: boolean;
      /** How long it takes, and whether somebody prunes meanwhile. */
      readonly minutes: number;
      readonly pruned: boolean;
      readonly crash: Crash;
    }
  | { readonly kind: 'forget'; readonly last: number; readonly accepted: boolean; readonly crash: Crash }
  | { readonly kind: 'forget one'; readonly which: number; readonly crash: Crash }
  | { readonly kind: 'prune' | 'rewrap' | 'add reader'; readonly crash: Crash }
  | { readonly kind: 'revoke reader' | 'revoke writer'; readonly which: number; readonly crash: Crash }
  | { readonly kind: 'add writer' }
  | { readonly kind: 'time passes'; readonly minutes: number }
  | { readonly kind: 'clocks of the machines jump'; readonly hours: number }
  | { readonly kind: 'clock of the storage jumps'; readonly hours: number }
  | { readonly kind: 'machine is new'; readonly writer: number }
  | { readonly kind: 'copy'; readonly crash: Crash };

const crash = fc.option(
  fc.record({
    call: fc.integer({ min: 1, max: 40 }),
    fault: fc.constantFrom('STORE_UNREACHABLE' as const, 'answer-lost' as const),
    times: fc.constantFrom(1, Number.POSITIVE_INFINITY),
  }),
  { nil: undefined, freq: 2 },
);
const which = fc.nat(1000);

/** Any history of a repository. */
export function stepsOf(count: number): fc.Arbitrary<readonly Step[]> {
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 32,
      arbitrary: fc.record({
        ...{ kind: fc.constant('run' as const), writer: which, change: fc.nat(5), crash },
        ...{
          full: fc.constantFrom(false, false, false, true),
          hold: fc.nat(19).map((drawn) => drawn === 0),
        },
        ...{ minutes: fc.constantFrom(0, 1, 10, 50, 70), pruned: fc.constantFrom(false, false, true) },
      }),
    },
    {
      weight: 16,
      arbitrary: fc.record({
        ...{
          kind: fc.constant('forget' as const),
          last: fc.integer({ min: 1, max: 3 }),
          accepted: fc.boolean(),
          crash,
        },
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('forget one' as const), which, crash }) },
    { weight: 16, arbitrary: fc.record({ kind: fc.constant('prune' as const), crash }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('rewrap' as const, 'add reader' as const), crash }) },
    {
      weight: 1,
      arbitrary: fc.record({
        ...{ kind: fc.constantFrom('revoke reader' as const, 'revoke writer' as const), which, crash },
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('add writer' as const) }) },
    {
      weight: 16,
      arbitrary: fc.record({ kind: fc.constant('time passes' as const), minutes: fc.integer({ min: 1, max: 300 }) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        ...{
          kind: fc.constant('clocks of the machines jump' as const),
          hours: fc.constantFrom(-9000, -2, 0, 0, 2, 9000),
        },
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        ...{ kind: fc.constant('clock of the storage jumps' as const), hours: fc.constantFrom(-5, -1, 1, 30) },
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('machine is new' as const), writer: which }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('copy' as const), crash }) },
  );
  return fc.array(step, { minLength: count, maxLength: count, size: 'max' });
}

/** What the model knows of a snapshot. */
interface Known {
  readonly digest: string;
  readonly content: Content;
  readonly hold: boolean;
  /** Names of readers who can open it. */
  readonly readers: Set<string>;
}

interface Reader {
  readonly name: string;
  readonly identity: string;
}

/** A repository that should do what a map of snapshots does. */
interface Model {
  readonly repository: MemoryRepository;
  readonly live: Map<string, Known>;
  /** Began to be forgotten by something that was cut off: they go when anybody forgets the next time. */
  readonly going: Set<string>;
  readonly writers: Writer[];
  readonly contents: Map<string, string[]>;
  /** All who ever read, and who of them do. */
  readonly readers: Reader[];
  readonly present: Set<string>;
  readonly copy: ReturnType<typeof createMemoryStore>;
  /** For names and content. */
  counter: number;
}

const CHANGES: ReadonlySet<Step['kind']> = new Set(['run', 'forget', 'forget one', 'prune', 'rewrap']);

/** Does the steps, and looks on the way whether repository and model agree. Fails with the step in the message. */
export async function playSteps(steps: readonly Step[]): Promise<void> {
  const repository = await createMemoryRepository({ writers: ['db-0', 'db-1'], longestRunMs: LONGEST_RUN_MS });
  const model: Model = {
    ...{ repository, live: new Map(), going: new Set(), writers: [...repository.writers], contents: new Map() },
    readers: [{ name: 'reader', identity: repository.people.reader.identity }],
    present: new Set(['reader']),
    copy: createMemoryStore({ now: () => new Date(repository.clock.storageMs) }),
    counter: 0,
  };
  for (const [index, step] of steps.entries()) {
    const name = `step ${index + 1}, ${JSON.stringify(step)}`;
    try {
      await play(model, step);
      if (CHANGES.has(step.kind)) await compare(model);
      if (index % 4 === 3) await readOne(model, index);
      if (index % 25 === 24) await checkAll(model);
    } catch (cause) {
      throw new Error(`${name}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  }
  await settle(model);
}

async function play(model: Model, step: Step): Promise<void> {
  const { repository, writers } = model;
  const { clock } = repository;
  switch (step.kind) {
    case 'run':
      return await playRun(model, step);
    case 'forget': {
      const policy: RetentionPolicy = { last: step.last, floorMs: FLOOR_MS };
      const accept = step.accepted ? (['clocks-disagree', 'collapsed'] as const) : [];
      return await playForget(model, { policy, accept }, step.crash);
    }
    case 'forget one': {
      const named = pick([...model.live.keys()], step.which);
      if (named !== undefined && !isNewest(model, named)) await playForget(model, { named: [named] }, step.crash);
      return;
    }
    case 'prune':
      await attempt(() => repository.prune({ store: crashing(repository.store, step.crash) }), step.crash);
      return;
    case 'rewrap': {
      const identities = model.readers.map(({ identity }) => identity);
      const done = await attempt(
        () => repository.rewrap(identities, { store: crashing(repository.store, step.crash) }),
        step.crash,
      );
      if (done) for (const { readers } of model.live.values()) for (const name of model.present) readers.add(name);
      return;
    }
    case 'add reader': {
      const { identity, recipient } = await createIdentity('classic');
      model.counter += 1;
      const name = `reader-${model.counter}`;
      const entry = { name, recipient, role: 'reader' as const };
      model.readers.push({ name, identity });
      await changeRoster(model, step.crash, (roster) => ({ ...roster, recipients: [...roster.recipients, entry] }));
      return;
    }
    case 'revoke reader': {
      const gone = pick(
        [...model.present].filter((name) => name !== 'reader'),
        step.which,
      );
      if (gone === undefined) return;
      await changeRoster(model, step.crash, (roster) => ({
        ...roster,
        recipients: roster.recipients.filter(({ name }) => name !== gone),
      }));
      return;
    }
    case 'add writer':
      if (writers.length >= MOST_WRITERS) return;
      model.counter += 1;
      writers.push(await addWriter(repository, `db-${model.counter + 1}`));
      return;
    case 'revoke writer': {
      const gone = writers.length > 2 ? pick(writers, step.which) : undefined;
      if (gone === undefined) return;
      await changeRoster(model, step.crash, (roster) => ({
        ...roster,
        writers: roster.writers.filter(({ name }) => name !== gone.name),
      }));
      return;
    }
    case 'time passes':
      clock.storageMs += step.minutes * MINUTE_MS;
      return;
    case 'clocks of the machines jump':
      clock.aheadMs = step.hours * HOUR_MS;
      return;
    case 'clock of the storage jumps':
      clock.storageMs += step.hours * HOUR_MS;
      return;
    case 'machine is new': {
      const index = step.writer % writers.length;
      writers[index] = { ...(writers[index] as Writer), memory: createMachineMemory() };
      return;
    }
    case 'copy':
      await attempt(() => repository.copy(crashing(model.copy, step.crash)), step.crash);
  }
}

async function playRun(model: Model, step: Extract<Step, { kind: 'run' }>): Promise<void> {
  const { repository, writers } = model;
  const { clock, store } = repository;
  const writer = writers[step.writer % writers.length] as Writer;
  const content = nextContent(model, writer, step.change);
  const readers = new Set(model.present);
  let failure: string | undefined;
  const isDone = await attempt(
    async () => {
      await repository.run(writer, content, {
        ...{ store: crashing(store, step.crash), full: step.full, hold: step.hold },
        createChunkWriter: inlineChunkWriterWith(async () => {
          clock.storageMs += step.minutes * MINUTE_MS;
          if (step.pruned) await repository.prune();
        }),
      });
    },
    step.crash,
    (code) => {
      failure = code;
    },
    TOO_LONG,
  );
  if (failure !== undefined && TOO_LONG.includes(failure)) {
    expect(step.minutes * MINUTE_MS).toBeGreaterThan(LONGEST_RUN_MS);
  }
  // Whoever was cut off may have committed, and not know it.
  const found = await repository.digests();
  for (const [name, digest] of found) {
    if (model.live.has(name)) continue;
    expect(name.startsWith(`${writer.name}/`), `${name} is new`).toBe(true);
    model.live.set(name, { digest, content, hold: step.hold, readers });
  }
  if (isDone) expect([...model.live.values()].some((known) => known.content === content)).toBe(true);
}

async function playForget(
  model: Model,
  request: Parameters<MemoryRepository['forget']>[0],
  plan: Crash,
): Promise<void> {
  const { repository, live, going } = model;
  let planned: readonly string[] = [];
  const known = await attempt(
    async () => {
      const report = await repository.forget({ ...request, plan: true });
      planned = report.forgotten.map(({ snapshot }) => snapshot);
    },
    undefined,
    () => {},
    ['SNAPSHOT_KEPT', 'SNAPSHOT_NOT_FOUND'],
  );
  if (!known) return;
  for (const name of planned) {
    expect(live.get(name)?.hold, `${name} is on hold`).toBe(false);
    expect(isNewest(model, name), `${name} is the newest`).toBe(false);
  }
  const isDone = await attempt(() => repository.forget(request, { store: crashing(repository.store, plan) }), plan);
  for (const name of planned) going.add(name);
  const found = await repository.digests();
  for (const name of [...going]) {
    if (isDone) expect(found.has(name), `${name} was forgotten`).toBe(false);
    if (!found.has(name)) {
      going.delete(name);
      live.delete(name);
    }
  }
  // What nobody began to forget is not going.
  if (!isDone) await keepWhole(model);
}

/** Of what was planned only that is going which has a stub; the rest may be kept another time. */
async function keepWhole({ repository, going }: Model): Promise<void> {
  const { kept } = await repository.forget({ plan: true });
  for (const { snapshot } of kept) going.delete(snapshot);
}

async function changeRoster(model: Model, plan: Crash, work: Parameters<MemoryRepository['change']>[0]): Promise<void> {
  const { repository } = model;
  await attempt(() => repository.change(work, { store: crashing(repository.store, plan) }), plan);
  const { recipients, writers } = (await repository.open()).roster.document;
  model.present.clear();
  for (const { name } of recipients) model.present.add(name);
  const left = model.writers.filter(({ name }) => writers.some((writer) => writer.name === name));
  model.writers.splice(0, model.writers.length, ...left);
}

/** True when it was done. A failure must be one of ours, and have a reason: a crash, or what `expected` names. */
async function attempt(
  work: () => Promise<unknown>,
  plan: Crash,
  onFailure: (code: string) => void = () => {},
  expected: readonly string[] = [],
): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof PortolanError)) throw error;
    if (plan === undefined && !expected.includes(error.code)) throw error;
    onFailure(error.code);
    return false;
  }
}

function crashing(store: ObjectStore, plan: Crash): ObjectStore {
  return plan === undefined ? store : faultyStore(store, plan);
}

/** Five parts; one of them is another than in the run before. */
function nextContent({ contents, repository, ...model }: Model, { name }: Writer, change: number): Content {
  const parts = contents.get(name) ?? ['a', 'b', 'c', 'd', 'e'].map((part) => `${name} ${part}`);
  const changed = parts.map((seed, index) => (index === change ? `${seed}+${model.counter}` : seed));
  contents.set(name, changed);
  return Object.fromEntries(
    changed.map((seed, index) => [String(index), pseudoRandom(`${repository.store.place} ${seed}`, 3000)]),
  );
}

function pick<T>(items: readonly T[], which: number): T | undefined {
  return items[which % Math.max(1, items.length)];
}

function isNewest({ live }: Model, name: string): boolean {
  const [writer, sequence] = name.split('/') as [string, string];
  const others = [...live.keys()].filter((one) => one.startsWith(`${writer}/`));
  return others.every((one) => Number(one.split('/')[1]) <= Number(sequence));
}

/** The snapshots are the ones of the model. */
async function compare({ repository, live }: Model): Promise<void> {
  const wanted = [...live].map(([name, { digest }]) => [name, digest]);
  expect([...(await repository.digests())].sort()).toEqual(wanted.sort());
}

async function checkAll({ repository }: Model): Promise<void> {
  const { problems } = await repository.check();
  if (problems[0] !== undefined) throw problems[0];
}

async function readOne({ repository, live, readers }: Model, index: number): Promise<void> {
  const [name, known] = pick([...live], index * 7) ?? [];
  if (name === undefined || known === undefined) return;
  const able = readers.filter((reader) => known.readers.has(reader.name));
  const reader = pick(able, index) as Reader;
  const streams = await repository.read(name, { identity: reader.identity });
  expect(isContent(streams, known.content), `${name} by ${reader.name}`).toBe(true);
}

/** When all is quiet again: nothing superfluous is left, everything reads right, here and in a copy. */
async function settle(model: Model): Promise<void> {
  const { repository, live, copy } = model;
  repository.clock.aheadMs = 0;
  repository.clock.storageMs += 100 * HOUR_MS;
  for (let round = 0; round < 4; round += 1) {
    await repository.prune();
    repository.clock.storageMs += 3 * HOUR_MS;
  }
  expect(await repository.check()).toMatchObject({ problems: [], unnamed: { objects: 0, sizeBytes: 0 } });
  const copied = await repository.copy(copy);
  expect(copied.problems).toEqual([]);
  const elsewhere = { store: copy, memory: createMachineMemory() };
  expect(await repository.check({}, elsewhere)).toMatchObject({ problems: [] });
  for (const [name, { content }] of live) {
    expect(isContent(await repository.read(name), content), name).toBe(true);
    expect(isContent(await repository.read(name, elsewhere), content), `${name} of the copy`).toBe(true);
  }
}
