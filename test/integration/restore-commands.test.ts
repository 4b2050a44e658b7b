/** `portolan restore` as a person uses it. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { type PortolanEnded, portolan, portolanText, startPortolan, succeed } from '../support/program.ts';

const PASSWORD = 'throw-away password';

let root: string;
let source: PostgresServer;
let target: PostgresServer;
const at = (...names: string[]) => join(root, ...names);

const env = () => ({ COSIGN_PASSWORD: PASSWORD, XDG_CONFIG_HOME: at('config'), PORTOLAN_JSON: undefined });
const places = () => ['--repo', at('store'), '--state', at('state')];

function restoreArgs(...given: string[]): string[] {
  return ['restore', ...given, '--source', 'postgres', ...places(), '-i', at('key.txt'), '--pg-bin', target.programs];
}

function restore(...given: string[]): Promise<PortolanEnded> {
  return portolan(restoreArgs(...given), { env: env() });
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-restore-'));
  [source, target] = await Promise.all([startPostgres(), startPostgres()]);
  await source.query('create role keeper; create role root2 superuser');
  await source.query('create database shop owner keeper');
  await source.query(
    `create table items (id serial primary key, name text not null);
     alter table items owner to keeper;
     insert into items (name) select md5(n::text) from generate_series(1, 20000) n;
     create schema "Other"; create table "Other"."Big" (id int); insert into "Other"."Big" values (1);
     create table "Other".small (id int)`,
    { database: 'shop' },
  );
  await source.query('create database slow');
  await source.query(
    `create function wait(int) returns int language plpgsql immutable as 'begin perform pg_catalog.pg_sleep(2); return 1; end';
     create table t (id int primary key); insert into t values (1); create index slow_index on t (wait(id))`,
    { database: 'slow' },
  );
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  await succeed('age-keygen', ['-pq', '-o', at('key.txt')]);
  await succeed('age-keygen', ['-pq', '-o', at('stranger.txt')]);
  const reader = (await succeed('age-keygen', ['-y', at('key.txt')])).trim();
  const init = ['backup', 'init', '-r', `reader=${reader}`, '--sign-key', at('cosign.key'), '--writer', 'db-1'];
  done(await portolan([...init, ...places()], { env: env() }));
  const backup = [
    'backup',
    'run',
    '--database',
    source.url('shop'),
    '--database',
    source.url('slow'),
    '--pg-bin',
    source.programs,
  ];
  done(await portolan([...backup, ...places()], { env: env() }));
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()]);
  await rm(root, { recursive: true, force: true });
});
afterEach(async () => {
  for (const name of (await databases()).filter((one) => one !== 'postgres')) {
    await target.query(`drop database "${name}" with (force)`);
  }
  await target.query('drop role if exists keeper; drop role if exists root2');
});

async function databases(): Promise<string[]> {
  return (await target.query(`select datname from pg_database where datname !~ '^template' order by 1`)).split('\n');
}

/** The result of a command that must succeed. */
function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

test('what a restore needs is said by its plan; it is refused without leave, and done with it', async () => {
  const plan = await restore('--to', target.url(), '--plan');
  expect(plan).toMatchObject({ status: 1, error: { code: 'RESTORE_NOT_ALLOWED' } });
  expect(plan.result).toMatchObject({
    done: false,
    databases: [{ name: 'shop', target: 'shop', state: 'new', tables: 3, rows: 20001 }],
    roles: expect.arrayContaining(['keeper', 'root2']),
    needs: [
      { allowance: 'superuser', name: '"postgres"', isAllowed: false },
      { allowance: 'superuser-roles', name: '"root2"', isAllowed: false },
    ],
  });
  const refused = await restore('--to', target.url(), '--allow', 'superuser');
  expect(refused).toMatchObject({ status: 1, error: { code: 'RESTORE_NOT_ALLOWED' } });
  expect(refused.error?.found).toContain('superuser-roles: "root2"');
  expect(await databases()).toEqual(['postgres']);
  expect(await target.query(`select count(*) from pg_roles where rolname in ('keeper', 'root2')`)).toBe('0');

  const allowed = ['--allow', 'superuser,superuser-roles'];
  done(await restore('--to', target.url(), ...allowed, '--plan'));
  expect(await databases()).toEqual(['postgres']);
  expect(done(await restore('--to', target.url(), ...allowed))).toMatchObject({ done: true, differences: [] });
  expect(await target.query('select count(*), max(id) from items', { database: 'shop' })).toBe('20000|20000');
  expect(await target.query(`select tableowner from pg_tables where tablename = 'items'`, { database: 'shop' })).toBe(
    'keeper',
  );
  expect(
    await target.query(`select count(*) from pg_namespace where nspname = 'portolan_restore'`, { database: 'shop' }),
  ).toBe('0');

  expect(await restore('--to', target.url(), ...allowed)).toMatchObject({
    status: 1,
    error: { code: 'RESTORE_TARGET_NOT_EMPTY' },
  });

  const audit = await portolan(['audit', 'list', '--state', at('state')], { env: env() });
  const records = audit.events.filter(({ event }) => event === 'record').slice(-6);
  expect(records.filter(({ state }) => state !== 'begun')).toMatchObject([
    { state: 'failed', code: 'RESTORE_NOT_ALLOWED' },
    { state: 'done', selection: { source: ['postgres'] }, target: expect.stringContaining(`${target.port}`) },
    { state: 'failed', code: 'RESTORE_TARGET_NOT_EMPTY' },
  ]);
});

