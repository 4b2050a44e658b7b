import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { portolan, portolanText } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

let server: PostgresServer;
let databases = 0;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const SCHEMA = `
  create schema core;
  create type core.level as enum ('low', 'high');
  create table core.kind (name text primary key, parent text references core.kind);
  create table core.setting (
    id bigint generated always as identity primary key,
    kind text not null references core.kind,
    "odd ""name""" text,
    amount numeric(40, 20), at timestamptz, span interval, bits bytea, doc jsonb, list text[], level core.level,
    real double precision, note varchar(20) default 'unset',
    doubled numeric generated always as (amount * 2) stored
  );
  create table core.pair (a int, b text collate "C", c bool not null, primary key (b, a));
  create table core.keyless (a int);
  create view core.seen as select 1 as a;
`;
const ROWS = `
  insert into core.kind values ('b', null), ('a', 'b'), ('c', 'a'), ('Z', null);
  insert into core.setting (kind, "odd ""name""", amount, at, span, bits, doc, list, level, real, note) values
    ('a', E'a\\nb\\\\c''"d', 12345678901234567890.12345678901234567890, '2026-01-02 03:04:05.678901+02', '1 year 2 days 00:00:01.5',
      '\\x00ff', '{"a": [1.0, 9007199254740993, null]}', '{a,NULL,"b,c"}', 'high', 0.1::float8 + 0.2::float8, ''),
    ('b', null, null, 'infinity', null, '', 'null', '{}', null, 'NaN', null);
  insert into core.pair values (2, 'x', true), (10, 'x', false), (-1, 'w', true);
`;

async function database(...sql: string[]): Promise<string> {
  const name = `d${++databases}`;
  await server.query(`create database ${name}`);
  for (const one of sql) await server.query(one, { database: name });
  return name;
}

const TABLES = ['core.setting', 'core.kind', 'core.pair'];

async function exported(name: string, tables: readonly string[] = TABLES): Promise<string> {
  const file = join(await temporaryFolder(), 'config.json');
  const named = tables.flatMap((table) => ['--table', table]);
  const ended = await portolan(['config', 'export', file, ...named, '--database', server.url(name)]);
  expect(ended.error).toBeUndefined();
  expect(ended.status).toBe(0);
  return file;
}

function importInto(name: string, file: string, ...more: string[]) {
  return portolan(['config', 'import', file, '--database', server.url(name), ...more]);
}

function rowsOf({ result }: Awaited<ReturnType<typeof portolan>>) {
  const changes = (result?.changes ?? []) as { name: string; action: string; rows: object }[];
  return changes.map(({ name, action, rows }) => [name, action, rows]);
}

