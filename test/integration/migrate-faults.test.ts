/** Migrations on bad days: connections cut at every message, servers that crash or hang, two runs at once, programs killed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../../src/adapters/postgres/database.ts';
import { parseDatabaseUrl } from '../../src/adapters/postgres/database-url.ts';
import { PortolanError } from '../../src/core/errors.ts';
import type { Database } from '../../src/ports/database.ts';
import { applyMigrations } from '../../src/usecases/migrate/apply.ts';
import { readLedger } from '../../src/usecases/migrate/plan.ts';
import type { MigrationEvent } from '../../src/usecases/migrate/types.ts';
import { moduleOf, writeModules } from '../support/migration-modules.ts';
import { type Cut, type PostgresProxy, startProxy } from '../support/postgres-proxy.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { killHard, portolan, startPortolan } from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { temporaryFolder } from '../support/temporary.ts';

let server: PostgresServer;
let proxy: PostgresProxy;
let folder: string;
let databases = 0;
let name: string;

beforeAll(async () => {
  server = await startPostgres();
  folder = await mkdtemp('/tmp/portolan-proxy-');
  proxy = await startProxy(folder, server);
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => newDatabase());

async function newDatabase(): Promise<void> {
  databases += 1;
  name = `f_${databases}`;
  await server.query(`create database ${name}`);
}

const sql = (text: string) => server.query(text, { database: name });
const throughProxy = () => `postgres://postgres@/${name}?host=${folder}`;

function databaseOf(url: string, connectTimeoutMs = 15_000): Database {
  return createDatabase({
    address: parseDatabaseUrl(url),
    password: {},
    applicationName: 'test',
    connectTimeoutMs,
    connectWaitMs: 0,
  });
}

/** Every file leaves one row: what ran twice, or half, shows. */
const FILES = {
  '1_a.sql': "create table ran (file text); insert into ran values ('1');",
  '2_b.sql': "alter table ran add at timestamptz; insert into ran values ('2');",
  '3_i.sql': '-- portolan: no-transaction\ncreate index concurrently ran_file on ran (file);',
  '4_c.contract.sql': "insert into ran values ('4');",
  '5_d.sql': "insert into ran values ('5');",
};
const MODULES = [moduleOf('core', FILES)];
const DIRTY = 'core/3_i.sql';

async function state(): Promise<unknown> {
  const found = await sql(
    "select (select string_agg(file, ',' order by file) from ran), (select indisvalid from pg_index where indexrelid = to_regclass('ran_file'))",
  );
  const [rows, index] = found.split('|');
  return {
    rows,
    index,
    ledger: (await readLedger({ database: databaseOf(server.url(name)) })).map((entry) => [entry.name, entry.state]),
  };
}

const EXPECTED = {
  rows: '1,2,5',
  index: 't',
  ledger: [
    ['1_a.sql', 'applied'],
    ['2_b.sql', 'applied'],
    ['3_i.sql', 'applied'],
    ['4_c.contract.sql', 'deferred'],
    ['5_d.sql', 'applied'],
  ],
};

/** What a person does: run it again; and mend what is dirty, as the message says. */
async function convergeBy(up: (retry: readonly string[]) => Promise<string | undefined>): Promise<void> {
  let code = await up([]);
  if (code === 'MIGRATION_DIRTY') {
    await sql('drop index if exists ran_file');
    code = await up([DIRTY]);
  }
  expect(code).toBeUndefined();
}

async function runDirect(retry: readonly string[]): Promise<string | undefined> {
  try {
    await applyMigrations({ modules: MODULES, mode: 'expand', retry }, { database: databaseOf(server.url(name)) });
    return undefined;
  } catch (cause) {
    if (cause instanceof PortolanError) return cause.code;
    throw cause;
  }
}

const run = (url = throughProxy(), options: { readonly onEvent?: (event: MigrationEvent) => void } = {}) =>
  applyMigrations({ modules: MODULES, mode: 'expand' }, { database: databaseOf(url) }, options);

