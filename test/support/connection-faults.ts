/** One fault at every message that a backup or a restore sends to a server: their own sessions, and those of PostgreSQL's programs. */
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { createDatabaseServer } from '../../src/adapters/postgres/server.ts';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import type { PortolanError } from '../../src/core/errors.ts';
import type { ChunkWriter, ChunkWriterSettings } from '../../src/ports/chunks.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import type { PostgresPrograms } from '../../src/ports/postgres-programs.ts';
import type { RepositoryMemory } from '../../src/usecases/repository/checkpoints.ts';
import type { PostgresRestoreDependencies } from '../../src/usecases/restore/postgres/types.ts';
import { type BackupRepository, createBackupRepository, readStreams } from './backup-repository.ts';
import { postgresSource } from './dump-fixture.ts';
import { failureOf, spread } from './fault-positions.ts';
import { type PostgresProxy, startProxy, type WireFault } from './postgres-proxy.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';
import { dumpAll, firstDifference, restoreInto } from './restore-fixture.ts';

export const WIRE_FAULTS: readonly WireFault[] = ['cut', 'silent', 'torn', 'long', 'short', 'shut-down', 'deadlock'];

/** After which nothing comes: here alone limits are short. On a slow machine they end what would have gone well, too. */
const HANGING: ReadonlySet<WireFault> = new Set(['silent', 'long', 'short']);
/** What a test waits for a server that hangs, in place of minutes. */
const SILENCE_MS = 700;
const CONNECT_TIMEOUT_MS = 1000;

const CONTENT = `
create table accounts (id int primary key, owner text not null);
insert into accounts select n, repeat('o', 100) || n from generate_series(1, 3000) n;
create table orders (id serial primary key, account int references accounts, note text);
insert into orders (account, note) select n, 'n' || n from generate_series(1, 300) n;
create index on orders (account);
select lo_from_bytea(4711, decode(repeat('ab', 50000), 'hex'));
create view few as select * from accounts where id < 10;
alter table orders enable row level security;
create policy own on orders to keeper using (note = current_user);
grant select on accounts to keeper;
`;

export interface BackUpOptions {
  /** Instead of the server itself. */
  readonly proxy?: PostgresProxy;
  /** Gives up what hangs within a moment. */
  readonly isImpatient?: boolean;
  readonly programs?: PostgresPrograms;
  readonly signal?: AbortSignal;
  /** Instead of the folder. */
  readonly store?: ObjectStore;
  readonly memory?: RepositoryMemory;
  readonly createChunkWriter?: (settings: ChunkWriterSettings) => Promise<ChunkWriter>;
}

export interface FaultScene extends AsyncDisposable {
  readonly source: PostgresServer;
  readonly repository: BackupRepository;
  /** Lines of a dump, sorted: ranges of a table go side by side into another order. */
  readonly expected: readonly string[];
  backUp(options?: BackUpOptions): Promise<unknown>;
  /** Names of the snapshots that there are. */
  snapshots(): Promise<readonly string[]>;
  /** The newest snapshot has the rows of the database; nobody of the backup is in the server any more. */
  expectWhole(name: string, store?: ObjectStore): Promise<void>;
  expectQuiet(name: string): Promise<void>;
}

