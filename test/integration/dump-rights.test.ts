/** Who may back up, what is left out by wish, and which databases there are. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { decodeEndRecord, type EndRecord } from '../../src/formats/repository/database-record.ts';
import { type CollectingWriter, createCollectingWriter } from '../support/collecting-writer.ts';
import { type DumpRequest, postgresSource } from '../support/dump-fixture.ts';
import { createNastyDatabase } from '../support/nasty-database.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { raised, raisedCodes } from '../support/raised.ts';

const { signal } = new AbortController();
let folder: string;
let server: PostgresServer;
let runs = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-rights-'));
  server = await startPostgres();
  await createNastyDatabase(server, 'nasty');
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

function newWriter(): CollectingWriter {
  runs += 1;
  return createCollectingWriter(join(folder, String(runs)), { programs: server.programs });
}

async function backUp(database: string, request: DumpRequest = {}) {
  const writer = newWriter();
  const summary = await postgresSource(server, database, request).backUp(writer, { signal });
  const last = writer.entries.at(-1);
  const end: EndRecord = decodeEndRecord(last?.entry === 'end' ? last.record : undefined);
  return { writer, summary, end };
}

async function newRole(name: string): Promise<void> {
  await server.query(`create role ${name} login; grant connect on database nasty to ${name}`);
  onTestFinished(() => dropRole(name));
}

async function dropRole(name: string): Promise<void> {
  await server.query(`drop owned by ${name}`, { database: 'nasty' });
  await server.query(`drop owned by ${name}; drop role ${name}`);
}

test('all missing rights are named at once, nothing is read, and the SQL of the messages mends them', async () => {
  await newRole('nobody_yet');
  const writer = newWriter();
  const source = postgresSource(server, 'nasty', { user: 'nobody_yet' });
  const problems: string[] = [];
  // Rights on tables show no sooner than those on their schemas, and so on: what mends one may show another.
  for (let round = 0; round < 3; round += 1) {
    const error = await raised(() => source.backUp(writer, { signal })).catch(() => undefined);
    if (error === undefined) break;
    expect(writer.begun).toEqual([]);
    for (const one of [error, ...error.others]) {
      problems.push(one.code);
      const sql = /run: (.*;)/s.exec(one.hint ?? '')?.[1];
      expect(sql, one.message).toBeDefined();
      await server.query(sql as string, { database: 'nasty' });
    }
  }
  // Schemas, tables, sequences, large objects and row-level security, in one round.
  expect(problems).toEqual([...Array(4).fill('BACKUP_RIGHTS_MISSING'), 'BACKUP_ROWS_FILTERED']);
  expect(writer.entries.at(-1)?.entry).toBe('end');
});

test('prepare finds the same before a run begins', async () => {
  await newRole('not_prepared');
  const codes = await raisedCodes(() => postgresSource(server, 'nasty', { user: 'not_prepared' }).prepare({ signal }));
  expect(codes).toHaveLength(5);
});

test('the role of the documentation is enough', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/backup-postgres.md'), 'utf8');
  const sql = /```sql\n(-- a role for backups\n.*?)```/s.exec(page)?.[1] as string;
  await server.query(sql.replaceAll('backup_reader', 'documented').replaceAll('mydatabase', 'nasty'));
  onTestFinished(() => dropRole('documented'));
  // Large objects have no right of all at once.
  await server.query('grant select on large object 900001, 900002, 900003 to documented', { database: 'nasty' });
  const { summary, end, writer } = await backUp('nasty', { user: 'documented' });
  expect(end.hasRolePasswords).toBe(false);
  expect(summary.notes.some((note) => note.includes('passwords of roles'))).toBe(true);
  const asSuperuser = await backUp('nasty');
  expect(summary.rows).toBe(asSuperuser.summary.rows);
  expect(summary.items).toBe(asSuperuser.summary.items);
  expect((await writer.read(end.globals)).toString()).toContain('CREATE ROLE nasty_reader');
});

test('schemas, tables and rows are left out by patterns', async () => {
  const { end, writer, summary } = await backUp('nasty', {
    exclude: {
      schemas: ['"Odd.schema ""quoted"" $1 *"'],
      tables: ['sales.orders_2023', 'public.b?oated'],
      tableRows: ['*.huge*', 'nothing'],
    },
  });
  const [database] = end.databases;
  const names = writer.entries
    .filter((entry) => entry.entry === 'table')
    .map(({ schema, table }) => `${schema}.${table}`);
  expect(database?.excludedSchemas).toEqual(['Odd.schema "quoted" $1 *']);
  // A partition goes with what it is a part of.
  expect(database?.excludedTables.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['orders_2023', 'orders_2023_eu', 'orders_2023_rest', 'orders_2023_rest_0', 'bloated']),
  );
  expect(database?.excludedRows).toEqual([{ schema: 'public', name: 'huge_rows' }]);
  expect(database?.archivedRows).toEqual([]);
  expect(names).toContain('sales.orders_2024');
  for (const gone of ['sales.orders_2023_eu', 'public.bloated', 'public.huge_rows']) expect(names).not.toContain(gone);
  expect(names.some((name) => name.startsWith('Odd'))).toBe(false);
  expect(summary.notes.some((note) => note.includes('nothing fits') || note.includes('fits nothing'))).toBe(true);
  const facts = (await writer.read(database?.facts as string)).toString();
  expect(facts).not.toContain('Odd.schema');
  expect(facts).not.toContain('"orders_2023_eu"');
  expect(facts).toContain('"huge_rows"');
  const archive = await writer.read(database?.archive as string);
  expect(archive.includes('CREATE TABLE public.huge_rows')).toBe(true);
  expect(archive.includes('CREATE TABLE public.bloated')).toBe(false);
});

test('a pattern that is not well formed is refused', async () => {
  for (const exclude of [{ schemas: ['a.b'] }, { tables: ['a.b.c'] }, { tableRows: ['"open'] }, { schemas: [''] }]) {
    expect(await raisedCodes(() => postgresSource(server, 'nasty', { exclude }))).toEqual([
      'FormatError DATABASE_PATTERN_INVALID',
    ]);
  }
});

test('all databases of a server, but for those that allow no connections', async () => {
  await server.query('create database closed allow_connections false');
  await server.query("create database latin encoding 'LATIN1' locale 'C' template template0");
  await server.query("create database raw encoding 'SQL_ASCII' locale 'C' template template0");
  onTestFinished(async () => {
    for (const name of ['closed', 'latin', 'raw']) await server.query(`drop database ${name}`);
  });
  await server.query(
    String.raw`create table U&"\00e9_table" (U&"\00fc" text); insert into U&"\00e9_table" values (U&'\00df')`,
    {
      database: 'latin',
    },
  );
  await server.query(`create table "é_table" ("ü" text); insert into "é_table" values ('ß'), (E'\\xff')`, {
    database: 'raw',
  });
  const { end, writer, summary } = await backUp('postgres', { databases: 'all' });
  expect(end.databases.map(({ name }) => name)).toEqual(['latin', 'nasty', 'postgres', 'raw']);
  expect(summary.notes.some((note) => note.includes('closed'))).toBe(true);
  const textOf = async (database: string) => {
    const entry = writer.entries.find((one) => one.entry === 'table' && one.database === database);
    expect(entry).toMatchObject({ table: 'é_table', columns: ['ü'] });
    return writer.read(entry?.entry === 'table' ? (entry.streams[0] as string) : '');
  };
  expect((await textOf('latin')).toString('utf8')).toBe('ß\n');
  expect(await textOf('raw')).toEqual(Buffer.concat([Buffer.from('ß\n'), Buffer.from([0xff, 0x0a])]));
  expect(end.databases.map(({ clientEncoding }) => clientEncoding)).toEqual(['UTF8', 'UTF8', 'UTF8', 'SQL_ASCII']);

  for (const names of [['closed'], ['not there']]) {
    expect(await raisedCodes(() => backUp('postgres', { databases: { names } }))).toEqual([
      'UseCaseError BACKUP_DATABASE_UNUSABLE',
    ]);
  }
});

test('tables that collapsed since the run before are told', async () => {
  await server.query('create database shrinking');
  onTestFinished(async () => {
    await server.query('drop database shrinking');
  });
  const on = { database: 'shrinking' };
  for (const [table, rows] of [
    ['kept', 1000],
    ['half', 1000],
    ['gone', 500],
    ['queue', 50],
  ] as const) {
    await server.query(`create table ${table} as select from generate_series(1, ${rows})`, on);
  }
  let counts: unknown;
  const first = await backUp('shrinking', { onCounts: (told) => (counts = told) });
  expect(first.summary.collapses).toBeUndefined();
  await server.query('drop table gone; truncate queue; delete from half where ctid >= $$(0,100)$$::tid', on);
  await server.query(`delete from half where ctid > (select ctid from half order by ctid offset 450 limit 1)`, on);
  const second = await backUp('shrinking', { countsBefore: JSON.parse(JSON.stringify(counts)) });
  expect(second.summary.collapses).toHaveLength(2);
  expect(second.summary.collapses?.join()).toContain('"public"."half"');
  expect(second.summary.collapses?.join()).toContain('"public"."gone"');
});

test('rows of the configuration tables of an extension stay in the archive, those of its other tables nowhere', async () => {
  // Since 18 a server looks for extensions elsewhere too. Its own account has to reach the folder.
  const at = await mkdtemp('/tmp/portolan-extension-');
  onTestFinished(() => rm(at, { recursive: true, force: true }));
  await chmod(at, 0o755);
  await mkdir(join(at, 'extension'));
  await writeFile(
    join(at, 'extension/geography.control'),
    "default_version = '1'\nrelocatable = false\nschema = public\n",
  );
  await writeFile(
    join(at, 'extension/geography--1.sql'),
    `create table places (id int, mine bool); insert into places values (1, false);
     create table cache (id int);
     select pg_catalog.pg_extension_config_dump('places', 'where mine');`,
  );
  const young = await startPostgres({ major: 18, settings: { extension_control_path: `${at}:$system` } });
  onTestFinished(() => young.stop());
  await young.query(
    'create extension geography; insert into places values (2, true), (3, true); insert into cache values (1); create table own (id int)',
  );
  await young.query('create role outsider login');
  expect(
    (await raised(() => postgresSource(young, 'postgres', { user: 'outsider' }).prepare({ signal }))).others,
  ).toHaveLength(1);
  runs += 1;
  const writer = createCollectingWriter(join(folder, String(runs)), { programs: young.programs });
  await postgresSource(young, 'postgres').backUp(writer, { signal });
  const last = writer.entries.at(-1);
  const [database] = decodeEndRecord(last?.entry === 'end' ? last.record : undefined).databases;
  expect(database?.archivedRows).toEqual([{ schema: 'public', name: 'places' }]);
  expect(database?.needs).toEqual([{ kind: 'untrusted-extension', name: '"geography"' }]);
  expect(writer.entries.flatMap((entry) => (entry.entry === 'table' ? [entry.table] : []))).toEqual(['own']);
  expect((await writer.read(database?.archive as string)).includes('2\tt\n')).toBe(true);
});

test('an initialised Supabase: its own schemas are noted, and that the key of the Vault is elsewhere', async () => {
  await server.query('create database base');
  onTestFinished(async () => {
    await server.query('drop database base');
  });
  await server.query(
    'create schema auth; create schema vault; create schema mine; create table vault.secrets (id int)',
    {
      database: 'base',
    },
  );
  const { end, summary } = await backUp('base', { profile: 'supabase' });
  expect(end.databases[0]?.systemSchemas).toEqual(['auth', 'vault']);
  expect(summary.notes.some((note) => note.includes('pgsodium_root.key'))).toBe(true);
});