test('cut at every message, before and after the server gets it: the next run converges', async () => {
  proxy.arm(undefined);
  await run();
  expect(await state()).toEqual(EXPECTED);
  const { messages } = proxy;
  expect(messages).toBeGreaterThan(50);
  const codes = new Set<string>();
  for (let message = 1; message <= messages; message += 1) {
    for (const side of ['before', 'after'] satisfies Cut['side'][]) {
      // Whoever was cut off is gone: the run before this one had the lock. A new database each time takes most of the time.
      await sql('drop schema portolan, public cascade; create schema public');
      proxy.arm({ message, side });
      const failure = await run().then(
        () => undefined,
        (cause) => cause,
      );
      // The last message says good-bye: nothing fails any more.
      if (failure !== undefined) {
        expect(failure).toBeInstanceOf(PortolanError);
        codes.add(failure.code);
      }
      await convergeBy(runDirect);
      expect({ message, side, ...((await state()) as object) }).toEqual({ message, side, ...EXPECTED });
    }
  }
  expect([...codes].sort()).toEqual(['DATABASE_LOST', 'MIGRATION_INTERRUPTED']);
});

test('the program killed at messages all over the run: the next one converges', async () => {
  const dir = await writeModules(await temporaryFolder(), { core: { files: FILES } });
  const args = (url: string) => ['migrate', 'up', '--dir', dir, '--database', url];
  proxy.arm(undefined);
  expect(await portolan(args(throughProxy()))).toMatchObject({ status: 0 });
  const { messages } = proxy;
  for (let message = 3; message < messages; message += Math.ceil(messages / 8)) {
    await newDatabase();
    const running = startPortolan(args(throughProxy()));
    proxy.arm({ message, side: 'after' }, () => killHard(running));
    expect(await running.ended).toMatchObject({ signal: 'SIGKILL' });
    await convergeBy(async (retry) => {
      const again = await portolan([...args(server.url(name)), ...retry.flatMap((path) => ['--retry', path])]);
      return again.status === 0 ? undefined : (again.error?.code as string);
    });
    expect({ message, ...((await state()) as object) }).toEqual({ message, ...EXPECTED });
  }
});

