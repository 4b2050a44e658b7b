/** Extensions that a server lacks, has in another version, or does not trust; and large objects and tablespaces beside them. */
import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Allowance } from '../../src/usecases/restore/postgres/needs.ts';
import { type BackupRepository, createBackupRepository } from '../support/backup-repository.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { type RestoreOptions, restoreInto } from '../support/restore-fixture.ts';
import { createExtensions, type ExtensionFolder, type OwnExtension } from '../support/server-extensions.ts';

const SETTINGS_SQL = `
  create table settings (name text primary key, value text, is_own bool default true);
  insert into settings values ('colour', 'grey', false);
  create sequence numbers;
  select pg_extension_config_dump('settings', 'where is_own');
  select pg_extension_config_dump('numbers', '');`;
const trusting: OwnExtension = { name: 'own_settings', versions: { '1.0': SETTINGS_SQL }, isTrusted: true };
const distrusting: OwnExtension = {
  name: 'own_settings',
  versions: {
    '1.0': SETTINGS_SQL,
    '1.1': `${SETTINGS_SQL} create function newer() returns int language sql return 1;`,
  },
  isTrusted: false,
};
const powers: OwnExtension = {
  name: 'own_powers',
  versions: { '2.0': 'create function powerful() returns int language sql return 1;' },
  isTrusted: false,
};

let source: PostgresServer;
let target: PostgresServer;
let bare: PostgresServer;
let repository: BackupRepository;
let folders: ExtensionFolder[];

beforeAll(async () => {
  folders = await Promise.all([createExtensions([trusting, powers]), createExtensions([distrusting, powers])]);
  const [of, to] = folders as [ExtensionFolder, ExtensionFolder];
  [source, target, bare, repository] = await Promise.all([
    startPostgres({ major: 18, settings: of.settings }),
    startPostgres({ major: 18, settings: to.settings }),
    startPostgres({ major: 18 }),
    createBackupRepository(),
  ]);
  await source.query('create role keeper');
  await source.query('create database shop owner keeper');
  await source.query(
    `create schema own; create extension own_settings schema own; create extension own_powers; create extension hstore;
     update own.settings set value = 'red' where name = 'colour'; insert into own.settings values ('size', 'XL');
     select setval('own.numbers', 42);
     create table t (id int, h hstore); insert into t values (1, 'a=>1')`,
    { database: 'shop' },
  );
  await repository.run([postgresSource(source, 'shop')]);
});
afterEach(async () => {
  for (const server of [target, bare]) {
    await server.query('drop database if exists shop with (force)');
    await server.query('drop role if exists keeper');
  }
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop(), bare?.stop()]);
  await Promise.all((folders ?? []).map((folder) => folder[Symbol.asyncDispose]()));
  await repository?.[Symbol.asyncDispose]();
});

const codes = ({ problems }: Awaited<ReturnType<typeof restoreInto>>) => problems.map(({ code }) => code);
const databases = (server: PostgresServer) =>
  server.query(`select string_agg(datname, ',' order by datname) from pg_database where not datistemplate`);

test('a server that lacks files of extensions is refused before anything is made there, and they are named', async () => {
  for (const plan of [true, false]) {
    const report = await restoreInto(repository, bare, { plan });
    expect(report).toMatchObject({ done: false, problems: [{ code: 'RESTORE_EXTENSIONS_MISSING' }] });
    expect(report.problems[0]).toMatchObject({ found: 'own_powers 2.0, own_settings 1.0' });
    expect(report.databases[0]?.extensions).toContainEqual({ name: 'hstore', version: '1.8', available: '1.8' });
  }
  expect(await databases(bare)).toBe('postgres');
  expect(await bare.query(`select count(*) from pg_roles where rolname = 'keeper'`)).toBe('0');
  const table = await restoreInto(repository, bare, { selection: { tables: ['t'] } });
  expect(codes(table)).toEqual([]);
  expect(await bare.query('select h from t', { database: 'shop' })).toBe('"a"=>"1"');
});

test('configuration that somebody gave to an extension comes back; what the target distrusts wants leave, another version is told', async () => {
  const allow = new Set<Allowance>(['superuser']);
  const refused = await restoreInto(repository, target, { allow });
  expect(codes(refused)).toEqual(['RESTORE_NOT_ALLOWED']);
  expect(refused.needs.filter(({ isAllowed }) => !isAllowed).map(({ name }) => name)).toEqual([
    '"own_powers"',
    '"own_settings"',
  ]);
  expect(await databases(target)).toBe('postgres');
  const report = await restoreInto(repository, target, {
    allow: new Set<Allowance>([...allow, 'untrusted-extensions']),
  });
  expect(codes(report)).toEqual([]);
  expect(report.notes).toContain('"shop": extension own_settings 1.0 becomes 1.1');
  const settings = `select string_agg(name || '=' || value, ',' order by name) from own.settings`;
  // Rows of the extension itself are those of its version.
  expect(await target.query(settings, { database: 'shop' })).toBe('colour=grey,size=XL');
  expect(await target.query(`select nextval('own.numbers')`, { database: 'shop' })).toBe('43');
});

