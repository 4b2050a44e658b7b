/** Bad days of a backup: locks, lost connections, killed programs. Each fails loudly, or succeeds; nothing is left behind. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import { decodeEndRecord } from '../../src/formats/repository/database-record.ts';
import { type CollectingOptions, createCollectingWriter } from '../support/collecting-writer.ts';
import { type DumpRequest, postgresSource } from '../support/dump-fixture.ts';
import { startPooler } from '../support/postgres-pooler.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { raised, raisedCodes } from '../support/raised.ts';
import { startStandby } from '../support/standby.ts';

let folder: string;
let server: PostgresServer;
let runs = 0;
const on = { database: 'shop' };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-faults-'));
  server = await startPostgres({ rules: ['local replication all trust'] });
});
beforeEach(async () => {
  await server.query('drop database if exists shop with (force)');
  await server.query('create database shop');
  await server.query(
    `create table accounts (id int primary key, owner text, amount int);
     insert into accounts select n, repeat('o', 200), 100 from generate_series(1, 20000) n;
     create table orders (id serial primary key, note text);
     insert into orders (note) select 'n' || n from generate_series(1, 100) n;
     select lo_from_bytea(0, decode(repeat('ab', 2000000), 'hex'));`,
    on,
  );
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

const QUICK = { lockTimeoutMs: 500, attempts: 2, rangeBytes: 1024 * 1024, heartbeatMs: 100 };

function newRun(request: DumpRequest = {}, options: Partial<CollectingOptions> = {}) {
  runs += 1;
  const writer = createCollectingWriter(join(folder, String(runs)), { programs: server.programs, ...options });
  const source = postgresSource(server, 'shop', { limits: QUICK, ...request });
  return {
    writer,
    run: (signal = new AbortController().signal) => source.backUp(writer, { signal }),
  };
}

/** A session of psql that does one thing and stays. */
async function hold(sql: string): Promise<{ release(): Promise<void> }> {
  const psql = spawn(join(server.programs, 'psql'), ['-X', '-q', '-h', server.folder, '-U', 'postgres', '-d', 'shop'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const closed = new Promise<void>((resolve) => psql.once('close', () => resolve()));
  psql.stdin.write(`${sql};\n\\echo ready\n`);
  await new Promise<void>((resolve) => psql.stdout.on('data', (text) => String(text).includes('ready') && resolve()));
  return {
    async release() {
      psql.stdin.end('commit;\n');
      await closed;
    },
  };
}

async function sessionsLeft(): Promise<string> {
  for (let tries = 0; ; tries += 1) {
    const left = await server.query(
      "select count(*) from pg_stat_activity where datname = 'shop' and pid <> pg_backend_pid() and application_name <> 'psql'",
    );
    if (left === '0' || tries > 50) return left;
    await sleep(100);
  }
}

test('a table that somebody holds: nothing is read, and the message names who holds it', async () => {
  const holder = await hold('begin; lock table accounts');
  const { writer, run } = newRun();
  const error = await raised(() => run());
  await holder.release();
  expect(error.code).toBe('BACKUP_TABLES_CHANGING');
  expect(error.found).toMatch(/accounts.*held by process \d+ \(postgres/);
  expect(writer.begun).toEqual([]);
  expect(await sessionsLeft()).toBe('0');
});

test('a table that is let go of in time, and one that is dropped while it is waited for', async () => {
  const holder = await hold('begin; lock table accounts; drop table orders; create table instead (id int)');
  const { writer, run } = newRun({ limits: { ...QUICK, lockTimeoutMs: 5000, attempts: 4 } });
  const running = run();
  for (;;) {
    const waiting = await server.query("select count(*) from pg_locks where not granted and mode = 'AccessShareLock'");
    if (waiting !== '0') break;
    await sleep(20);
  }
  await holder.release();
  const summary = await running;
  expect(summary.items).toBe(2);
  const tables = writer.entries.flatMap((entry) => (entry.entry === 'table' ? [entry.table] : []));
  expect(new Set(tables)).toEqual(new Set(['accounts', 'instead']));
});

test('a table that somebody waits to change in the middle: fails, and lets the change through', async () => {
  let waiter: Promise<string> | undefined;
  const { run } = newRun(
    {},
    {
      workers: 1,
      onBegin: async (name) => {
        if (!name.endsWith('archive.dump')) return;
        waiter = server.query('alter table orders add column more int', on);
        for (;;) {
          const waiting = await server.query('select count(*) from pg_locks where not granted');
          if (waiting !== '0') return;
          await sleep(20);
        }
      },
    },
  );
  // The writer of this test copies by psql, whose failure is that of a program.
  expect((await raised(() => run())).found).toContain('lock timeout');
  await waiter;
  expect(await sessionsLeft()).toBe('0');
});

test('the session that holds the snapshot is ended: the run fails, however much was read', async () => {
  const sql = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'portolan test'";
  const { run } = newRun(
    {},
    {
      workers: 1,
      onBegin: async (name) => {
        if (name.endsWith('.copy')) await server.query(sql);
      },
    },
  );
  expect(await raisedCodes(() => run())).toEqual(['AdapterError DATABASE_LOST']);
  expect(await sessionsLeft()).toBe('0');
});

test('the server crashes in the middle; the next run has everything', async () => {
  const { run } = newRun(
    {},
    {
      workers: 1,
      onBegin: async (name) => {
        if (name.endsWith('facts.ndjson')) await server.crash();
      },
    },
  );
  expect(await raisedCodes(() => run())).toEqual(['AdapterError DATABASE_LOST']);
  await server.start();
  const again = newRun();
  expect(await again.run()).toMatchObject({ items: 2, rows: 20100 });
});

test('pg_dump is killed in the middle', async () => {
  const { run } = newRun(
    {},
    {
      onBegin: (name) => {
        if (!name.endsWith('archive.dump')) return;
        const found = execFileSync('pgrep', ['-P', String(process.pid), '-x', 'pg_dump'], { encoding: 'utf8' });
        for (const pid of found.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
      },
    },
  );
  const error = await raised(() => run());
  expect(error.code).toBe('POSTGRES_PROGRAM_FAILED');
  expect(error.message).toContain('SIGKILL');
  expect(await sessionsLeft()).toBe('0');
});

test('a stream that cannot be written ends everything', async () => {
  const full = new Error('the store is full');
  for (const where of ['archive.dump', 'facts.ndjson', '000000.copy', 'globals.sql']) {
    const { run } = newRun(
      {},
      {
        onBegin: (name) => {
          if (name.endsWith(where)) throw full;
        },
      },
    );
    await expect(run(), where).rejects.toBe(full);
    expect(await sessionsLeft(), where).toBe('0');
  }
});

test('an interruption ends programs and sessions', async () => {
  const stop = new AbortController();
  const reason = new Error('interrupted');
  const { run } = newRun(
    {},
    {
      onBegin: (name) => {
        if (name.endsWith('facts.ndjson')) stop.abort(reason);
      },
    },
  );
  await expect(run(stop.signal)).rejects.toBe(reason);
  expect(await sessionsLeft()).toBe('0');
});

test('rows that move between ranges while they are read are all there, once', async () => {
  let over = false;
  const movers = Array.from({ length: 2 }, async (_, seat) => {
    for (let round = 0; !over; round += 1) {
      const [from, to] = [(round * 37 + seat * 9001) % 20000, (round * 1009 + 500) % 20000];
      await server.query(
        `update accounts set amount = amount - 1 where id = ${from + 1}; update accounts set amount = amount + 1 where id = ${to + 1}`,
        on,
      );
    }
  });
  const { writer, run } = newRun({}, { onBegin: () => sleep(50) });
  try {
    await run();
  } finally {
    over = true;
    await Promise.all(movers);
  }
  const entry = writer.entries.find((one) => one.entry === 'table' && one.table === 'accounts');
  if (entry?.entry !== 'table') throw new Error('no accounts');
  expect(entry.streams.length).toBeGreaterThan(3);
  const ids = new Set<string>();
  let sum = 0;
  for (const stream of entry.streams) {
    for (const line of (await writer.read(stream)).toString().trimEnd().split('\n')) {
      const [id, , amount] = line.split('\t');
      ids.add(id as string);
      sum += Number(amount);
    }
  }
  expect(ids.size).toBe(20000);
  expect(entry.rows).toBe(20000);
  expect(sum).toBe(2_000_000);
});

test('a transaction pooler is refused', async () => {
  await using pooler = await startPooler(server, 'transaction');
  const source = postgresSource({ ...server, folder: pooler.folder, port: 6432 }, 'shop');
  expect(await raisedCodes(() => source.prepare({ signal: new AbortController().signal }))).toEqual([
    'AdapterError DATABASE_POOLED',
  ]);
});

test('programs: none, older than the server, newer than the server', async () => {
  const programs = (at: string) => createPostgresPrograms({ folder: at, temporaryFolder: tmpdir() });
  expect(await raisedCodes(() => newRun({ programs: programs(folder) }).run())).toEqual([
    'AdapterError POSTGRES_PROGRAMS_MISSING',
  ]);
  const young = await startPostgres({ major: 17 });
  onTestFinished(() => young.stop());
  const { notes } = await newRun({ programs: programs(young.programs) }).run();
  expect(notes.some((note) => note.includes('version 17 and newer'))).toBe(true);
  const source = postgresSource(young, 'postgres', { programs: programs(server.programs) });
  const error = await raised(() => source.prepare({ signal: new AbortController().signal }));
  expect(error.code).toBe('POSTGRES_PROGRAMS_MISSING');
  expect(error.found).toContain('15.');
});

test('a standby gives all but rows of unlogged tables', async () => {
  await server.query('create unlogged table scratch as select from generate_series(1, 5)', on);
  await using standby = await startStandby(server);
  const { writer, run } = newRun({ folder: standby.folder });
  const summary = await run();
  expect(summary).toMatchObject({ items: 2, rows: 20100 });
  expect(summary.notes.some((note) => note.includes('unlogged'))).toBe(true);
  const last = writer.entries.at(-1);
  const [database] = decodeEndRecord(last?.entry === 'end' ? last.record : undefined).databases;
  expect(database?.excludedRows).toEqual([{ schema: 'public', name: 'scratch' }]);
});
