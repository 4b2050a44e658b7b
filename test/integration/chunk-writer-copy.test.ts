import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { CopyOutJob } from '../../src/ports/chunks.ts';
import { freePort } from '../support/free-port.ts';
import { collectPacks } from '../support/pack-collector.ts';
import { startProxy } from '../support/postgres-proxy.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makePrivateCertificate, type PrivateCertificate } from '../support/private-certificate.ts';
import { raised } from '../support/raised.ts';

const MIB = 1024 * 1024;
/** Sends rows for as long as anybody takes them. */
const ENDLESS = "copy (select repeat('x', 1000), generate_series(1, 1000000000)) to stdout";

let server: PostgresServer;
let certificate: PrivateCertificate;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-copy-'));
  certificate = await makePrivateCertificate(join(folder, 'tls'));
  server = await startPostgres({
    tcpPort: await freePort(),
    tls: certificate,
    rules: ['host all keeper 127.0.0.1/32 scram-sha-256'],
  });
  await server.query(`
    create role keeper login superuser password 'right';
    create table empty (a int);
    create table many as select i as id, md5(i::text) as name, null::int as nothing from generate_series(1, 300000) i;
    create table odd (a text);
    insert into odd values (''), (null), (E'tab\\tline\\nback\\\\slash'), ('ünïcödé 🧭'), (E'\\\\.');
    create table large (a bytea);
    alter table large alter a set storage external;
    insert into large select decode(string_agg(md5((40 * i)::text), ''), 'hex') from generate_series(1, 1310720) i;`);
});

afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

function jobOf(copy: string, session: readonly string[] = [], url = server.url()): CopyOutJob {
  return { connection: { url }, session, copy };
}

function overTcp(sslMode: string, password: string | undefined): CopyOutJob['connection'] {
  return {
    url: `postgres://keeper@127.0.0.1:${server.port}/postgres?sslmode=${sslMode}`,
    ...(password === undefined ? {} : { password }),
    caFile: certificate.caFile,
  };
}

async function byPsql(copy: string): Promise<Buffer> {
  const args = ['-X', '-h', server.folder, '-p', String(server.port), '-U', 'postgres', '-d', 'postgres', '-c', copy];
  const options = { encoding: 'buffer', maxBuffer: 200 * MIB } as const;
  return (await promisify(execFile)(join(server.programs, 'psql'), args, options)).stdout;
}

/** Sessions of this program that the server has. */
async function sessions(): Promise<number> {
  const rows = await server.query("select count(*) from pg_stat_activity where application_name = 'portolan backup'");
  return Number(rows);
}

/** That one COPY is under way: a session that is just opened, or left by a test before, is none. */
async function isCopying(): Promise<boolean> {
  const rows = await server.query(
    "select count(*) from pg_stat_activity where application_name = 'portolan backup' and state = 'active' and query like 'copy (%'",
  );
  return rows === '1';
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (await isSo()) return;
    await sleep(50);
  }
  throw new Error('it did not come to that');
}

