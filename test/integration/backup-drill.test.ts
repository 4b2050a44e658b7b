import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import { createThrowAwayPostgres } from '../../src/adapters/throw-away-postgres/throw-away-postgres.ts';
import { type PostgresServer, postgresPrograms, startPostgres } from '../support/postgres-server.ts';
import { killHard, type PortolanEnded, portolan, run, startPortolan, succeed } from '../support/program.ts';

const PASSWORD = 'throw-away password';

let root: string;
let server: PostgresServer;
let initArgs: readonly string[];
let works = 0;
const at = (...names: string[]) => join(root, ...names);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-drill-'));
  server = await startPostgres({ major: 17 });
  await server.query('create role shop_owner');
  await server.query('create database drilled owner shop_owner');
  await server.query('create database other');
  await server.query(
    `create table orders (id bigint primary key, customer text);
     alter table orders owner to shop_owner;
     insert into orders select n, 'customer ' || n from generate_series(1, 5000) n;
     create table secret (word text);
     alter table secret enable row level security;
     create policy nobody on secret using (false);
     insert into secret values ('seen');
     revoke all on schema public from public;
     create function run_program() returns boolean language plpgsql as $$
       begin copy secret to program 'cat > /dev/null'; return true; end $$`,
    { database: 'drilled' },
  );
  await server.query('revoke connect on database drilled from public');
  for (const name of ['writer', 'verifier']) {
    await mkdir(at(name));
    await succeed('cosign', ['generate-key-pair'], { cwd: at(name), env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  }
  await succeed('age-keygen', ['-pq', '-o', at('verifier', 'key.txt')]);
  const recipient = (await succeed('age-keygen', ['-y', at('verifier', 'key.txt')])).trim();
  initArgs = ['backup', 'init', '-r', recipient, '--writer', 'db-1', '--verifier', verifierKey('pub')];
  done(await portolanOf('writer', ...initArgs));
  await mkdir(at('files'));
  await writeFile(at('files', 'one.txt'), 'one');
  done(await portolanOf('writer', ...backup()));
});
afterAll(async () => {
  await server?.stop();
  await rm(root, { recursive: true, force: true });
});

function verifierKey(end: 'pub' | 'key'): string {
  return at('verifier', `cosign.${end}`);
}

/** A person with a configuration, a state and a signing key of their own. */
function portolanOf(name: 'writer' | 'verifier', ...args: string[]) {
  return portolan(argumentsOf(name, ...args), { env: environmentOf(name) });
}

function argumentsOf(name: 'writer' | 'verifier', ...args: string[]): string[] {
  const own = ['--repo', at('store'), '--state', at(name, 'state')];
  const trust = name === 'verifier' ? ['--trust', at('writer', 'cosign.pub')] : [];
  const signs = ['init', 'run', 'drill'].includes(args[1] ?? '') && !args.includes('--sign-key');
  const [group = '', command = '', ...rest] = args;
  return [group, command, ...own, ...trust, ...rest, ...(signs ? ['--sign-key', at(name, 'cosign.key')] : [])];
}

function environmentOf(name: string) {
  return { COSIGN_PASSWORD: PASSWORD, XDG_CONFIG_HOME: at(name, 'config'), PORTOLAN_JSON: undefined };
}

function backup(): string[] {
  const databases = ['--database', server.url(), '--all-databases', '--pg-bin', server.programs];
  return ['backup', 'run', ...databases, '--files', at('files')];
}

/** A drill in a folder of its own; what is left in it afterwards is looked at. */
function drill(...args: string[]) {
  works += 1;
  // The account of the server must reach it.
  const work = `/tmp/portolan-drills-${process.pid}-${works}`;
  onTestFinished(() => rm(work, { recursive: true, force: true }));
  const own = ['backup', 'drill', '-i', at('verifier', 'key.txt'), '--pg-bin', server.programs, '--work-dir', work];
  return { work, args: argumentsOf('verifier', ...own, ...args) };
}

async function runDrill(...args: string[]): Promise<PortolanEnded> {
  const { work, args: all } = drill(...args);
  await mkdir(work, { mode: 0o755 });
  const ended = await portolan(all, { env: environmentOf('verifier') });
  expect(await readdir(work)).toEqual([]);
  return ended;
}