test('one database goes beside the old one under a new name, and only with the roles that it needs', async () => {
  await target.query('create database shop');
  await target.query('create table items (id int)', { database: 'shop' });
  const text = await portolanText(
    restoreArgs('db-1/1', '--database', 'shop', '--to', target.url('shop old'), '--allow', 'superuser'),
    { env: env() },
  );
  expect(text.status, text.stderr).toBe(0);
  expect(text.stdout).toContain('shop into shop old (done): 3 tables, 20001 rows');
  expect(await databases()).toEqual(['postgres', 'shop', 'shop old']);
  expect(await target.query('select count(*) from items', { database: 'shop' })).toBe('0');
  expect(await target.query('select count(*) from items', { database: 'shop old' })).toBe('20000');
  expect(await target.query(`select count(*) from pg_roles where rolname = 'root2'`)).toBe('0');
});

test('one table, or one schema, goes into a database that has others', async () => {
  await target.query('create database shop');
  await target.query('create table mine (id int); insert into mine values (7)', { database: 'shop' });
  const one = ['--to', target.url('shop'), '--allow', 'superuser', '--table', 'public.items'];
  expect(await restore(...one)).toMatchObject({ status: 1, error: { code: 'RESTORE_TARGET_NOT_EMPTY' } });
  expect(done(await restore(...one, '--into-existing'))).toMatchObject({
    done: true,
    databases: [{ tables: 1, rows: 20000 }],
  });
  expect(await target.query(`select (select id from mine), nextval('items_id_seq')`, { database: 'shop' })).toBe(
    '7|20001',
  );
  expect(await restore(...one, '--into-existing')).toMatchObject({
    status: 1,
    error: { code: 'RESTORE_TARGET_NOT_EMPTY', found: expect.stringContaining('table public.items') },
  });
  const schema = ['--to', target.url('shop'), '--allow', 'superuser', '--into-existing', '--schema', '"Other"'];
  expect(done(await restore(...schema))).toMatchObject({ databases: [{ tables: 2, rows: 1 }] });
  expect(await target.query('select id from "Other"."Big"', { database: 'shop' })).toBe('1');
  expect(await restore(...one.slice(0, 4), '--table', 'public.nothing')).toMatchObject({
    error: { code: 'RESTORE_NAME_UNKNOWN' },
  });
});

test('after kill -9 a program that was left at work is ended, and the next run goes on', async () => {
  const args = restoreArgs('--to', target.url(), '--allow', 'all').map((one) =>
    one === 'postgres' ? 'postgres-2' : one,
  );
  const running = startPortolan(args, { env: env() });
  const atWork = `select count(*) from pg_stat_activity where application_name = 'portolan restore' and query like 'CREATE INDEX%'`;
  while ((await target.query(atWork)) === '0') await sleep(20);
  // The program alone: what it started lives on.
  running.child.kill('SIGKILL');
  await running.ended;
  expect(await target.query(atWork)).toBe('1');
  const plan = await portolan([...args, '--plan'], { env: env() });
  expect(done(plan)).toMatchObject({ databases: [{ name: 'slow', state: 'begun' }] });
  expect(done(await portolan(args, { env: env() }))).toMatchObject({ done: true, differences: [] });
  expect(await target.query('select count(*) from t', { database: 'slow' })).toBe('1');
});

test('into a folder goes what stock tools take', async () => {
  const folder = at('files');
  expect(done(await restore('--to', `folder:${folder}`))).toMatchObject({ folder, sources: [{ source: 'postgres' }] });
  expect(await readdir(join(folder, 'postgres'))).toEqual(expect.arrayContaining(['globals.sql']));
  expect(await restore('--to', `folder:${folder}`, '--table', 'public.items')).toMatchObject({ status: 2 });
});

test('wrong words are refused before anything is opened', async () => {
  expect(await restore('--to', target.url(), '--allow', 'anything')).toMatchObject({ status: 2 });
  expect(await restore('--to', 'nowhere')).toMatchObject({ status: 2 });
  const stranger = ['restore', ...places(), '-i', at('stranger.txt'), '--to', target.url()];
  expect(await portolan(stranger, { env: env() })).toMatchObject({ status: 1, error: { code: 'RUN_KEY_NOT_FOR_US' } });
});