describe('COPY', () => {
  test.each([
    ['of many rows', 'copy many to stdout', 300_000],
    ['of odd values', 'copy odd to stdout', 5],
    ['of an empty table', 'copy empty to stdout', 0],
    ['of rows without columns', 'copy (select from many limit 70000) to stdout', 70_000],
    ['of a row of 40 MiB', 'copy large to stdout', 1],
  ])('%s is what psql gets', async (_, copy, rows) => {
    const { writer, read } = await collectPacks();
    const record = await writer.copy(jobOf(copy));
    await writer.finish();
    expect(record.rows).toBe(rows);
    const expected = await byPsql(copy);
    expect(record.sizeBytes).toBe(expected.length);
    expect((await read(record.chunks)).equals(expected)).toBe(true);
  });

  test('over TLS gives the same bytes, also for a row that is larger than every buffer', async () => {
    const { writer, read } = await collectPacks();
    const job = (copy: string) => ({ connection: overTcp('verify-full', 'right'), session: ['begin'], copy });
    const large = await writer.copy(job('copy large to stdout'));
    const many = await writer.copy(job('copy many to stdout'));
    await writer.finish();
    expect((await read(large.chunks)).equals(await byPsql('copy large to stdout'))).toBe(true);
    expect((await read(many.chunks)).equals(await byPsql('copy many to stdout'))).toBe(true);
    expect(await sessions()).toBe(0);
  });

  test('runs beside streams and files, in as many sessions as there are workers', async () => {
    const { writer, read } = await collectPacks();
    const parts = [0, 1, 2, 3, 4, 5, 6, 7];
    const copy = (part: number) => `copy (select * from many where id % 8 = ${part} order by id) to stdout`;
    const session = ['begin isolation level repeatable read read only'];
    const records = await Promise.all(parts.map((part) => writer.copy(jobOf(copy(part), session))));
    expect(await sessions()).toBe(2);
    await writer.finish();
    expect(await sessions()).toBe(0);
    expect(records.reduce((sum, { rows }) => sum + rows, 0)).toBe(300_000);
    for (const part of parts) {
      expect((await read(records[part]?.chunks as Uint8Array)).equals(await byPsql(copy(part)))).toBe(true);
    }
  });

  test('keeps a session only for jobs with the same statements before', async () => {
    const { writer, read } = await collectPacks({ workers: 1 });
    const pids = [];
    for (const session of [['begin'], ['begin'], ['begin', 'set extra_float_digits = 0'], ['begin']]) {
      pids.push(await writer.copy(jobOf('copy (select pg_backend_pid()) to stdout', session)));
    }
    await writer.finish();
    const [one, two, three, four] = await Promise.all(pids.map(async ({ chunks }) => (await read(chunks)).toString()));
    expect(one).toBe(two);
    expect(three).not.toBe(one);
    expect(four).not.toBe(three);
  });
});

