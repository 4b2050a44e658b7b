/** Restores into servers that sort texts in other ways, or lack the locale; and into newer major versions. */
import { chmod, cp, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BackupRepository, createBackupRepository } from '../support/backup-repository.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { restoreInto } from '../support/restore-fixture.ts';

/** A name that no machine has; its content is that of C.UTF-8. */
const LOCALE = 'xx_YY.UTF-8';

let folder: string;
let source: PostgresServer;
let target: PostgresServer;
let repository: BackupRepository;

beforeAll(async () => {
  folder = await mkdtemp('/tmp/portolan-locales-');
  await chmod(folder, 0o755);
  await cp('/usr/lib/locale/C.utf8', join(folder, 'xx_YY.utf8'), { recursive: true });
  [source, target, repository] = await Promise.all([
    startPostgres({ environment: { LOCPATH: folder } }),
    startPostgres({ major: 17 }),
    createBackupRepository(),
  ]);
  const made = [
    `create database sorted template template0 locale '${LOCALE}'`,
    `create database by_icu template template0 locale_provider icu icu_locale 'de'`,
    'create database mixed',
  ];
  for (const sql of made) await source.query(sql);
  await source.query('create table t (v text); insert into t values (1)', { database: 'sorted' });
  await source.query(
    `create table t (v text) partition by range (v);
     create table early partition of t for values from ('a') to ('m'); insert into t values ('b'), ('ä')`,
    { database: 'by_icu' },
  );
  await source.query(
    `select pg_import_system_collations('pg_catalog');
     create collation own_one (provider = libc, locale = '${LOCALE}');
     create collation pg_catalog."xx's" (provider = libc, locale = '${LOCALE}');
     create schema a; create schema b; create schema c;
     create table a.t (v text collate pg_catalog."xx's"); create table b.t (v text collate own_one);
     create table c.t (v text collate "C")`,
    { database: 'mixed' },
  );
  await repository.run([postgresSource(source, 'postgres', { databases: 'all' })]);
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()]);
  await repository?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test('a database whose locale the server lacks is refused before it is made; an empty one that somebody made takes it', async () => {
  const selection = { databases: ['sorted'] };
  const refused = await restoreInto(repository, target, { selection });
  expect(refused.problems).toMatchObject([{ code: 'RESTORE_LOCALE_MISSING', expected: `lc_collate '${LOCALE}'` }]);
  expect(String(refused.problems[0]?.found)).toContain('C.utf8');
  expect(await target.query(`select count(*) from pg_database where datname = 'sorted'`)).toBe('0');

  await target.query('create database sorted_otherwise');
  const taken = await restoreInto(repository, target, { selection, into: 'sorted_otherwise' });
  expect(taken.problems).toEqual([]);
  expect(await target.query('select v from t', { database: 'sorted_otherwise' })).toBe('1');
});

test('collations that tables are made with, the server’s and own ones, are looked for before anything is made', async () => {
  const into = 'mixed';
  const refused = await restoreInto(repository, target, { selection: { databases: ['mixed'] }, into });
  expect(refused.problems).toMatchObject([
    { code: 'RESTORE_LOCALE_MISSING', expected: `locale '${LOCALE}', collation pg_catalog."xx's"` },
  ]);
  expect(await target.query(`select count(*) from pg_database where datname = 'mixed'`)).toBe('0');
  // Whoever brings the missing one into an empty database is not kept away.
  await target.query('create database prepared');
  await target.query(`create collation pg_catalog."xx's" (provider = libc, locale = 'C.UTF-8')`, {
    database: 'prepared',
  });
  const schemas = { databases: ['mixed'], schemas: ['a'] };
  const prepared = await restoreInto(repository, target, { selection: schemas, into: 'prepared' });
  expect(prepared.problems).toEqual([]);

  const part = { databases: ['mixed'], schemas: ['c'] };
  expect((await restoreInto(repository, target, { selection: part, into })).problems).toEqual([]);
  expect(await target.query('select count(*) from c.t', { database: 'mixed' })).toBe('0');
});

test('that another version of ICU sorts the texts is told by the plan', async () => {
  const version = (server: PostgresServer) =>
    server.query(`select pg_collation_actual_version(oid) from pg_collation where collname = 'de-x-icu'`);
  const [before, after] = [await version(source), await version(target)];
  expect(before).not.toBe(after);
  const report = await restoreInto(repository, target, { selection: { databases: ['by_icu'] } });
  expect(report.problems).toEqual([]);
  expect(report.notes).toContainEqual(
    expect.stringMatching(`^"by_icu": texts were sorted by icu ${before} and are by ${after}:`),
  );
  expect(await target.query(`select count(*) from t where v = 'ä'`, { database: 'by_icu' })).toBe('1');
});
