/** Everything that a server may have, backed up into a repository, restored into another server, and found to be the same. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type BackupRepository, createBackupRepository } from '../support/backup-repository.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import { createNastyDatabase, ODD_SCHEMA } from '../support/nasty-database.ts';
import { type PostgresMajor, type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { dumpAll, firstDifference, restoreInto } from '../support/restore-fixture.ts';

const NAME = 'nasty "db" é';
const SECOND = "second's=one";

describe.each<{ from: PostgresMajor; to: PostgresMajor }>([
  { from: 15, to: 15 },
  { from: 17, to: 18 },
])('PostgreSQL $from to $to', ({ from, to }) => {
  let source: PostgresServer;
  let target: PostgresServer;
  let repository: BackupRepository;

  beforeAll(async () => {
    [source, target] = await Promise.all([startPostgres({ major: from }), startPostgres({ major: to })]);
    await createNastyDatabase(source, NAME);
    await source.query(`create database "${SECOND}"`);
    await source.query('create table t (id int primary key); insert into t values (1), (2)', {
      database: "dbname='second\\'s=one'",
    });
    repository = await createBackupRepository();
    await repository.run([postgresSource(source, 'postgres', { databases: 'all' })]);
  });
  afterAll(async () => {
    await Promise.all([source?.stop(), target?.stop()]);
    await repository?.[Symbol.asyncDispose]();
  });

  test('the whole server comes back, and nothing differs', async () => {
    const report = await restoreInto(repository, target);
    expect(report.problems).toEqual([]);
    expect(report).toMatchObject({ done: true, differences: [] });
    // Another version says the same in other words; rows are rows.
    const dump = async (server: PostgresServer) =>
      from === to ? await dumpAll(server) : (await dumpAll(server, target, ['--data-only'])).toSorted();
    const [before, after] = [await dump(source), await dump(target)];
    expect(before.length).toBeGreaterThan(1000);
    expect(firstDifference(before, after)).toBeUndefined();
  });

  test('schemas and tables of it come back alone, beside the database that they are from, and are proved', async () => {
    onTestFinished(async () => {
      await source.query('drop database if exists "a part"');
    });
    const selection = { databases: [NAME], schemas: ['sales', `"${ODD_SCHEMA.replaceAll('"', '""')}"`] };
    const schemas = await restoreInto(repository, source, { selection, into: 'a part' });
    expect(schemas.problems).toEqual([]);
    expect(schemas.databases).toMatchObject([{ name: NAME, target: 'a part', state: 'new', tables: 18 }]);
    const tables = [
      'public.animals',
      'public.every_type',
      'public.with_extensions',
      'public.secrets',
      'public.children',
    ];
    const more = await restoreInto(repository, source, {
      selection: { databases: [NAME], tables },
      into: 'a part',
      intoExisting: true,
    });
    expect(more.problems).toEqual([]);
    expect(more).toMatchObject({ done: true, databases: [{ state: 'existing', tables: 5 }] });
    expect(more.notes.filter((note) => note.includes('left out: it needs a table')).sort()).toEqual([
      '"a part": fk constraint children children_parent_fkey is left out: it needs a table that is not restored',
      '"a part": fk constraint parents parents_favourite_fkey is left out: it needs a table that is not restored',
    ]);
  });
});
