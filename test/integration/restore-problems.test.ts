/** What is wrong with a repository, and what a restore makes of it. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { snapshotKey, type WriterName } from '../../src/formats/repository/keys.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { openForRestore } from '../../src/usecases/restore/restore.ts';
import { type BackupRepository, createBackupRepository, signal, streamSource } from '../support/backup-repository.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { raisedCodes } from '../support/raised.ts';
import { restoreInto } from '../support/restore-fixture.ts';

let server: PostgresServer;
let repository: BackupRepository;

beforeAll(async () => {
  [server, repository] = await Promise.all([startPostgres(), createBackupRepository()]);
  await server.query('create role "power\'s" superuser nologin; create role climber in role "power\'s"');
  await server.query('create role runner in role pg_execute_server_program');
  await server.query('create database shop');
  await server.query(
    `create table t (id int primary key, v text); insert into t select n, md5(n::text) from generate_series(1, 50000) n;
     create schema "Odd.one"; create function "Odd.one".f(internal) returns internal language internal as 'textin'`,
    { database: 'shop' },
  );
  await repository.run([postgresSource(server, 'shop')]);
});
afterAll(async () => {
  await server?.stop();
  await repository?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await server.query('drop database if exists copy with (force)');
});

test('a damaged pack ends the restore, no row of it is believed, and with a good one it goes on', async () => {
  const folder = join(repository.root, 'store', 'packs');
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((one) => one.isFile());
  const packs = names.map(({ parentPath, name }) => join(parentPath, name));
  const good = await Promise.all(packs.map((path) => readFile(path)));
  for (const [index, path] of packs.entries()) {
    const bad = Buffer.from(good[index] as Buffer);
    for (let at = 2000; at < bad.length; at += 1000) bad[at] = (bad[at] as number) ^ 1;
    await writeFile(path, bad);
  }
  const codes = await raisedCodes(() => restoreInto(repository, server, { into: 'copy' }));
  expect(codes).toEqual(['AdapterError OBJECT_DAMAGED']);
  for (const [index, path] of packs.entries()) await writeFile(path, good[index] as Buffer);
  expect(await restoreInto(repository, server, { into: 'copy' })).toMatchObject({ done: true, problems: [] });
  expect(await server.query('select count(*) from t', { database: 'copy' })).toBe('50000');
});

test('a table that was read in many ranges side by side has all its rows, and its size is that of all of them', async () => {
  await using other = await createBackupRepository();
  const limits = { rangeBytes: 256 * 1024 };
  const { sources } = await other.run([postgresSource(server, 'shop', { limits })]);
  const textBytes = Number(await server.query('select sum(length(id::text) + 34) from t', { database: 'shop' }));
  expect(sources[0]?.sizeBytes).toBeGreaterThan(textBytes);
  for (let round = 0; round < 3; round += 1) {
    expect(await restoreInto(other, server, { into: 'copy' })).toMatchObject({ done: true, problems: [] });
    expect(await server.query('select count(*), sum(id) from t', { database: 'copy' })).toBe('50000|1250025000');
    await server.query('drop database copy with (force)');
  }
});

test('a chain that is not right stops a restore, unless a snapshot is named and that is accepted', async () => {
  await using other = await createBackupRepository();
  const source = streamSource('files', { a: Buffer.from('a') });
  for (let run = 0; run < 3; run += 1) await other.run([source]);
  await rm(join(other.root, 'store', snapshotKey('db-1' as WriterName, 2)));
  const open = async (snapshot: string | undefined, despiteProblems: boolean) =>
    await openForRestore(
      await other.open(),
      { snapshot, identities: [other.identity], despiteProblems },
      { progress: silentProgress },
      { signal },
    );
  const refused = ['FormatError SNAPSHOT_DROPPED'];
  for (const [snapshot, despite] of [
    [undefined, false],
    [undefined, true],
    ['db-1/3', false],
    ['db-1', true],
  ] as const) {
    expect(await raisedCodes(() => open(snapshot, despite)), `${snapshot} ${despite}`).toEqual(refused);
  }
  expect((await open('db-1/3', true)).found.info.sequence).toBe(3);
});

test('what can do harm is named, also where it comes by a membership or under an odd name', async () => {
  await server.query('drop role climber; drop role runner');
  const whole = await restoreInto(repository, server, { into: 'copy', allow: new Set(), plan: true });
  expect(whole.problems.map(({ code }) => code)).toEqual(['RESTORE_NOT_ALLOWED']);
  expect(whole.needs.map(({ allowance, name }) => `${allowance} ${name}`)).toEqual([
    'superuser "postgres"',
    'superuser-roles "pg_execute_server_program" to "runner"',
    `superuser-roles "power's" to "climber"`,
    'c-functions "Odd.one"."f"(internal)',
  ]);
  const part = { into: 'copy', allow: new Set<never>(), plan: true };
  const odd = await restoreInto(repository, server, { ...part, selection: { schemas: ['"Odd.one"'] } });
  expect(odd.needs.map(({ allowance }) => allowance)).toEqual(['superuser', 'c-functions']);
  const table = await restoreInto(repository, server, { ...part, selection: { tables: ['public.t'] } });
  expect(table.needs.map(({ allowance }) => allowance)).toEqual(['superuser']);
  await server.query('create role climber; create role runner');
});
