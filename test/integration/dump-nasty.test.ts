/** Everything that a database may have, dumped, restored with the stock tools alone, and found to be the same. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { quoteName, quoteRelation } from '../../src/formats/postgres/names.ts';
import type { TableEntry } from '../../src/formats/repository/contents.ts';
import {
  type DatabaseRecord,
  decodeEndRecord,
  decodeFacts,
  decodeServerRecord,
  decodeTableRecord,
  type EndRecord,
  type Fact,
} from '../../src/formats/repository/database-record.ts';
import type { SourceSummary } from '../../src/ports/backup-source.ts';
import { type CollectingWriter, createCollectingWriter } from '../support/collecting-writer.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import { createNastyDatabase, ODD_SCHEMA, ODD_TABLES } from '../support/nasty-database.ts';
import { type PostgresMajor, type PostgresServer, startPostgres } from '../support/postgres-server.ts';

const run = promisify(execFile);
const NAME = 'nasty "db" é';
const { signal } = new AbortController();

describe.each<{ major: PostgresMajor; argumentsLimitBytes?: number }>([
  { major: 15 },
  { major: 17, argumentsLimitBytes: 0 },
  { major: 18 },
])('PostgreSQL $major', ({ major, ...limits }) => {
  let folder: string;
  let server: PostgresServer;
  let target: PostgresServer;
  let writer: CollectingWriter;
  let summary: SourceSummary;
  let end: EndRecord;
  let database: DatabaseRecord;
  let tables: readonly TableEntry[];

  const tool = async (program: string, args: readonly string[], on: PostgresServer) => {
    const { stdout } = await run(join(on.programs, program), ['-h', on.folder, '-U', 'postgres', ...args], {
      maxBuffer: 512 * 1024 * 1024,
    });
    // Newer versions guard a script by a random word.
    return stdout.replaceAll(/^\\(?:un)?restrict .*$/gm, '');
  };
  const facts = async (name: string): Promise<Fact[]> => {
    return await allFacts(writer.path(name));
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portolan-dump-'));
    [server, target] = await Promise.all([startPostgres({ major }), startPostgres({ major })]);
    await createNastyDatabase(server, NAME);
    writer = createCollectingWriter(join(folder, 'first'), { programs: server.programs });
    const source = postgresSource(server, NAME, { limits: { rangeBytes: 1024 * 1024, ...limits } });
    const { expectedBytes } = await source.prepare({ signal });
    expect(expectedBytes).toBeGreaterThan(10 * 1024 * 1024);
    summary = await source.backUp(writer, { signal });
    const last = writer.entries.at(-1);
    end = decodeEndRecord(last?.entry === 'end' ? last.record : undefined);
    database = end.databases[0] as DatabaseRecord;
    tables = writer.entries.filter((entry) => entry.entry === 'table');
  });
  afterAll(async () => {
    await Promise.all([server?.stop(), target?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  test('every table has its entry, its rows as counted, and its record', async () => {
    const first = writer.entries[0];
    expect(decodeServerRecord(first?.entry === 'source' ? first.record : undefined)).toMatchObject({
      databases: [NAME],
      isSuperuser: true,
      isStandby: false,
    });
    const counted = await server.query(
      `select json_agg(json_build_array(n.nspname, c.relname, (xpath('/row/c/text()',
         query_to_xml(format('select count(*) as c from only %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::int)
         order by n.nspname collate "C", c.relname collate "C")
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`,
      { database: NAME },
    );
    const key = ([schema, name]: readonly unknown[]) => Buffer.from(`${schema}\0${name}`).toString('hex');
    const expected = JSON.parse(counted) as [string, string, number][];
    const found = tables.map(({ schema, table, rows }) => [schema, table, rows]);
    const sortedByName = (rows: readonly (readonly unknown[])[]) =>
      [...rows].sort((a, b) => (key(a) < key(b) ? -1 : 1));
    expect(sortedByName(found)).toEqual(sortedByName(expected));
    expect(found.filter(([schema]) => schema === ODD_SCHEMA).map(([, table]) => table)).toEqual(
      expect.arrayContaining(ODD_TABLES),
    );
    for (const { record } of tables) decodeTableRecord(record);
    expect(tables.find(({ table }) => table === 'scratch')?.record).toMatchObject({ isUnlogged: true });
    expect(tables.find(({ table }) => table === 'bloated')?.streams.length).toBeGreaterThan(5);
    expect(database).toMatchObject({ name: NAME, tables: tables.length, largeObjects: 3, owner: 'nasty owner' });
    expect(summary).toMatchObject({ items: tables.length, rows: database.rows });
  });

  test('what a restore must be allowed is named', () => {
    expect(end.needs).toEqual([{ kind: 'superuser-role', name: '"postgres"' }]);
    expect(new Set(database.needs.map(({ kind, name }) => `${kind} ${name}`))).toEqual(
      new Set([
        'untrusted-extension "file_fdw"',
        'untrusted-extension "postgres_fdw"',
        'event-trigger "nasty_events"',
        'foreign-server "elsewhere"',
        'foreign-server "files"',
      ]),
    );
    expect(summary.notes.some((note) => note.includes('foreign tables'))).toBe(true);
  });

  test('the stock tools restore it, and nothing differs', async () => {
    const archive = writer.path(database.archive);
    const restore = (...args: string[]) =>
      tool('pg_restore', ['--exit-on-error', '-d', NAME, ...args, archive], target);
    const globals = (await writer.read(end.globals)).toString().replace('CREATE ROLE postgres;', '');
    await target.query(globals.replaceAll(/^\\(?:un)?restrict .*$/gm, ''));
    await tool('pg_restore', ['--exit-on-error', '--create', '-d', 'postgres', '--section=pre-data', archive], target);
    for (const { schema, table, columns, streams } of tables) {
      const list = columns.length === 0 ? '' : `(${columns.map(quoteName).join(', ')})`;
      for (const stream of streams) {
        await copyIn(target, `copy ${quoteRelation({ schema, name: table })} ${list} from stdin`, writer.path(stream));
      }
    }
    await restore('--section=data');
    await restore('--section=post-data');

    const before = await tool('pg_dump', [NAME], server);
    const after = await tool('pg_dump', [NAME], target);
    expect(after === before || firstDifference(before, after)).toBe(true);

    const again = createCollectingWriter(join(folder, 'again'), { programs: target.programs });
    await postgresSource(target, NAME).backUp(again, { signal });
    const own = await facts(database.facts);
    const restored = await allFacts(again.path(database.facts));
    expect(restored).toEqual(own);
    expect(own.length).toBe(database.factsCount);
    expect((await again.read(end.facts)).toString()).toBe((await writer.read(end.facts)).toString());
    expect(own.find(({ kind, name }) => kind === 'policy' && name[2] === 'writes; drop')?.value).toMatchObject({
      command: 'a',
      roles: ['nasty_limited'],
    });
    expect(own.find(({ kind, name }) => kind === 'sequence' && name[1] === 'set_not_called')?.value).toMatchObject({
      last: '42',
      isCalled: false,
    });
  });
});

/** As the printed page has it: the stream goes into psql. */
async function copyIn(on: PostgresServer, copy: string, path: string): Promise<void> {
  const child = spawn(
    join(on.programs, 'psql'),
    ['-X', '-q', '-h', on.folder, '-U', 'postgres', '-d', NAME, '-c', copy],
    {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { PGOPTIONS: '-c client_min_messages=warning' },
    },
  );
  const closed = once(child, 'close');
  await pipeline(createReadStream(path), child.stdin);
  const [status] = await closed;
  expect(status, copy).toBe(0);
}

async function allFacts(path: string): Promise<Fact[]> {
  const facts: Fact[] = [];
  for await (const fact of decodeFacts(createReadStream(path))) facts.push(fact);
  return facts;
}

/** Not the whole: 80 MB would be printed. */
function firstDifference(a: string, b: string): string {
  const [left, right] = [a.split('\n'), b.split('\n')];
  const at = left.findIndex((line, index) => line !== right[index]);
  return `${left[at]?.slice(0, 300)} | ${right[at]?.slice(0, 300)}`;
}
