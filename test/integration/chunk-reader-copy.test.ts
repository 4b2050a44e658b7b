/** Rows from packs into a PostgreSQL, by the chunk reader. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { readChunk } from '../../src/formats/repository/chunk-table.ts';
import type { CopyInJob } from '../../src/ports/chunks.ts';
import { inParts } from '../support/pack-collector.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { raised } from '../support/raised.ts';
import { storePacks } from '../support/stored-packs.ts';

const ROWS = 100_000;
const SUM = 'select count(*), sum(hashtextextended(r::text, 0)) from';
let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres();
  // About 30 MB of text: several runs, more than one pack; one value is larger than any buffer.
  await server.query(`
    create table source (id bigint, name text, odd text);
    insert into source select i, md5(i::text) || md5((-i)::text) || md5((i + 0.5)::text) || md5((i + 0.25)::text) || md5((i + 0.125)::text) || md5((i + 0.75)::text), case when i % 7 = 0 then null else E'tab\\tline\\nback\\\\slash' end
      from generate_series(1, ${ROWS}) i;
    insert into source select 0, string_agg(md5(i::text), ''), null from generate_series(1, 600000) i;`);
});
beforeEach(async () => {
  await server.query(
    'drop table if exists target, done; create table target (like source); create table done (what text)',
  );
});
afterAll(() => server?.stop());

async function storedTable() {
  const packs = await storePacks();
  const { chunks } = await packs.writer.copy({ ...connection(), session: [], copy: 'copy source to stdout' });
  await packs.writer.finish();
  return Object.assign(packs, { chunks });
}

function connection(): Pick<CopyInJob, 'connection'> {
  return { connection: { url: server.url() } };
}

function jobInto(table: string, change: Partial<CopyInJob> = {}): CopyInJob {
  return {
    ...connection(),
    session: ["set datestyle = 'ISO'"],
    before: [],
    copy: `copy ${table} from stdin`,
    after: [],
    ...change,
  };
}

const sumOf = (table: string) => server.query(`${SUM} ${table} r`);
const sessions = () =>
  server.query(
    "select count(*) from pg_stat_activity where application_name = 'portolan restore' and state = 'active'",
  );

async function until(expected: string, look: () => Promise<string>): Promise<void> {
  while ((await look()) !== expected);
}

test('a table comes back row for row, with what belongs to it in the same transaction', async () => {
  const { reader, chunks, packs } = await storedTable();
  expect(packs.length).toBeGreaterThan(1);
  const one = await reader();
  const job = jobInto('target', { before: ['truncate target'], after: ["insert into done values ('target')"] });
  expect(await one.copy(chunks, job)).toBe(ROWS + 1);
  expect(await sumOf('target')).toBe(await sumOf('source'));
  expect(await server.query('select * from done')).toBe('target');
});

test('more tables than there are workers come at once', async () => {
  const { reader, chunks } = await storedTable();
  const names = ['one', 'two', 'three'];
  for (const name of names)
    await server.query(`drop table if exists ${name}; create unlogged table ${name} (like source)`);
  const one = await reader({ workers: 2 });
  await Promise.all(names.map((name) => one.copy(chunks, jobInto(name))));
  const wanted = await sumOf('source');
  for (const name of names) expect(await sumOf(name)).toBe(wanted);
});

test('rows that the server refuses leave nothing, and the next table is read', async () => {
  const { reader, chunks } = await storedTable();
  const one = await reader();
  await server.query('alter table target add check (id < 90000)');
  const error = await raised(() => one.copy(chunks, jobInto('target')));
  expect(error.code).toBe('DATABASE_STATEMENT_FAILED');
  expect(error.found).toContain('23514');
  expect(await server.query('select count(*) from target')).toBe('0');
  const badStatement = jobInto('target', { after: ['insert into nowhere values (1)'] });
  await server.query('alter table target drop constraint target_id_check');
  expect((await raised(() => one.copy(chunks, badStatement))).code).toBe('DATABASE_STATEMENT_FAILED');
  expect(await server.query('select count(*) from target')).toBe('0');
  expect(await one.copy(chunks, jobInto('target'))).toBe(ROWS + 1);
});

test('a wrong byte in the last pack leaves nothing', async () => {
  const { reader, chunks, original, replace } = await storedTable();
  const { pack } = readChunk(chunks, chunks.length / 48 - 1);
  const damaged = Uint8Array.from(original(pack));
  damaged.fill(0, damaged.length >> 1);
  replace(pack, damaged);
  const one = await reader();
  expect((await raised(() => one.copy(chunks, jobInto('target')))).code).toBe('OBJECT_DAMAGED');
  expect(await server.query('select count(*) from target')).toBe('0');
  await until('0', sessions);
});

test('a version of that pack without it makes the table whole, no row twice', async () => {
  const packs = await storedTable();
  packs.keepsVersions = true;
  const { chunks, original, replace, reader } = packs;
  const { pack } = readChunk(chunks, 0);
  const damaged = Uint8Array.from(original(pack));
  damaged.fill(0, damaged.length >> 1);
  replace(pack, damaged);
  expect(await (await reader()).copy(chunks, jobInto('target'))).toBe(ROWS + 1);
  expect(await sumOf('target')).toBe(await sumOf('source'));
});

test('an abort while the server is busy with a row ends the COPY on the server, too', async () => {
  const { reader, chunks } = await storedTable();
  const one = await reader();
  const abort = new AbortController();
  const cause = new Error('enough');
  await server.query(
    'create or replace function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return new; end $$',
  );
  await server.query('create trigger slow before insert on target for each row execute function slow()');
  const outcome = one.copy(chunks, jobInto('target'), { signal: abort.signal }).catch((error) => error);
  await until('1', sessions);
  abort.abort(cause);
  expect(await outcome).toBe(cause);
  await until('0', sessions);
  await server.query('drop trigger slow on target');
  expect(await one.copy(chunks, jobInto('target'))).toBe(ROWS + 1);
});

test('a server that goes away is told', async () => {
  const { reader, writer } = await storedTable();
  const { chunks } = await writer.stream(inParts(Buffer.alloc(200_000, '1\tone\t\\N\n'), 50_000));
  await writer.finish();
  const one = await reader();
  await server.query(
    'create or replace function gone() returns trigger language plpgsql as $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$',
  );
  await server.query('create trigger gone before insert on target for each row execute function gone()');
  expect((await raised(() => one.copy(chunks, jobInto('target')))).code).toBe('DATABASE_LOST');
  expect(await server.query('select count(*) from target')).toBe('0');
});
