/** A backup through the real chunk writer: over TLS with a password, which nobody else sees, and what the server does to readers. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { createDatabaseServer } from '../../src/adapters/postgres/server.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import type { ContentsEntry } from '../../src/formats/repository/contents.ts';
import type { SourceWriter } from '../../src/ports/backup-source.ts';
import { type DumpRequest, postgresSource } from '../support/dump-fixture.ts';
import { freePort } from '../support/free-port.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makePrivateCertificate, type PrivateCertificate } from '../support/private-certificate.ts';
import { raised, raisedCodes } from '../support/raised.ts';

const PASSWORD = 'correct horse: battery \\staple';
const { signal } = new AbortController();
let folder: string;
let certificate: PrivateCertificate;
let server: PostgresServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-dump-tls-'));
  certificate = await makePrivateCertificate(folder);
  server = await startPostgres({
    tcpPort: await freePort(),
    tls: certificate,
    rules: ['hostssl all keeper 127.0.0.1/32 scram-sha-256', 'host all keeper 127.0.0.1/32 reject'],
  });
  await server.query(`create role keeper login superuser password '${PASSWORD}'`);
  await server.query('create table first (id int); insert into first select generate_series(1, 1000)');
  // More than a pipe holds: pg_dump is there until its output is read.
  await server.query("select lo_from_bytea(0, decode(repeat('ab', 2000000), 'hex'))");
  await server.query('create table second (id int); insert into second select generate_series(1, 1000)');
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function chunkedWriter(onStream: (name: string) => Promise<void> = async () => {}) {
  const { recipient } = await createIdentity('post-quantum');
  let storedBytes = 0;
  const chunks = await createChunkWriter({
    ...{ idKey: randomBytes(32), repository: '0'.repeat(32), recipient, known: [], knownCount: 0, firstPack: 0 },
    store: async (_, bytes) => {
      storedBytes += bytes.length;
    },
    signal,
  });
  onTestFinished(() => chunks.close());
  const entries: ContentsEntry[] = [];
  const writer: SourceWriter = {
    workers: chunks.workers,
    async stream(name, input) {
      await onStream(name);
      return chunks.stream(input);
    },
    file: (_, path, options) => chunks.file(path, options),
    smallFiles: () => Promise.reject(new Error('a database has no files')),
    copy: (_, job) => chunks.copy(job),
    known: () => Promise.reject(new Error('a database has no files')),
    entry: async (entry) => {
      entries.push(entry);
    },
  };
  return { writer, entries, finish: () => chunks.finish(), storedBytes: () => storedBytes };
}

function overTls(request: DumpRequest & { readonly password?: string; readonly caFile?: string } = {}) {
  const { password = PASSWORD, caFile = certificate.caFile, ...rest } = request;
  return postgresSource(server, 'postgres', {
    server: createDatabaseServer({
      address: { host: '127.0.0.1', port: server.port, user: 'keeper', name: 'postgres', sslMode: 'verify-full' },
      password: { value: password },
      caFile,
      applicationName: 'portolan test',
      connectWaitMs: 0,
    }),
    ...rest,
  });
}

test('over TLS, with a password that no list of processes shows', async () => {
  const seen: string[] = [];
  const { writer, entries, finish, storedBytes } = await chunkedWriter(async () => {
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      seen.push(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
    }
  });
  const summary = await overTls().backUp(writer, { signal });
  await finish();
  expect(summary).toMatchObject({ items: 2, rows: 2000 });
  expect(entries.filter(({ entry }) => entry === 'table')).toHaveLength(2);
  expect(storedBytes()).toBeGreaterThan(1000);
  expect(seen.some((line) => line.includes('pg_dump\0'))).toBe(true);
  expect(seen.filter((line) => line.includes('correct horse'))).toEqual([]);
  expect(JSON.stringify(entries)).not.toContain('correct horse');
});

test('a wrong password, and a certificate of nobody, are found before a run', async () => {
  expect(await raisedCodes(() => overTls({ password: 'wrong' }).prepare({ signal }))).toEqual([
    'AdapterError DATABASE_UNAUTHORIZED',
  ]);
  const other = await makePrivateCertificate(join(folder, 'other'));
  expect(await raisedCodes(() => overTls({ caFile: other.caFile }).prepare({ signal }))).toEqual([
    'AdapterError DATABASE_UNTRUSTED',
  ]);
});

async function until(sql: string): Promise<void> {
  while ((await server.query(sql)) === '0') await sleep(20);
}

/** A change that waits for the leader, and so a reader that waits for the change. */
async function changeIn(writerOf: typeof chunkedWriter): Promise<{
  readonly writer: SourceWriter;
  change(): Promise<string>;
}> {
  let change: Promise<string> = Promise.resolve('');
  const { writer } = await writerOf(async (name) => {
    if (!name.endsWith('archive.dump')) return;
    change = server.query('alter table second add column if not exists more int');
    await until("select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'");
  });
  // The archive first, alone: then the readers.
  return { writer: { ...writer, workers: 1 }, change: () => change };
}

test('a table that somebody waits to change: the reader gives up, and the change goes on', async () => {
  const { writer, change } = await changeIn(chunkedWriter);
  const source = postgresSource(server, 'postgres', { limits: { lockTimeoutMs: 500 } });
  expect(await raisedCodes(() => source.backUp(writer, { signal }))).toEqual(['UseCaseError BACKUP_TABLES_CHANGING']);
  await change();
});

test('a statement that somebody cancels', async () => {
  const { writer, change } = await changeIn(chunkedWriter);
  const source = postgresSource(server, 'postgres', { limits: { lockTimeoutMs: 60_000 } });
  const running = raised(() => source.backUp(writer, { signal }));
  await until("select count(*) from pg_locks where not granted and mode = 'AccessShareLock'");
  await server.query("select pg_cancel_backend(pid) from pg_locks where not granted and mode = 'AccessShareLock'");
  expect((await running).code).toBe('BACKUP_CANCELLED_BY_SERVER');
  await change();
});
