/** A restore that is killed anywhere, and run again; by whom it may be done; and what stops it. */
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import type { ChunkReader } from '../../src/ports/chunks.ts';
import type { Database, DatabaseServer, DatabaseSession } from '../../src/ports/database.ts';
import type { PostgresPrograms } from '../../src/ports/postgres-programs.ts';
import type { PostgresRestoreDependencies } from '../../src/usecases/restore/postgres/types.ts';
import { type BackupRepository, createBackupRepository } from '../support/backup-repository.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { dumpAll, firstDifference, restoreInto } from '../support/restore-fixture.ts';

let source: PostgresServer;
let target: PostgresServer;
let repository: BackupRepository;
let expected: readonly string[];

const CONTENT = `
create table parents (id serial primary key, name text unique);
insert into parents (name) select 'n' || n from generate_series(1, 500) n;
create table children (id int primary key, parent int references parents, body oid) partition by range (id);
create table children_1 partition of children for values from (0) to (100);
create table children_2 partition of children for values from (100) to (1000);
create index on children (parent);
insert into children select n, n, null from generate_series(1, 300) n;
select lo_from_bytea(4711, 'large');
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touched before update on parents for each row execute function touch();
alter table parents enable row level security;
create policy own on parents to keeper using (name = current_user);
create materialized view totals as select count(*) from children;
create statistics pairs on id, parent from children_1;
create publication news for table parents;
grant select on children to pg_monitor;
`;

beforeAll(async () => {
  [source, target] = await Promise.all([startPostgres({ major: 17 }), startPostgres({ major: 17 })]);
  await source.query(`create role keeper login password 'secret word'; alter role keeper set work_mem = '7MB'`);
  for (const name of ['one', 'two']) {
    await source.query(`create database ${name} owner keeper`);
    await source.query(CONTENT, { database: name, role: 'keeper' });
    await source.query(`alter database ${name} set search_path = 'public', "Odd, path"`);
  }
  await source.query('create table of_superuser (id int)', { database: 'two' });
  repository = await createBackupRepository();
  await repository.run([postgresSource(source, 'postgres', { databases: 'all' })]);
  expected = await dumpAll(source);
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()]);
  await repository?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  for (const name of ['one', 'two']) await target.query(`drop database if exists ${name} with (force)`);
  await target.query('drop role if exists keeper; drop role if exists helper');
});

class Killed extends Error {}

/** Lets calls that change something pass up to one: that is done, or not, and its answer is lost; then nothing more. */
function killedAt(position: number, when: 'before' | 'after') {
  let calls = 0;
  const guard = async <T>(act: () => Promise<T>): Promise<T> => {
    calls += 1;
    if (calls > position || (calls === position && when === 'before')) throw new Killed();
    const result = await act();
    if (calls >= position) throw new Killed();
    return result;
  };
  const isChange = (sql: string) => /^(?:create|insert|drop|alter|grant|revoke)\b/i.test(sql);
  const session = (own: DatabaseSession, hasChanged = false): DatabaseSession => ({
    ...own,
    get transaction() {
      return own.transaction;
    },
    query: (sql, parameters) => {
      const act = () => own.query(sql, parameters);
      hasChanged ||= isChange(sql);
      // Within a transaction it is the end that counts.
      if (!hasChanged || (own.transaction === 'open' && sql !== 'commit')) return act();
      hasChanged = false;
      return guard(act);
    },
  });
  const database = (own: Database): Database => ({
    ...own,
    open: async (options) => (calls >= position ? Promise.reject(new Killed()) : session(await own.open(options))),
  });
  const change = (dependencies: PostgresRestoreDependencies): PostgresRestoreDependencies => ({
    ...dependencies,
    server: {
      ...dependencies.server,
      database: async (name) => {
        const reachable = await dependencies.server.database(name);
        return { ...reachable, database: database(reachable.database) };
      },
    } satisfies DatabaseServer,
    programs: {
      find: async (major, options) => {
        const set = await dependencies.programs.find(major, options);
        return {
          ...set,
          async *output(run, more) {
            await guard(async () => {
              for await (const _ of set.output(run, more));
            });
          },
        };
      },
    } satisfies PostgresPrograms,
    createChunkReader: async (settings) => {
      const reader = await dependencies.createChunkReader(settings);
      return { ...reader, copy: (...args) => guard(() => reader.copy(...args)) } satisfies ChunkReader;
    },
  });
  return { change };
}

test.each(['before', 'after'] as const)(
  'killed %s a change, the next run goes on, and everything is there once',
  async (when) => {
    // Each run gets one change further than the one before it, over what that one left behind.
    for (let position = 1; ; position += 1) {
      const fault = killedAt(position, when);
      const ended = await restoreInto(repository, target, { change: fault.change }).catch((cause: unknown) => cause);
      if (!(ended instanceof Killed)) {
        expect(ended).toMatchObject({ done: true, problems: [] });
        expect(position).toBeGreaterThan(5);
        break;
      }
      expect(position).toBeLessThan(50);
    }
    expect(firstDifference(expected, await dumpAll(target))).toBeUndefined();
  },
);