async function checksFile(name: string, text: string): Promise<string[]> {
  await writeFile(at(name), text);
  return ['--checks', at(name)];
}

/** The signed words of the verifier, in their order. */
async function words(): Promise<Record<string, unknown>[]> {
  const folder = at('store', 'verified', 'db-1', '00000001');
  const names = await readdir(folder).catch(() => []);
  return await Promise.all(
    names.sort().map(async (name) => {
      const { payload } = JSON.parse(await readFile(join(folder, name), 'utf8'));
      return JSON.parse(Buffer.from(payload, 'base64').toString());
    }),
  );
}

function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

test('a snapshot is restored, compared, asked and signed; nothing of it stays', async () => {
  const checks = await checksFile(
    'good.sql',
    `\\connect drilled
-- all orders are there
select count(*) = 5000 from orders;
-- rows that a policy hides are seen, and no rights are needed
select exists (select from public.secret where word = 'seen');
\\connect other
-- the other database answers
select current_database() = 'other';
`,
  );
  const result = done(await runDrill(...checks));
  expect(result).toMatchObject({
    snapshot: 'db-1/1',
    ok: true,
    signed: 'good',
    // Files are opened and checked, and written nowhere.
    otherChunks: 1,
    servers: [{ databases: expect.arrayContaining([expect.objectContaining({ name: 'drilled', rows: 5001 })]) }],
    checks: [{ ok: true }, { ok: true }, { ok: true, database: 'other' }],
  });
  expect((await words()).at(-1)).toMatchObject({ kind: 'drill', result: 'good', readPercent: 100, findings: [] });
  const audit = await portolan(['audit', 'list', '--state', at('verifier', 'state')], {
    env: environmentOf('verifier'),
  });
  expect(done(audit)).toMatchObject({ findings: [] });
  expect(audit.events.filter(({ event }) => event === 'record').slice(-2)).toMatchObject([
    { what: 'drill', state: 'begun', snapshot: { writer: 'db-1', sequence: 1 } },
    { what: 'drill', state: 'done' },
  ]);
  expect(done(await portolanOf('writer', 'backup', 'list'))).toMatchObject({
    writers: [{ snapshots: [{ verified: true }] }],
  });
});

test('what does not answer true is named and signed as bad; the signed word names nothing', async () => {
  const checks = await checksFile(
    'bad.sql',
    `\\connect drilled
-- true
select true;
-- false
select count(*) = 0 from orders;
-- null
select null::boolean;
-- empty
select true from orders where id < 0;
-- many
select true from orders;
-- a number
select 4711;
-- an error
select 1 / 0 = 1;
-- a program
select run_program();
-- a change
select exists (insert into orders values (0) returning id);
-- a lock that is left behind
begin;
`,
  );
  const ended = await runDrill(...checks);
  expect(ended).toMatchObject({ status: 3, error: { code: 'DRILL_FAILED' } });
  const results = ended.result?.checks as { name: string; ok: boolean; found?: string }[];
  expect(Object.fromEntries(results.map(({ name, ok, found }) => [name, ok ? true : found]))).toEqual({
    ...{ true: true, false: 'false', null: 'null', empty: 'no row', many: '5000 rows' },
    'a number': 'no boolean: 4711',
    'an error': expect.stringContaining('division by zero'),
    // The role of the checks is no superuser, so a function of the backup runs no program.
    'a program': expect.stringContaining('permission denied'),
    'a change': expect.stringContaining('syntax error'),
    'a lock that is left behind': 'no row',
  });
  const word = (await words()).at(-1);
  expect(word).toMatchObject({ kind: 'drill', result: 'bad' });
  expect(word?.findings).toEqual(Array.from({ length: 9 }, () => 'DRILL_CHECK_FAILED'));
});