test('interrupted by a person: the statement is cancelled at the server, and nothing of the file stays', async () => {
  const dir = await writeModules(await temporaryFolder(), {
    core: { files: { '1_a.sql': 'create table a (); select pg_sleep(600);' } },
  });
  const running = startPortolan(['migrate', 'up', '--dir', dir, '--database', server.url(name)]);
  await until(async () => (await sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'")) === '1');
  running.child.kill('SIGINT');
  expect(await running.ended).toMatchObject({ status: 130 });
  expect(await sql("select to_regclass('a')")).toBe('');
  expect(await sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'")).toBe('0');
});

test('a server that crashes in the middle: what is said is true, and the next run goes on', async () => {
  const crashing = [
    moduleOf('core', { '1_a.sql': 'create table a ();', '2_b.sql': 'create table b (); select pg_sleep(600);' }),
  ];
  const failing = raised(() =>
    applyMigrations({ modules: crashing, mode: 'expand' }, { database: databaseOf(server.url(name)) }),
  );
  await until(async () => (await sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'")) === '1');
  await server.crash();
  expect(await failing).toMatchObject({ code: 'MIGRATION_INTERRUPTED', at: { file: 'core/2_b.sql' } });
  expect(await raised(() => run(server.url(name)))).toMatchObject({ code: 'DATABASE_UNREACHABLE' });
  await server.start();
  expect(await sql("select to_regclass('a'), to_regclass('b')")).toBe('a|');
  const mended = [moduleOf('core', { '1_a.sql': 'create table a ();', '2_b.sql': 'create table b ();' })];
  const report = await applyMigrations({ modules: mended, mode: 'expand' }, { database: databaseOf(server.url(name)) });
  expect(report).toMatchObject({ skipped: 1, applied: [{ file: '2_b.sql' }] });
});

test('a session that the server ends is told by its words', async () => {
  const failing = raised(() =>
    applyMigrations(
      { modules: [moduleOf('core', { '1_a.sql': 'select pg_sleep(600);' })], mode: 'expand' },
      { database: databaseOf(server.url(name)) },
    ),
  );
  await until(async () => (await sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'")) === '1');
  await sql("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'");
  expect(await failing).toMatchObject({ code: 'MIGRATION_INTERRUPTED', found: expect.stringMatching(/^57P01/) });
});

test('a server that does not answer has a time limit', async () => {
  const own = await mkdtemp('/tmp/portolan-proxy-');
  await using hanging = await startProxy(own, server);
  hanging.freeze();
  const database = databaseOf(`postgres://postgres@/${name}?host=${own}`, 200);
  expect(await raised(() => readLedger({ database }))).toMatchObject({ code: 'DATABASE_TIMEOUT' });
  await rm(own, { recursive: true });
});

test('interrupted while a server does not answer: at once', async () => {
  const own = await mkdtemp('/tmp/portolan-proxy-');
  await using hanging = await startProxy(own, server);
  hanging.freeze();
  const dir = await writeModules(await temporaryFolder(), { core: { files: FILES } });
  const url = `postgres://postgres@/${name}?host=${own}&connect_timeout=86400`;
  const running = startPortolan(['migrate', 'up', '--dir', dir, '--database', url]);
  await until(async () => hanging.connections > 0);
  running.child.kill('SIGINT');
  expect(await running.ended).toMatchObject({ status: 130 });
  await rm(own, { recursive: true });
});

describe('two runs at once', () => {
  test('the second waits, names the holder, and finds everything done', async () => {
    await sql('create schema test; create table test.go ()');
    // Goes on when the second has said that it waits.
    const loop = 'while not exists (select from test.go) loop perform pg_sleep(0.05); end loop;';
    const slow = [moduleOf('core', { ...FILES, '6_slow.sql': `do $$ begin ${loop} end $$;` })];
    const start = (onEvent: (event: MigrationEvent) => void) =>
      applyMigrations({ modules: slow, mode: 'expand' }, { database: databaseOf(server.url(name)) }, { onEvent });
    const events: MigrationEvent[] = [];
    const told: Promise<unknown>[] = [];
    const onEvent = (event: MigrationEvent) => {
      events.push(event);
      if (event.kind === 'waiting-for-lock') told.push(sql('insert into test.go default values'));
    };
    const reports = await Promise.all([start(onEvent), start(onEvent)]);
    await Promise.all(told);
    expect(reports.map(({ applied }) => applied.length).sort()).toEqual([0, 5]);
    const waits = events.filter(({ kind }) => kind === 'waiting-for-lock');
    expect(waits).toEqual([
      { kind: 'waiting-for-lock', holder: expect.stringMatching(/^test \(user postgres, process \d+/) },
    ]);
    expect(await state()).toMatchObject({ rows: '1,2,5', index: 't' });
  });

  test('the wait is bounded', async () => {
    const holding = run(server.url(name), {});
    await holding;
    const session = await databaseOf(server.url(name)).open();
    await session.query('select pg_advisory_lock(1886351988, 1835624306)');
    const error = await raised(() =>
      applyMigrations(
        { modules: MODULES, mode: 'expand' },
        { database: databaseOf(server.url(name)) },
        { lockWaitMs: 0 },
      ),
    );
    expect(error).toMatchObject({ code: 'MIGRATION_LOCKED', found: expect.stringContaining('test') });
    await session[Symbol.asyncDispose]();
    await run(server.url(name));
  });

  test('even without the lock nothing is applied twice', async () => {
    const files = {
      '1_a.sql': 'create table a (); select pg_advisory_unlock_all();',
      '2_b.sql': 'select pg_sleep(1); create table b ();',
    };
    const modules = [moduleOf('core', files)];
    const attempt = () => applyMigrations({ modules, mode: 'expand' }, { database: databaseOf(server.url(name)) });
    const outcomes = await Promise.allSettled([attempt(), attempt()]);
    expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'MIGRATION_LOCKED' });
    }
    expect(await attempt()).toMatchObject({ applied: [], skipped: 2 });
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come to that');
}