test('large objects have their bytes, owners, rights and comments: a thousand small ones and one of 40 MiB', async () => {
  await source.query('create database objects');
  await source.query(
    `select lo_from_bytea(10000 + n, convert_to(repeat(md5(n::text), n % 7), 'utf8')) from generate_series(1, 1000) n;
     select lo_from_bytea(90000, (select string_agg(sha256(n::text::bytea), '' order by n) from generate_series(1, 40 * 32768) n));
     do $$ begin for n in 1..1000 by 10 loop
       execute format('alter large object %s owner to keeper', 10000 + n);
       execute format('grant select on large object %s to pg_monitor', 10001 + n);
       execute format('comment on large object %s is %L', 10002 + n, 'number ' || n);
     end loop; end $$`,
    { database: 'objects' },
  );
  await using own = await createBackupRepository();
  await own.run([postgresSource(source, 'objects')]);
  const report = await restoreInto(own, bare, {});
  expect(report).toMatchObject({ done: true, problems: [], databases: [{ largeObjects: 1001 }] });
  const all = `select oid, lomowner::regrole, lomacl, obj_description(oid, 'pg_largeobject'), length(lo_get(oid)), sha256(lo_get(oid))
    from pg_largeobject_metadata order by oid`;
  const [before, after] = await Promise.all([source, bare].map((server) => server.query(all, { database: 'objects' })));
  expect(after).toBe(before);
  expect(before).toContain(`90000|postgres|||${40 * 1024 * 1024}|`);
  await bare.query('drop database objects');
});

test('tablespaces want leave and their folders, or everything goes into the default one', async () => {
  const folder = await mkdtemp('/tmp/portolan-tablespace-');
  await chmod(folder, 0o755);
  const place = async (name: string) => {
    const path = join(folder, name);
    await mkdir(path, { recursive: true });
    if (process.getuid?.() === 0) await chown(path, 65534, 65534);
    return path;
  };
  const [fast, big] = [await place('fast'), await place('big')];
  await source.query(`create tablespace fast location '${fast}'`);
  await source.query(`create tablespace big owner keeper location '${big}'`);
  await source.query('create database placed tablespace big');
  await source.query(
    `create table here (id int primary key); create table there (id int) tablespace fast; insert into there values (1);
     create index there_id on there (id) tablespace fast; create table back (id int) tablespace pg_default`,
    { database: 'placed' },
  );
  await using own = await createBackupRepository();
  await own.run([postgresSource(source, 'placed')]);
  const where = (server: PostgresServer) =>
    server.query(
      `select string_agg(x.name || ' ' || coalesce(t.spcname, '-'), ', ' order by x.name) from (
         select relname::text, reltablespace from pg_class where relname in ('here', 'there', 'there_id', 'back')
         union all select datname, dattablespace from pg_database where datname = current_database()) x (name, spc)
       left join pg_tablespace t on t.oid = x.spc`,
      { database: 'placed' },
    );
  const allow = new Set<Allowance>(['superuser', 'tablespaces']);
  const drop = async () => {
    await target.query('drop database if exists placed');
    for (const name of ['fast', 'big']) await target.query(`drop tablespace if exists ${name}`);
  };
  try {
    const refused = await restoreInto(own, target, { allow: new Set<Allowance>(['superuser']) });
    expect(codes(refused)).toEqual(['RESTORE_NOT_ALLOWED']);
    expect(refused.tablespaces.toSorted()).toEqual(['big', 'fast']);
    expect(refused.problems[0]?.hint).toContain('--no-tablespaces');

    const moved = await restoreInto(own, target, { allow: new Set<Allowance>(['superuser']), noTablespaces: true });
    expect(codes(moved)).toEqual([]);
    expect(moved.notes).toContain('what was in the tablespaces "fast", "big" goes into the default one');
    expect(await where(target)).toBe('back -, here -, placed pg_default, there -, there_id -');
    await drop();

    // The source is gone, its machine too: the same folders on another one.
    await source.query('drop database placed');
    for (const name of ['fast', 'big']) await source.query(`drop tablespace ${name}`);
    await rm(big, { recursive: true });
    const lacking = await restoreInto(own, target, { allow });
    expect(lacking.problems).toMatchObject([{ code: 'RESTORE_TABLESPACE_MISSING', expected: `"big" ${big}` }]);
    expect(await databases(target)).toBe('postgres');
    await place('big');
    const only: RestoreOptions = { allow, selection: { databases: ['placed'] } };
    for (const options of [{ allow }, only]) {
      expect(codes(await restoreInto(own, target, options))).toEqual([]);
      expect(await where(target)).toBe('back pg_default, here -, placed big, there fast, there_id fast');
      await drop();
    }
    const part = await restoreInto(own, target, { allow, selection: { tables: ['there'] } });
    expect(part.tablespaces.toSorted()).toEqual(['big', 'fast']);
    expect(await target.query('select count(*) from there', { database: 'placed' })).toBe('1');
  } finally {
    await drop();
    await rm(folder, { recursive: true });
  }
});