describe('what goes wrong', () => {
  test.each([
    ['a table that is not there', 'copy nothing to stdout', [], 'DATABASE_STATEMENT_FAILED'],
    [
      'a row that fails in the middle',
      'copy (select 1 / (90000 - id) from many) to stdout',
      [],
      'DATABASE_STATEMENT_FAILED',
    ],
    ['a statement before that fails', 'copy many to stdout', ['select * from nothing'], 'DATABASE_STATEMENT_FAILED'],
    ['a COPY in binary form', 'copy many to stdout (format binary)', [], 'COPY_INCOMPLETE'],
    ['what is no COPY', 'select * from many', [], 'COPY_INCOMPLETE'],
    ['a COPY in the other direction', 'copy empty from stdin', [], 'COPY_INCOMPLETE'],
    ['a COPY to the server', "copy empty to '/dev/null'", [], 'COPY_INCOMPLETE'],
  ])('%s fails that job alone', async (_, copy, session, code) => {
    const { writer, read } = await collectPacks();
    expect(await raised(() => writer.copy(jobOf(copy, session)))).toMatchObject({ name: 'AdapterError', code });
    const record = await writer.copy(jobOf('copy odd to stdout'));
    await writer.finish();
    expect((await read(record.chunks)).equals(await byPsql('copy odd to stdout'))).toBe(true);
    await until(async () => (await sessions()) === 0);
  });

  test('a backend that is killed in the middle is a lost connection', async () => {
    const { writer } = await collectPacks();
    const work = raised(() => writer.copy(jobOf(ENDLESS)));
    await until(isCopying);
    await server.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'portolan backup'",
    );
    expect(await work).toMatchObject({ name: 'AdapterError', code: 'DATABASE_LOST' });
    expect((await writer.copy(jobOf('copy odd to stdout'))).rows).toBe(5);
  });

  test('a session that was killed between two jobs is told, and replaced', async () => {
    const { writer } = await collectPacks({ workers: 1 });
    await writer.copy(jobOf('copy odd to stdout', ['begin']));
    await server.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'portolan backup'",
    );
    await until(async () => (await sessions()) === 0);
    await sleep(100);
    expect((await writer.copy(jobOf('copy odd to stdout', ['begin']))).rows).toBe(5);
  });

  test('a wrong password, a certificate of somebody else, a port where nobody listens', async () => {
    const { writer } = await collectPacks();
    const failed = (connection: CopyOutJob['connection']) =>
      raised(() => writer.copy({ connection, session: [], copy: 'copy odd to stdout' }));
    const wrong = await failed(overTcp('verify-full', 'wrong'));
    expect(wrong).toMatchObject({ name: 'AdapterError', code: 'DATABASE_UNAUTHORIZED' });
    expect(JSON.stringify([wrong.message, wrong.found, wrong.hint, wrong.at])).not.toContain('wrong');
    expect(await failed(overTcp('verify-full', undefined))).toMatchObject({ code: 'DATABASE_PASSWORD_MISSING' });
    const { caFile: _, ...untrusting } = overTcp('verify-full', 'right');
    expect(await failed(untrusting)).toMatchObject({ code: 'DATABASE_UNTRUSTED' });
    const nobody = `postgres://keeper@127.0.0.1:${await freePort()}/postgres?sslmode=disable`;
    expect(await failed({ url: nobody, password: 'right' })).toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    expect(await failed({ url: 'postgres://a:secret@b/c' })).toMatchObject({ code: 'DATABASE_URL_INVALID' });
  });

  test('a server that says nothing is given up, before the first row and between two', async () => {
    const { writer } = await collectPacks({}, { silenceMs: 500 });
    const hanging = [
      'copy (select pg_sleep(60)) to stdout',
      'copy (select i, pg_sleep(i * 60) from generate_series(0, 1) i) to stdout',
    ];
    for (const copy of hanging) {
      expect(await raised(() => writer.copy(jobOf(copy)))).toMatchObject({ code: 'DATABASE_TIMEOUT' });
    }
    expect(await raised(() => writer.copy(jobOf('copy odd to stdout', ['select pg_sleep(60)'])))).toMatchObject({
      code: 'DATABASE_TIMEOUT',
    });
    // The server was told to stop.
    await until(async () => (await sessions()) === 0);
  });

  test('a network that passes nothing on any more is given up', async () => {
    const proxyFolder = await mkdtemp(join(tmpdir(), 'portolan-copy-proxy-'));
    onTestFinished(() => rm(proxyFolder, { recursive: true, force: true }));
    const proxy = await startProxy(proxyFolder, server);
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    const { writer } = await collectPacks({}, { silenceMs: 1000 });
    const slow = 'copy (select pg_sleep(0.001), generate_series(1, 1000000)) to stdout';
    const work = raised(() => writer.copy(jobOf(slow, [], `postgres://postgres@/postgres?host=${proxy.folder}`)));
    await until(isCopying);
    proxy.freeze();
    expect(await work).toMatchObject({ code: 'DATABASE_TIMEOUT' });
  });

  test('a slow store is not a silent server', async () => {
    const { writer } = await collectPacks({ store: () => sleep(700) }, { silenceMs: 500 });
    const copy = 'copy (select md5(random()::text), generate_series(1, 2000000)) to stdout';
    expect((await writer.copy(jobOf(copy))).rows).toBe(2_000_000);
    expect((await writer.finish()).packs).toBeGreaterThan(2);
  });

  test('an abort ends the statement on the server too', async () => {
    const { writer } = await collectPacks();
    for (const copy of [ENDLESS, 'copy (select pg_sleep(600)) to stdout']) {
      const abort = new AbortController();
      const work = writer.copy(jobOf(copy), { signal: abort.signal });
      await until(isCopying);
      abort.abort(new Error('enough'));
      await expect(work).rejects.toBe(abort.signal.reason);
      await until(async () => (await sessions()) === 0);
    }
  });

  test('a store that fails in the middle ends all COPYs with its failure', async () => {
    const cause = new Error('the store is gone');
    const { writer } = await collectPacks({
      store: async () => {
        throw cause;
      },
    });
    const noise = 'copy (select md5(random()::text), generate_series(1, 1000000000)) to stdout';
    const work = [noise, noise, noise, 'copy (select pg_sleep(600)) to stdout'].map((copy) => writer.copy(jobOf(copy)));
    for (const one of await Promise.allSettled(work)) expect(one).toEqual({ status: 'rejected', reason: cause });
    await writer.close();
    await until(async () => (await sessions()) === 0);
  });
});