test('a role that is no superuser restores what needs none, and keeps no rights that it gave itself', async () => {
  await target.query('create role helper login createdb createrole');
  const report = await restoreInto(repository, target, {
    user: 'helper',
    allow: new Set(),
    selection: { databases: ['one'] },
  });
  expect(report).toMatchObject({ done: true, needs: [], roles: ['keeper'], user: 'helper' });
  expect(report.problems).toEqual([]);
  expect(await target.query(`select tableowner from pg_tables where tablename = 'parents'`, { database: 'one' })).toBe(
    'keeper',
  );
  const own = `select count(*) from pg_auth_members where member = 'helper'::regrole and grantor = member`;
  expect(await target.query(own)).toBe('0');

  const other = await restoreInto(repository, target, {
    user: 'helper',
    allow: new Set(),
    selection: { databases: ['two'] },
  });
  expect(other.problems).toMatchObject([
    { code: 'RESTORE_RIGHTS_MISSING', found: expect.stringContaining('"postgres"') },
  ]);
});

test('who may not make roles or databases is told so before anything is changed', async () => {
  await target.query('create role helper login');
  const before = await dumpAll(target);
  const report = await restoreInto(repository, target, { user: 'helper', allow: new Set() });
  expect(report).toMatchObject({ done: false });
  expect(report.problems).toMatchObject([{ code: 'RESTORE_RIGHTS_MISSING' }]);
  expect(report.problems[0]?.found).toContain('"keeper"');
  expect(report.problems[0]?.found).toContain('"one", "two"');
  expect(await dumpAll(target)).toEqual(before);
});

test('a restore that was begun is gone on with by the same snapshot and options alone', async () => {
  const one = { selection: { databases: ['one'] } };
  const fault = killedAt(6, 'after');
  await expect(restoreInto(repository, target, { ...one, change: fault.change })).rejects.toThrow(Killed);
  const other = await restoreInto(repository, target, { ...one, noTablespaces: true });
  expect(other.problems).toMatchObject([{ code: 'RESTORE_UNDER_WAY', found: 'db-1/1, "one"' }]);
  expect(await restoreInto(repository, target, { ...one, plan: true })).toMatchObject({
    databases: [{ name: 'one', state: 'begun' }],
    problems: [],
  });
  expect(await restoreInto(repository, target, one)).toMatchObject({ done: true, problems: [] });
});

test('what is aborted in the middle leaves nothing at work, and is gone on with', async () => {
  const controller = new AbortController();
  const slow = (dependencies: PostgresRestoreDependencies): PostgresRestoreDependencies => ({
    ...dependencies,
    createChunkReader: async (settings) => {
      const reader = await dependencies.createChunkReader(settings);
      const copy: ChunkReader['copy'] = (chunks, job, options) => {
        queueMicrotask(() => controller.abort());
        return reader.copy(chunks, { ...job, after: ['select pg_sleep(300)', ...job.after] }, options);
      };
      return { ...reader, copy };
    },
  });
  const { signal } = controller;
  await expect(restoreInto(repository, target, { signal, change: slow })).rejects.toMatchObject({ name: 'AbortError' });
  expect(await target.query(`select count(*) from pg_stat_activity where application_name = 'portolan restore'`)).toBe(
    '0',
  );
  expect(await restoreInto(repository, target)).toMatchObject({ done: true, problems: [] });
});

test('an older server is refused', async () => {
  await using old = await startOld();
  const { problems } = await restoreInto(repository, old.server, {
    change: (dependencies) => ({ ...dependencies, programs: programsOf(target) }),
  }).catch((cause: unknown) => ({ problems: [cause] }));
  expect(problems).toMatchObject([{ code: 'RESTORE_SERVER_TOO_OLD' }]);
});

test('a restore that another one waits for is named, and rows that were changed meanwhile are found', async () => {
  const holder = `do $$ begin perform pg_advisory_lock(1886351988, 1919251316); perform pg_sleep(300); end $$`;
  await target.query('create database one');
  const held = target.query(holder, { database: 'one' }).catch(() => 'ended');
  while ((await target.query(`select count(*) from pg_locks where locktype = 'advisory' and granted`)) === '0')
    await sleep(20);
  const one = { selection: { databases: ['one'] } };
  await expect(restoreInto(repository, target, one)).rejects.toMatchObject({ code: 'RESTORE_UNDER_WAY' });
  await target.query(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'`);
  expect(await held).toBe('ended');

  const meddling = (dependencies: PostgresRestoreDependencies): PostgresRestoreDependencies => ({
    ...dependencies,
    progress: {
      ...dependencies.progress,
      note: (text) => {
        if (text.endsWith(': proof')) spoilt = target.query(SPOIL, { database: 'one' });
      },
    },
    server: {
      ...dependencies.server,
      database: async (name) => {
        const reachable = await dependencies.server.database(name);
        const open: Database['open'] = async (options) => {
          await spoilt;
          return await reachable.database.open(options);
        };
        return { ...reachable, database: { ...reachable.database, open } };
      },
    },
  });
  let spoilt: Promise<unknown> | undefined;
  const report = await restoreInto(repository, target, { ...one, change: meddling });
  expect(report.problems).toMatchObject([{ code: 'RESTORE_NOT_EQUAL' }]);
  expect(report.differences).toMatchObject(
    expect.arrayContaining([
      { database: 'one', kind: 'rows', name: '"public"."children_1"', what: 'expected 99, found 98' },
      expect.objectContaining({ kind: 'policy', name: '"public"."parents"."own"', what: 'is missing' }),
      expect.objectContaining({ kind: 'relation', name: '"public"."children"' }),
    ]),
  );
});

const SPOIL = `delete from children where id = 7; drop policy own on parents; grant insert on children to pg_monitor;`;

async function startOld() {
  const server = await startPostgres({ major: 15 });
  return { server, [Symbol.asyncDispose]: () => server.stop() };
}

function programsOf({ programs }: PostgresServer): PostgresPrograms {
  return createPostgresPrograms({ folder: programs, temporaryFolder: tmpdir() });
}