test('a damaged pack is found, and signed as bad', async () => {
  const [folder = ''] = (await readdir(at('store', 'packs'))).sort();
  const [name = ''] = await readdir(at('store', 'packs', folder));
  const path = at('store', 'packs', folder, name);
  const bytes = await readFile(path);
  const damaged = Buffer.from(bytes);
  damaged[5000] = (damaged[5000] as number) ^ 1;
  await rm(path);
  await writeFile(path, damaged);
  try {
    const ended = await runDrill();
    expect(ended).toMatchObject({ status: 3, error: { code: 'DRILL_FAILED' } });
    expect((await words()).at(-1)).toMatchObject({ result: 'bad', findings: [expect.stringMatching(/_DAMAGED$/)] });
  } finally {
    await writeFile(path, bytes);
  }
});

test('a server of another version, whose superuser has another name, and one database of it', async () => {
  const programs = createPostgresPrograms({ folder: postgresPrograms(15), temporaryFolder: tmpdir() });
  const servers = createThrowAwayPostgres({ programs, temporaryFolder: tmpdir(), applicationName: 'a test' });
  const options = { signal: new AbortController().signal };
  await using source = await servers.start({ major: 15, superuser: 'admin' }, options);
  const { database } = await source.server.database('postgres');
  {
    await using session = await database.open(options);
    await session.query('create table things as select n from generate_series(1, 10) n');
  }
  const repo = ['--repo', at('other-store'), '--pg-bin', source.programs];
  done(await portolanOf('writer', ...initArgs, '--repo', at('other-store')));
  done(await portolanOf('writer', 'backup', 'run', '--database', source.url, ...repo));
  const checks = await checksFile('one.sql', '-- the only database is asked\nselect count(*) = 10 from things;\n');
  expect(done(await runDrill(...repo, ...checks))).toMatchObject({
    signed: 'good',
    servers: [{ version: expect.stringMatching(/^15\./), databases: [{ name: 'postgres', rows: 10 }], notes: [] }],
    checks: [{ ok: true, database: 'postgres' }],
  });
});

test('what keeps a drill from its work is no word about the snapshot', async () => {
  const before = (await words()).length;
  const stranger = await runDrill('--sign-key', at('writer', 'cosign.key'));
  expect(stranger).toMatchObject({ status: 1, error: { code: 'ROLE_MISSING' } });
  const unknown = await runDrill(...(await checksFile('unknown.sql', '\\connect nowhere\n-- one\nselect true;\n')));
  expect(unknown).toMatchObject({ status: 2, error: { code: 'DRILL_DATABASE_UNKNOWN' } });
  const several = await runDrill(...(await checksFile('several.sql', '-- one of three databases\nselect true;\n')));
  expect(several).toMatchObject({ status: 2, error: { code: 'DRILL_DATABASE_UNKNOWN' } });
  const { args } = drill('--pg-bin', '/usr/bin');
  const without = await portolan(args, { env: environmentOf('verifier') });
  expect(without).toMatchObject({ status: 1, error: { code: 'POSTGRES_PROGRAMS_MISSING' } });
  const nowhere = await portolan(drill().args, { env: environmentOf('verifier') });
  expect(nowhere).toMatchObject({ status: 1, error: { code: 'FILE_UNWRITABLE' } });
  expect(await words()).toHaveLength(before);
});

test.each(['SIGINT', 'SIGKILL'] as const)('ended by %s, no server and no data are left', async (signal) => {
  const before = (await words()).length;
  const checks = await checksFile('slow.sql', '\\connect drilled\n-- slow\nselect pg_sleep(600) is not null;\n');
  const { work, args } = drill(...checks);
  await mkdir(work, { mode: 0o755 });
  const running = startPortolan(args, { env: environmentOf('verifier') });
  // The question is under way: everything is restored by then.
  await until(async () => (await run('pgrep', ['-f', 'checker_.* drilled .*SELECT'])).stdout !== '');
  if (signal === 'SIGINT') running.child.kill('SIGINT');
  else killHard(running);
  const ended = await running.ended;
  if (signal === 'SIGINT') expect(ended).toMatchObject({ status: 130 });
  const files = () => run('find', [work, '-type', 'f', '!', '-name', 'owner']);
  await until(async () => (await files()).stdout === '' && (await run('pgrep', ['-f', work])).stdout === '');
  expect(await words()).toHaveLength(before);
});

async function until(check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1200; tries += 1) {
    if (await check()) return;
    await sleep(50);
  }
  throw new Error('it did not come to that');
}