describe('tables', () => {
  test('come back to the last digit in another database, in an order that references allow', async () => {
    const from = await database(SCHEMA, ROWS);
    const to = await database(SCHEMA);
    const file = await exported(from);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const ended = await importInto(to, file);
    expect(ended.error).toBeUndefined();
    for (const table of TABLES) {
      const query = `select t::text from ${table} t order by 1`;
      expect(await server.query(query, { database: to })).toBe(await server.query(query, { database: from }));
    }
    // Byte for byte, wherever it is exported.
    expect(await readFile(await exported(to), 'utf8')).toBe(await readFile(file, 'utf8'));
  });

  test('are in the order of their primary key', async () => {
    const file = await exported(await database(SCHEMA, ROWS), ['core.pair', 'core.kind']);
    const { tables } = JSON.parse(await readFile(file, 'utf8'));
    expect(tables.map(({ name }: { name: string }) => name)).toEqual(['kind', 'pair']);
    expect(tables[0].rows.map(({ name }: { name: string }) => name)).toEqual(['Z', 'a', 'b', 'c']);
    expect(tables[1].rows).toEqual([
      { a: '-1', b: 'w', c: 'true' },
      { a: '2', b: 'x', c: 'true' },
      { a: '10', b: 'x', c: 'false' },
    ]);
  });

  test('that were imported are the same the next time, and the next own row gets a free number', async () => {
    const file = await exported(await database(SCHEMA, ROWS));
    const to = await database(SCHEMA);
    expect(rowsOf(await importInto(to, file))).toEqual([
      ['core.kind', 'added', { added: 4, changed: 0, same: 0 }],
      ['core.pair', 'added', { added: 3, changed: 0, same: 0 }],
      ['core.setting', 'added', { added: 2, changed: 0, same: 0 }],
    ]);
    const again = await importInto(to, file);
    expect(rowsOf(again).map(([, action]) => action)).toEqual(['same', 'same', 'same']);
    expect(await server.query("insert into core.setting (kind) values ('a') returning id", { database: to })).toBe('3');
  });

  test('that differ are changed only when that is said, all or none', async () => {
    const file = await exported(await database(SCHEMA, ROWS));
    const to = await database(SCHEMA, "insert into core.pair values (2, 'x', false), (5, 'own', true)");
    const plan = await importInto(to, file, '--plan');
    expect(rowsOf(plan)).toContainEqual(['core.pair', 'changed', { added: 2, changed: 1, same: 0 }]);
    const refused = await importInto(to, file);
    expect(refused).toMatchObject({ status: 3, error: { code: 'CONFIGURATION_WOULD_OVERWRITE' } });
    expect(await server.query('select count(*) from core.kind', { database: to })).toBe('0');
    expect((await importInto(to, file, '--overwrite')).status).toBe(0);
    expect(await server.query('select a, b, c from core.pair order by a', { database: to })).toBe(
      '-1|w|t\n2|x|t\n5|own|t\n10|x|f',
    );
  });

  test('are all as before when one row does not fit', async () => {
    const file = await exported(await database(SCHEMA, ROWS));
    const to = await database(SCHEMA, 'alter table core.setting add check (amount < 5)');
    const ended = await importInto(to, file);
    expect(ended).toMatchObject({ status: 1, error: { code: 'DATABASE_STATEMENT_FAILED' } });
    expect(await server.query('select count(*) from core.kind', { database: to })).toBe('0');
  });

  test('keep columns that only the target has', async () => {
    const file = await exported(await database(SCHEMA, ROWS), ['core.pair']);
    const to = await database(SCHEMA, "alter table core.pair add more text default 'd'");
    expect((await importInto(to, file)).status).toBe(0);
    expect(await server.query('select distinct more from core.pair', { database: to })).toBe('d');
  });

  test.each([
    ['core.keyless', 'no primary key'],
    ['core.seen', 'a view'],
    ['core.nothing', 'nothing'],
    ['core.x" ; drop table core.pair --', 'a name that tries to be SQL'],
  ])('%s is refused: %s', async (table) => {
    const name = await database(SCHEMA, ROWS);
    const file = join(await temporaryFolder(), 'config.json');
    const ended = await portolan(['config', 'export', file, '--table', table, '--database', server.url(name)]);
    expect(ended).toMatchObject({ status: 1, error: { code: 'CONFIGURATION_TABLE_UNUSABLE' } });
    expect(await server.query('select count(*) from core.pair', { database: name })).toBe('3');
  });

  test.each([
    ['another primary key', 'alter table core.pair drop constraint pair_pkey, add primary key (a)'],
    ['a missing column', 'alter table core.pair drop column c'],
  ])('%s at the target is told', async (_, sql) => {
    const file = await exported(await database(SCHEMA, ROWS), ['core.pair']);
    const ended = await importInto(await database(SCHEMA, sql), file);
    expect(ended).toMatchObject({ status: 1, error: { code: 'CONFIGURATION_TABLE_UNUSABLE' } });
  });

  test('names and values of a document are never SQL', async () => {
    const file = await exported(await database(SCHEMA, ROWS), ['core.pair']);
    const document = JSON.parse(await readFile(file, 'utf8'));
    document.tables[0].columns[2].type = 'bool); drop table core.kind; --';
    document.tables[0].rows[0].c = "true'); drop table core.kind; --";
    await writeFile(file, JSON.stringify(document));
    const to = await database(SCHEMA);
    expect(await importInto(to, file)).toMatchObject({ status: 1, error: { code: 'DATABASE_STATEMENT_FAILED' } });
    expect(await server.query('select count(*) from core.kind', { database: to })).toBe('0');
  });

  test('rows that a policy would hide are not left out in silence', async () => {
    const name = await database(SCHEMA, ROWS, 'create role reader login; grant usage on schema core to reader');
    await server.query('grant select on core.pair to reader; alter table core.pair enable row level security', {
      database: name,
    });
    const file = join(await temporaryFolder(), 'config.json');
    const url = server.url(name).replace('postgres@', 'reader@');
    const ended = await portolan(['config', 'export', file, '--table', 'core.pair', '--database', url]);
    expect(ended).toMatchObject({ status: 1, error: { code: 'DATABASE_STATEMENT_FAILED' } });
  });

  test('a person reads what was done', async () => {
    const file = await exported(await database(SCHEMA, ROWS), ['core.pair']);
    const to = await database(SCHEMA);
    const ended = await portolanText(['config', 'import', file, '--plan', '--database', server.url(to)]);
    expect(ended.stdout).toContain('core.pair');
    expect(ended.stdout).toContain('3 added, 0 changed, 0 same');
    expect(await server.query('select count(*) from core.pair', { database: to })).toBe('0');
  });
});

describe('wrong use', () => {
  test.each([
    ['nothing named', ['export', 'x.json']],
    ['tables without a database', ['export', 'x.json', '--table', 'core.pair']],
    ['a table without its schema', ['export', 'x.json', '--table', 'pair', '--database', 'postgres://a@b/c']],
    ['a Secret without its namespace', ['export', 'x.json', '--secret', 'a']],
  ])('%s', async (_, args) => {
    const cwd = await temporaryFolder();
    expect(await portolan(['config', ...args], { cwd })).toMatchObject({ status: 2, error: { code: 'USAGE' } });
  });

  test('Secrets without a recipient, before anything is connected', async () => {
    const cwd = await temporaryFolder();
    const args = ['config', 'export', 'x.json', '--secret', 'a/b', '--kubeconfig', '/nowhere'];
    expect(await portolan(args, { cwd })).toMatchObject({
      status: 2,
      error: { code: 'CONFIGURATION_NEEDS_RECIPIENTS' },
    });
  });
});
