import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { type PortolanEnded, portolan, portolanText, startPortolan, succeed } from '../support/program.ts';

const PASSWORD = 'throw-away password';

let root: string;
let server: PostgresServer;
let reader: string;
const at = (...names: string[]) => join(root, ...names);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-backup-'));
  server = await startPostgres();
  await server.query(
    `create table notes (id bigint primary key, text text);
     insert into notes select n, md5(n::text) from generate_series(1, 20000) n`,
  );
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  await succeed('age-keygen', ['-pq', '-o', at('key.txt')]);
  reader = await recipientOf(at('key.txt'));
});

afterAll(async () => {
  await server?.stop();
  await rm(root, { recursive: true, force: true });
});

async function recipientOf(identity: string): Promise<string> {
  return (await succeed('age-keygen', ['-y', identity])).trim();
}

/** Somebody with a configuration, a state and a repository of their own. */
function person(name: string) {
  const env = { COSIGN_PASSWORD: PASSWORD, XDG_CONFIG_HOME: at(name, 'config'), PORTOLAN_JSON: undefined };
  const own = (...names: string[]) => at(name, ...names);
  const args = (...given: string[]) => [...given, '--repo', own('store'), '--state', own('state')];
  const run = (...given: string[]) => portolan(args(...given), { env });
  const init = ['backup', 'init', '-r', `reader=${reader}`, '--sign-key', at('cosign.key'), '--writer', 'db-1'];
  const backupArgs = ['backup', 'run', '--database', server.url(), '--pg-bin', server.programs];
  return {
    ...{ env, own, args, run, backupArgs },
    init: async () => done(await run(...init)),
    backup: (...given: string[]) => run(...backupArgs, ...given),
  };
}

/** The result of a command that must succeed. */
function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

test('a repository from its making to its copy, as a person uses it', async () => {
  const { env, own, run, init, backup } = person('whole');
  const made = await init();
  expect(made).toMatchObject({ created: true, epoch: 1, writers: ['db-1'] });
  expect((await stat(String(made.writerKey))).mode & 0o777).toBe(0o600);
  expect(await init()).toMatchObject({ created: false });

  const first = done(await backup());
  expect(first).toMatchObject({ sequence: 1, full: true, sources: [{ kind: 'postgres', rows: 20000 }] });
  const second = done(await backup('--tag', 'before-upgrade', '--hold'));
  expect(second).toMatchObject({ sequence: 2, full: false });
  expect(Number(second.newBytes)).toBeLessThan(Number(first.newBytes) / 4);

  expect(done(await run('backup', 'list'))).toMatchObject({
    problems: [],
    writers: [{ writer: 'db-1', snapshots: [{ sequence: 1 }, { sequence: 2, tags: ['before-upgrade'] }] }],
  });
  expect(done(await run('backup', 'show', 'latest', '-i', at('key.txt')))).toMatchObject({
    sequence: 2,
    hold: true,
    details: { sources: [{ name: 'postgres' }] },
  });
  const entries = await run('backup', 'ls', 'db-1/2', 'postgres/postgres/public', '-i', at('key.txt'));
  expect(entries.events).toMatchObject([{ path: 'postgres/postgres/public/notes', kind: 'table', rows: 20000 }]);
  expect(done(await run('backup', 'stats'))).toMatchObject({ writers: [{ writer: 'db-1', snapshots: 2 }] });
  expect(done(await run('backup', 'check', '--read-data', '100%', '-i', at('key.txt')))).toMatchObject({
    ok: true,
    checkpoint: true,
    opened: ['db-1/2'],
  });

  expect(done(await run('backup', 'forget', '--keep-last', '1', '--plan'))).toMatchObject({
    done: false,
    forgotten: [],
  });
  expect(done(await run('backup', 'forget', 'db-1/1'))).toMatchObject({ forgotten: [{ snapshot: 'db-1/1' }] });
  expect(done(await run('backup', 'prune'))).toMatchObject({ done: true, deleted: { objects: 0 } });

  expect(done(await run('backup', 'copy', own('copy')))).toMatchObject({ copiedSnapshots: 1, problems: [] });
  const elsewhere = ['--repo', own('copy'), '--trust', String(made.trust), '--state', own('other-state')];
  const copy = await portolan(['backup', 'check', '--read-data', '100%', '-i', at('key.txt'), ...elsewhere], { env });
  expect(done(copy)).toMatchObject({ ok: true, checkpoint: false });
});