/** A server with a database `shop`, and a repository with one snapshot of it. */
export async function startFaultScene(): Promise<FaultScene> {
  // A scene that fails half-way leaves no server behind.
  await using parts = new AsyncDisposableStack();
  const source = await startPostgres();
  parts.defer(() => source.stop());
  await source.query('create role keeper login');
  await source.query('create database shop owner keeper');
  await source.query(CONTENT, { database: 'shop' });
  const repository = parts.use(await createBackupRepository());
  const rows = async (store?: ObjectStore) => {
    const streams = await readStreams(await repository.open(store), 'latest', repository.identity);
    return [...streams].filter(([name]) => name.endsWith('.copy') || name.endsWith('globals.sql')).sort(byName);
  };
  const backUp: FaultScene['backUp'] = ({ proxy, programs, isImpatient = false, ...more } = {}) =>
    repository.run([sourceOf(source, proxy, programs, isImpatient)], {
      createChunkWriter: (settings) =>
        createChunkWriter({ ...settings, workers: 2 }, isImpatient ? { silenceMs: SILENCE_MS } : {}),
      ...more,
    });
  await backUp();
  const truth = await rows();
  const expected = (await dumpAll(source)).toSorted();
  const kept = parts.move();
  return {
    source,
    repository,
    expected,
    backUp,
    snapshots: async () => (await readdir(join(repository.root, 'store/snapshots/db-1'))).sort(),
    async expectWhole(name, store) {
      const found = await rows(store);
      expect(
        found.map(([stream]) => stream),
        name,
      ).toEqual(truth.map(([stream]) => stream));
      for (const [index, [stream, bytes]] of truth.entries()) {
        expect(withoutRemarks(found[index]?.[1]), `${name}: ${stream}`).toBe(withoutRemarks(bytes));
      }
    },
    expectQuiet: (name) => expectQuiet(source, name),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** Newer programs write a random word into scripts. */
function withoutRemarks(bytes: Buffer | undefined): string {
  return bytes?.toString().replaceAll(/^(?:--|\\(?:un)?restrict ).*$/gm, '') ?? 'missing';
}

async function expectQuiet(server: PostgresServer, name: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const left = await server.query(
      `select application_name || ' ' || query from pg_stat_activity
       where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> 'psql'`,
    );
    if (left === '') return;
    if (tries === 100) expect(left, `${name}: sessions stay behind`).toBe('');
    await sleep(50);
  }
}

function serverBehind(proxy: PostgresProxy, name: string, isImpatient: boolean) {
  return createDatabaseServer({
    address: {
      ...{ host: proxy.folder, port: proxy.port, user: 'postgres', name, sslMode: 'disable' },
      ...(isImpatient ? { connectTimeoutMs: CONNECT_TIMEOUT_MS } : {}),
    },
    password: {},
    applicationName: 'portolan test',
    connectWaitMs: 0,
    ...(isImpatient ? { silenceMs: SILENCE_MS } : {}),
  });
}

/** Programs that are given up when they print nothing for a moment. */
export function impatient(programs: PostgresPrograms): PostgresPrograms {
  return {
    find: async (...args) => {
      const set = await programs.find(...args);
      return { ...set, output: (run, options) => set.output({ ...run, idleTimeoutMs: 3 * SILENCE_MS }, options) };
    },
  };
}

export function programsIn(folder: string): PostgresPrograms {
  return createPostgresPrograms({ folder, temporaryFolder: tmpdir() });
}

function sourceOf(
  source: PostgresServer,
  proxy: PostgresProxy | undefined,
  programs: PostgresPrograms | undefined,
  isImpatient: boolean,
) {
  const limits = { lockTimeoutMs: 2000, attempts: 2, heartbeatMs: 200, rangeBytes: 128 * 1024 };
  return postgresSource(source, 'shop', {
    limits,
    ...(proxy === undefined ? {} : { server: serverBehind(proxy, 'shop', isImpatient) }),
    ...(isImpatient ? { programs: impatient(programsIn(source.programs)) } : {}),
    ...(programs === undefined ? {} : { programs }),
  });
}

export interface Places {
  /** Letters of the messages when there is no fault. */
  readonly messages: readonly string[];
  /** How many of them something happens at. */
  readonly count: number;
  /** As `spread` has it. */
  readonly at?: number;
}

/** The first, which is met whatever goes side by side later, and however slow the machine is; the others evenly spread. */
function positionsOf(fault: WireFault, { messages: kinds, count, at }: Places): readonly number[] {
  const fitting = kinds.flatMap((kind, index) => (fault === 'deadlock' && kind !== 'Q' ? [] : [index + 1]));
  return [1, ...spread(count - 1, 2, fitting.length, at)].map((place) => fitting[place - 1] as number);
}

/** The messages of a backup that meets no fault, by their letters. */
export async function messagesOfBackUp(scene: FaultScene): Promise<readonly string[]> {
  await using proxy = await startProxy('', scene.source, { overTcp: true, countsStarts: true });
  await scene.backUp({ proxy });
  return [...proxy.kinds];
}

/** At how many of the positions that were tried something happened, and after how many the work failed. */
export interface Struck {
  readonly struck: number;
  readonly failed: number;
}

/**
 * Backs up once for each position, with the fault there. A run that fails leaves no snapshot; one that goes well in spite of it
 * is whole, and so is the one after all of them.
 */
export async function backUpWithFaults(scene: FaultScene, fault: WireFault, places: Places): Promise<Struck> {
  await using proxy = await startProxy('', scene.source, { overTcp: true, countsStarts: true });
  let struck = 0;
  let failed = 0;
  for (const position of positionsOf(fault, places)) {
    const before = await scene.snapshots();
    let isStruck = false;
    proxy.arm({ message: position, side: 'before', fault }, () => {
      isStruck = true;
    });
    const failure = await failureOf(() => scene.backUp({ proxy, isImpatient: HANGING.has(fault) }));
    proxy.arm(undefined);
    const name = `${fault} at message ${position} of ${places.messages.length}, ${places.messages[position - 1]}${told(failure)}`;
    if (isStruck) struck += 1;
    else if (!HANGING.has(fault)) expect(failure, `${name}: nothing happened`).toBeUndefined();
    const after = await scene.snapshots();
    expect(after.length - before.length, name).toBe(failure === undefined ? 1 : 0);
    if (failure === undefined) await scene.expectWhole(name);
    else {
      failed += 1;
      expect(failure.hint, name).toBeDefined();
    }
    await scene.expectQuiet(name);
  }
  await scene.backUp();
  await scene.expectWhole(`after ${fault}`);
  return { struck, failed };
}

function told(failure: PortolanError | undefined): string {
  return failure === undefined ? '' : `: ${failure.code} ${failure.found ?? ''}`;
}

function restoringBehind(proxy: PostgresProxy) {
  return (dependencies: PostgresRestoreDependencies): PostgresRestoreDependencies => ({
    ...dependencies,
    server: serverBehind(proxy, 'postgres', false),
  });
}

function hastyBehind(proxy: PostgresProxy) {
  return (dependencies: PostgresRestoreDependencies): PostgresRestoreDependencies => ({
    ...dependencies,
    server: serverBehind(proxy, 'postgres', true),
    programs: impatient(dependencies.programs),
    createChunkReader: (settings) => createChunkReader({ ...settings, workers: 2 }, { silenceMs: SILENCE_MS }),
  });
}

async function restoreFirst(
  scene: FaultScene,
  target: PostgresServer,
  change: (dependencies: PostgresRestoreDependencies) => PostgresRestoreDependencies = (same) => same,
): Promise<void> {
  const report = await restoreInto(scene.repository, target, { snapshot: 'db-1/1', change });
  if (report.problems[0] !== undefined) throw report.problems[0];
  expect(report.done).toBe(true);
}

/** The server is as the one that was backed up, and is emptied. */
export async function expectRestored(scene: FaultScene, target: PostgresServer, name: string): Promise<void> {
  expect(firstDifference(scene.expected, (await dumpAll(target)).toSorted()), name).toBeUndefined();
  await emptyServer(target);
}

/** The messages of a restore that meets no fault, by their letters. */
export async function messagesOfRestore(scene: FaultScene, target: PostgresServer): Promise<readonly string[]> {
  await using proxy = await startProxy('', target, { overTcp: true, countsStarts: true });
  await restoreFirst(scene, target, restoringBehind(proxy));
  await expectRestored(scene, target, 'without a fault');
  return [...proxy.kinds];
}

/**
 * Restores with the fault at each position, over what the restore before left behind; whenever one says that it is done, the server
 * is as the one that was backed up, and is emptied. The last one meets no fault.
 */
export async function restoreWithFaults(
  scene: FaultScene,
  target: PostgresServer,
  fault: WireFault,
  places: Places,
): Promise<Struck> {
  await using proxy = await startProxy('', target, { overTcp: true, countsStarts: true });
  const change = (HANGING.has(fault) ? hastyBehind : restoringBehind)(proxy);
  await emptyServer(target);
  let struck = 0;
  let failed = 0;
  for (const position of positionsOf(fault, places)) {
    let isStruck = false;
    proxy.arm({ message: position, side: 'before', fault }, () => {
      isStruck = true;
    });
    const failure = await failureOf(() => restoreFirst(scene, target, change));
    proxy.arm(undefined);
    const name = `${fault} at message ${position} of ${places.messages.length}, ${places.messages[position - 1]}${told(failure)}`;
    if (isStruck) struck += 1;
    else if (!HANGING.has(fault)) expect(failure, `${name}: nothing happened`).toBeUndefined();
    await expectQuiet(target, name);
    if (failure === undefined) await expectRestored(scene, target, name);
    else {
      failed += 1;
      expect(failure.hint, name).toBeDefined();
    }
  }
  await restoreFirst(scene, target);
  await expectRestored(scene, target, `after ${fault}`);
  return { struck, failed };
}

export async function emptyServer(target: PostgresServer): Promise<void> {
  await target.query('drop database if exists shop with (force)');
  await target.query('drop role if exists keeper');
}
