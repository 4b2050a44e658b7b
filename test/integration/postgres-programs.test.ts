import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type PostgresMajor, type PostgresOptions, startPostgres } from '../support/postgres-server.ts';
import { temporaryFolder } from '../support/temporary.ts';

const run = promisify(execFile);
const MAJORS: readonly PostgresMajor[] = [15, 17, 18];
const EXTENSIONS = ['citext', 'hstore', 'pg_trgm', 'pgcrypto', 'uuid-ossp'];

async function startServer(options: PostgresOptions) {
  const server = await startPostgres(options);
  onTestFinished(() => server.stop());
  return server;
}

describe.each(MAJORS)('PostgreSQL %i of scripts/peers', (major) => {
  test('dumps and restores with its own programs, extensions included', async () => {
    const server = await startServer({ major });
    const file = join(await temporaryFolder(), 'dump');
    const program = (name: string, ...args: string[]) => run(join(server.programs, name), args);
    for (const name of EXTENSIONS) await server.query(`create extension "${name}"`);
    await server.query(
      `create role keeper;
       create table item (id uuid primary key default uuid_generate_v4(), name citext, tags hstore, sum bytea);
       create index on item using gin (name gin_trgm_ops);
       insert into item (name, tags, sum)
         select 'Ünïcode ' || n, hstore('n', n::text), digest(n::text, 'sha256') from generate_series(1, 500) n`,
    );
    const content = `select count(*), md5(string_agg(i::text, ',' order by id)) from item i`;
    const before = await server.query(content);
    expect(before).toMatch(/^500\|/);

    await program('pg_dump', '--format=custom', `--file=${file}`, '--dbname', server.url());
    await server.query('create database other');
    await program('pg_restore', '--exit-on-error', '--dbname', server.url('other'), file);
    expect(await server.query(content, { database: 'other' })).toBe(before);
    const globals = await program('pg_dumpall', '--globals-only', '--dbname', server.url());
    expect(globals.stdout).toMatch(/^CREATE ROLE keeper;$/m);
    const version = await program('psql', '-XAtc', 'show server_version_num', '--dbname', server.url());
    expect(version.stdout.slice(0, 2)).toBe(String(major));
  });
});

test('a server takes settings, lies in memory and comes back after a crash', async () => {
  const settings = { wal_level: 'minimal', max_wal_senders: 0, cluster_name: "it's this one" };
  const server = await startServer({ major: 18, inMemory: true, settings });
  expect(server.folder).toMatch(/^\/dev\/shm\//);
  await server.query('create table kept as select 1 as one');
  await server.crash();
  await server.start();
  expect(
    await server.query(`select one, current_setting('wal_level'), current_setting('cluster_name') from kept`),
  ).toBe("1|minimal|it's this one");
});
