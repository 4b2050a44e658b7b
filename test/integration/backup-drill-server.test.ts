import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import { createThrowAwayPostgres } from '../../src/adapters/throw-away-postgres/throw-away-postgres.ts';
import type { ThrowAwayServer } from '../../src/ports/throw-away-postgres.ts';
import { postgresPrograms } from '../support/postgres-server.ts';
import { run } from '../support/program.ts';

const signal = new AbortController().signal;
const MODULE = join(import.meta.dirname, '../../src/adapters');

let root: string;
beforeEach(async () => {
  // A socket has a short path, of any signs, and the account of the server must reach it.
  root = await mkdtemp('/tmp/a "drill"-');
  await chmod(root, 0o755);
  const folder = root;
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

function throwAway(major: 15 | 17 | 18, temporaryFolder = root) {
  const programs = createPostgresPrograms({ folder: postgresPrograms(major), temporaryFolder: root });
  return createThrowAwayPostgres({ programs, temporaryFolder, applicationName: 'a test' });
}

async function ask(server: ThrowAwayServer, sql: string): Promise<readonly object[]> {
  const { database } = await server.server.database('postgres');
  await using session = await database.open({ signal });
  return await session.query(sql);
}

test.each([15, 17, 18] as const)('a server of PostgreSQL %s, and nothing of it afterwards', async (major) => {
  let place: string;
  {
    await using server = await throwAway(major).start({ major, superuser: 'postgres' }, { signal });
    const [settings] = await ask(
      server,
      `select current_setting('server_version_num')::int / 10000 as major, current_user as name,
              current_setting('data_directory') as data, current_setting('listen_addresses') as listen`,
    );
    expect(settings).toMatchObject({ major: String(major), name: 'postgres', listen: '' });
    place = (settings as { data: string }).data;
    expect(place.startsWith(root)).toBe(true);
    expect((await stat(place)).mode & 0o777).toBe(0o700);
    // PostgreSQL does not run as root; the account owns nothing else.
    const { uid } = await stat(place);
    expect(uid).toBe(userInfo().uid === 0 ? 65534 : userInfo().uid);
  }
  expect(await readdir(root)).toEqual([]);
});

test('no role that was made in it can come in, whatever its password; the checker can', async () => {
  await using server = await throwAway(15).start({ major: 15, superuser: 'postgres' }, { signal });
  await ask(server, `create role intruder superuser login password 'known'`);
  const intruder = server.url.replace('user=postgres', 'user=intruder');
  const psql = await run(join(server.programs, 'psql'), ['-X', '-c', 'select 1', intruder], {
    env: { PGPASSWORD: 'known' },
  });
  expect(psql).toMatchObject({ status: 2, stderr: expect.stringContaining('Peer authentication failed') });
  const checker = await server.checker.database('postgres');
  await expect(checker.database.open({ signal })).rejects.toMatchObject({ code: 'DATABASE_UNAUTHORIZED' });
  await ask(server, `create role ${server.checker.user} login`);
  await using session = await checker.database.open({ signal });
  expect(await session.query('select current_user as name')).toEqual([{ name: server.checker.user }]);
  // The restore of a server sets the password of its superuser: the way in stays open.
  await ask(server, `alter role postgres password 'another'`);
  expect(await ask(server, 'select 1 as one')).toEqual([{ one: '1' }]);
});

test('a superuser of another name', async () => {
  const superuser = 'Ärger mit Namen';
  await using server = await throwAway(15).start({ major: 15, superuser }, { signal });
  expect(await ask(server, 'select current_user as name')).toEqual([{ name: superuser }]);
});

test('an abort while it starts leaves nothing', async () => {
  const aborting = new AbortController();
  const starting = throwAway(15).start({ major: 15, superuser: 'postgres' }, { signal: aborting.signal });
  const seen = expect(starting).rejects.toMatchObject({ name: 'AbortError' });
  await until(async () => (await readdir(root)).length > 0);
  aborting.abort();
  await seen;
  expect(await readdir(root)).toEqual([]);
});

test('when the program is killed, server and data go at once, and the next start clears what is left', async () => {
  const script = `
    const { createPostgresPrograms } = await import('${MODULE}/postgres-programs/programs.ts');
    const { createThrowAwayPostgres } = await import('${MODULE}/throw-away-postgres/throw-away-postgres.ts');
    const programs = createPostgresPrograms({ folder: '${postgresPrograms(15)}', temporaryFolder: '${root}' });
    const server = createThrowAwayPostgres({ programs, temporaryFolder: '${root}', applicationName: 'a test' });
    await server.start({ major: 15, superuser: 'postgres' }, { signal: new AbortController().signal });
    console.log('started');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { detached: true });
  await once(child.stdout, 'data');
  const [work = ''] = await readdir(root);
  expect(await readdir(join(root, work))).toEqual(['owner', 'pg']);
  // The whole group, as Ctrl-C reaches it: the keeper is in another one.
  process.kill(-(child.pid as number), 'SIGKILL');
  await until(async () => (await readdir(join(root, work, 'pg'))).length === 0);
  expect((await run('pgrep', ['-f', root])).stdout).toBe('');
  await using _next = await throwAway(15).start({ major: 15, superuser: 'postgres' }, { signal });
  expect(await readdir(root)).not.toContain(work);
});

test('what keeps a server from starting is said', async () => {
  for (const name of ['a'.repeat(90), 'a,b']) {
    const folder = join(root, name);
    await mkdir(folder);
    await expect(throwAway(15, folder).start({ major: 15, superuser: 'postgres' }, { signal })).rejects.toMatchObject({
      code: 'POSTGRES_NOT_STARTED',
    });
    expect(await readdir(folder)).toEqual([]);
  }
  await expect(throwAway(17).start({ major: 15, superuser: 'postgres' }, { signal })).rejects.toMatchObject({
    code: 'POSTGRES_PROGRAMS_MISSING',
  });
  await expect(throwAway(15).start({ major: 15, superuser: 'pg_reserved' }, { signal })).rejects.toMatchObject({
    code: 'POSTGRES_NOT_STARTED',
    found: expect.stringContaining('pg_'),
  });
});

async function until(check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await check()) return;
    await sleep(50);
  }
  throw new Error('it did not come to that');
}