test('readers, writers and rewrap', async () => {
  const { env, own, run, init, backup } = person('keys');
  await init();
  done(await backup());
  const anna = own('anna.txt');
  const generated = done(await portolan(['keys', 'generate', anna], { env }));
  expect((await stat(anna)).mode & 0o777).toBe(0o600);
  expect(generated.recipient).toBe(await recipientOf(anna));
  expect(await portolan(['keys', 'generate', anna], { env })).toMatchObject({
    status: 1,
    error: { code: 'ALREADY_THERE' },
  });

  const approved = await run('keys', 'approve', '-r', `anna=${generated.recipient}`);
  expect(done(approved)).toMatchObject({ roster: { epoch: 2 } });
  expect(await run('backup', 'show', 'latest', '-i', anna)).toMatchObject({
    status: 1,
    error: { code: 'RUN_KEY_NOT_FOR_US' },
  });
  done(await run('keys', 'rewrap', '-i', at('key.txt')));
  done(await run('backup', 'show', 'latest', '-i', anna));
  expect(done(await run('keys', 'list'))).toMatchObject({
    roster: { recipients: [{ name: 'reader' }, { name: 'anna' }] },
  });

  const pair = own('db-2');
  await mkdir(pair);
  await succeed('cosign', ['generate-key-pair'], { cwd: pair, env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  const files = ['--writer-pub', join(pair, 'cosign.pub'), '--writer-key-out', join(pair, 'writer.json')];
  expect(done(await run('keys', 'approve', '--writer', 'db-2', ...files))).toMatchObject({ roster: { epoch: 3 } });
  expect((await stat(join(pair, 'writer.json'))).mode & 0o777).toBe(0o600);
  const other = ['--writer-key', join(pair, 'writer.json'), '--sign-key', join(pair, 'cosign.key')];
  expect(done(await backup(...other))).toMatchObject({ writer: 'db-2', sequence: 1 });
  expect(await run('backup', 'show', 'latest')).toMatchObject({ status: 2, error: { code: 'SNAPSHOT_AMBIGUOUS' } });
  const revoked = await run('keys', 'revoke', '--writer', 'db-2', '--recipient', 'anna');
  expect(done(revoked)).toMatchObject({ roster: { epoch: 4 } });
  expect(await backup(...other)).toMatchObject({ status: 1, error: { code: 'ROLE_MISSING' } });
});

test('a new writer is made with an identity, where no writer key is at hand', async () => {
  const { env, own, run, init, backup } = person('writer');
  const made = await init();
  done(await backup());
  const approver = { ...env, XDG_CONFIG_HOME: own('approver') };
  const pair = own('pair');
  await mkdir(pair);
  await succeed('cosign', ['generate-key-pair'], { cwd: pair, env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  const writer = ['--writer', 'db-2', '--writer-pub', join(pair, 'cosign.pub')];
  const args = ['keys', 'approve', ...writer, '--trust', String(made.trust)];
  const signing = ['--sign-key', at('cosign.key'), '--repo', own('store'), '--state', own('approver-state')];
  const without = await portolan([...args, '--writer-key-out', own('a.json'), ...signing], { env: approver });
  expect(without).toMatchObject({ status: 2, error: { code: 'WRITER_KEY_MISSING' } });
  // Refused whole: no key file stays of a writer who is on no roster.
  const taken = ['--writer', 'db-3', '--writer-pub', at('cosign.pub'), '--writer-key-out', own('c.json')];
  const again = ['keys', 'approve', ...taken, '-i', at('key.txt'), '--trust', String(made.trust), ...signing];
  expect(await portolan(again, { env: approver })).toMatchObject({ status: 2, error: { code: 'ROSTER_REFUSED' } });
  await expect(stat(own('c.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  const identity = ['-i', at('key.txt'), '--writer-key-out', own('b.json')];
  done(await portolan([...args, ...identity, ...signing], { env: approver }));
  const other = ['--writer-key', own('b.json'), '--sign-key', join(pair, 'cosign.key')];
  expect(done(await backup(...other))).toMatchObject({ writer: 'db-2', sequence: 1 });
  expect(done(await run('backup', 'check'))).toMatchObject({ ok: true, writers: 2 });
});

test('damage is named, and the exit status says so', async () => {
  const { env, own, args, run, init, backup } = person('damage');
  await init();
  done(await backup());
  const path = own('store', 'snapshots', 'db-1', '00000001.json');
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, bytes.length - 1));
  expect(await run('backup', 'check')).toMatchObject({ status: 3, error: { code: 'REPOSITORY_NOT_RIGHT' } });
  expect((await portolanText(args('backup', 'list'), { env })).status).toBe(3);
  await writeFile(path, bytes);
  done(await run('backup', 'check'));
});

test('without trust, at a place without a repository, or with nothing to back up: said, and nothing is done', async () => {
  const { env, own, args, run, init } = person('nothing');
  await init();
  const stranger = { ...env, XDG_CONFIG_HOME: own('stranger') };
  expect(await portolan(args('backup', 'list'), { env: stranger })).toMatchObject({
    status: 1,
    error: { code: 'REPOSITORY_UNTRUSTED' },
  });
  const nowhere = ['--repo', own('none'), '--trust', at('cosign.pub'), '--state', own('state')];
  expect(await portolan(['backup', 'list', ...nowhere], { env })).toMatchObject({
    status: 1,
    error: { code: 'REPOSITORY_MISSING' },
  });
  expect(await run('backup', 'run')).toMatchObject({ status: 2, error: { code: 'NOTHING_TO_BACK_UP' } });
  expect(await portolan(args('backup', 'run', '--database', server.url()), { env: stranger })).toMatchObject({
    status: 2,
    error: { code: 'WRITER_KEY_MISSING' },
  });
  expect(await run('backup', 'forget')).toMatchObject({ status: 2, error: { code: 'USAGE' } });
  expect(await run('backup', 'check', '--read-data', '101%')).toMatchObject({ status: 2, error: { code: 'USAGE' } });
});

test('recipients of two kinds are refused before anything is made', async () => {
  const { env, args, own } = person('mixed');
  await mkdir(own(), { recursive: true });
  await succeed('age-keygen', ['-o', own('classic.txt')]);
  const both = ['-r', reader, '-r', await recipientOf(own('classic.txt'))];
  const ended = await portolan(args('backup', 'init', ...both, '--sign-key', at('cosign.key')), { env });
  expect(ended).toMatchObject({ status: 2, error: { code: 'RECIPIENTS_MIXED' } });
  await expect(stat(own('store'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('Ctrl-C: status 130, and nothing is committed', async () => {
  const { env, args, run, init, backup, backupArgs } = person('interrupted');
  await init();
  // The table is held, so that the backup waits for it.
  const holding = server.query('begin; lock table notes in access exclusive mode; select pg_sleep(60); commit');
  holding.catch(() => {});
  await until(async () => (await server.query(waiting('granted'))) !== '0');
  const running = startPortolan(args(...backupArgs), { env });
  await until(async () => (await server.query(waiting('not granted'))) !== '0');
  running.child.kill('SIGINT');
  const ended = await running.ended;
  await server.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()`,
  );
  expect(ended).toMatchObject({ status: 130 });
  expect(done(await run('backup', 'list'))).toMatchObject({ writers: [] });
  expect(done(await backup())).toMatchObject({ sequence: 1 });
});

function waiting(which: 'granted' | 'not granted'): string {
  return `select count(*) from pg_locks where relation = 'notes'::regclass and ${which} and pid <> pg_backend_pid()`;
}

async function until(check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await check()) return;
    await sleep(50);
  }
  throw new Error('it did not come to that');
}
