/** The second half of the demo: a PostgreSQL server, backed up into a folder and restored into another server. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { $, type ProcessOutput, type ProcessPromise } from 'zx';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import { createThrowAwayPostgres } from '../../src/adapters/throw-away-postgres/throw-away-postgres.ts';
import type { ThrowAwayServer } from '../../src/ports/throw-away-postgres.ts';

export interface Stage {
  readonly folder: string;
  readonly portolan: string;
  /** Of the example keys. */
  readonly keys: string;
  readonly step: (title: string, run: () => Promise<void>) => Promise<void>;
  /** Prints a command and what it says. */
  readonly show: (running: ProcessPromise) => Promise<ProcessOutput>;
  readonly claim: (holds: boolean, what: string) => void;
}

const MAJOR = 17;

const SHOP = `
create role shop_owner;
create role shop_app login password 'in the backup';
create role shop_reader noinherit;
grant shop_reader to shop_app with admin option;
create database shop owner shop_owner;
\\connect shop
set role shop_owner;
create schema shop;
create type shop.state as enum ('open', 'paid', 'sent');
create table shop.customer (id bigint generated always as identity primary key, name text not null unique, note text);
create table shop.item (
  id bigint generated always as identity primary key,
  customer bigint not null references shop.customer,
  state shop.state not null default 'open',
  cents bigint not null check (cents >= 0),
  euros numeric generated always as (cents / 100.0) stored
);
create index on shop.item (customer) where state = 'open';
create table shop.visit (day date not null, page text not null) partition by range (day);
create table shop.visit_2026 partition of shop.visit for values from ('2026-01-01') to ('2027-01-01');
create view shop.open_item as select * from shop.item where state = 'open';
create materialized view shop.turnover as select state, sum(cents) from shop.item group by state with no data;
create function shop.rename(id bigint, name text) returns void language sql
  as $$ update shop.customer c set name = rename.name where c.id = rename.id $$;
grant usage on schema shop to shop_app, shop_reader;
grant select, insert, update (state) on shop.item to shop_app;
grant select on shop.open_item to shop_reader;
alter default privileges in schema shop grant select on tables to shop_reader;
alter table shop.customer enable row level security;
alter table shop.customer force row level security;
create policy known on shop.customer to shop_app using (name <> 'nobody');
alter table shop.customer no force row level security;
insert into shop.customer (name, note) select 'customer ' || n, repeat(md5(n::text), 3) from generate_series(1, 40000) n;
insert into shop.item (customer, cents) select 1 + n % 40000, n % 100000 from generate_series(1, 200000) n;
insert into shop.visit select date '2026-01-01' + n % 365, '/page/' || n % 100 from generate_series(1, 50000) n;
insert into shop.customer (name) values (E'quotes \\' " \\\\ and \\t tabs'), ('Žluťoučký kůň 🐎'), ('');
refresh materialized view shop.turnover;
comment on table shop.customer is 'Who bought "something"; and when';
select lo_from_bytea(4711, 'a large object');
`;

const CHECKS = `\\connect shop
-- there are customers
select count(*) = 40003 from shop.customer;
-- every item has a customer
select not exists (select from shop.item i left join shop.customer c on c.id = i.customer where c.id is null);
`;

/** @param programsFolder - Of PostgreSQL's programs; undefined where this machine has none. */
export async function demonstrateBackups(stage: Stage, programsFolder: string | undefined): Promise<void> {
  const { folder, step } = stage;
  if (programsFolder === undefined) {
    process.stdout.write(`\n    PostgreSQL ${MAJOR} is not on this machine: backups and restores are left out\n`);
    return;
  }
  // A socket has a short path, so not in the folder of the demo.
  const place = join(tmpdir(), `portolan-demo-${process.pid}`);
  await mkdir(place, { mode: 0o711 });
  try {
    const servers = createThrowAwayPostgres({
      programs: createPostgresPrograms({ folder: programsFolder, temporaryFolder: place }),
      temporaryFolder: place,
      applicationName: 'the demo',
    });
    const start = () =>
      servers.start({ major: MAJOR, superuser: 'postgres' }, { signal: new AbortController().signal });
    await mkdir(join(folder, 'backup'));
    await writeFile(join(folder, 'backup', 'shop.sql'), SHOP);
    await writeFile(join(folder, 'backup', 'checks.sql'), CHECKS);
    await using source = await start();
    await step('A PostgreSQL server with a small shop in it', async () => {
      await psql(source, 'postgres', ['-f', 'backup/shop.sql']);
    });
    await backUp(stage, source);
    await using target = await start();
    await restore(stage, source, target);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

async function backUp({ portolan, keys, step, show, claim }: Stage, source: ThrowAwayServer): Promise<void> {
  const repo = ['--repo', 'backup/store', '--state', 'backup/state'];
  const run = ['backup', 'run', ...repo, '--database', source.url, '--all-databases', '--pg-bin', source.programs];
  const trust = ['--trust', join(keys, 'cosign.pub')];
  await step('A repository of backups in a folder: who writes it cannot read it', async () => {
    const verifier = ['--verifier', `verifier=${join(keys, 'cosign.pub')}`];
    const roles = ['--writer', 'demo', ...verifier, '--sign-key', join(keys, 'cosign.key')];
    await show($`${portolan} backup init ${repo} ${roles} -R ${keys}/recipient-pq.txt`);
  });
  await step('Back up the whole server', async () => {
    await show($`${portolan} ${run}`);
  });
  await step('Change a little, back up again: only what changed is written', async () => {
    await psql(source, 'shop', ['-c', `update shop.item set state = 'paid' where id <= 100`]);
    await show($`${portolan} ${run}`);
  });
  await step('Without a key: the list of the snapshots, each signed by its writer', async () => {
    await show($`${portolan} backup list ${repo} ${trust}`);
  });
  await step('Check every byte and every chunk; with a verifier’s key the result is signed', async () => {
    const signing = ['-i', join(keys, 'identity-pq.txt'), '--sign-key', join(keys, 'cosign.key')];
    await show($`${portolan} backup check ${repo} ${trust} --read-data 100% ${signing}`);
  });
  await step('A drill: into a server that is thrown away, compared, asked, signed', async () => {
    const asking = ['-i', join(keys, 'identity-pq.txt'), '--checks', 'backup/checks.sql', '--pg-bin', source.programs];
    await show($`${portolan} backup drill ${repo} ${trust} ${asking} --sign-key ${keys}/cosign.key`);
  });
  await step('No word of the shop is in the repository', async () => {
    const found = await $`grep -rlE ${'customer|shop_owner|lu.ou.k'} backup/store`.quiet().nothrow();
    claim(found.exitCode === 1, 'grep finds nothing');
  });
}

async function restore(stage: Stage, source: ThrowAwayServer, target: ThrowAwayServer): Promise<void> {
  const { portolan, keys, step, show, claim, folder } = stage;
  await step('Restore into another, empty server', async () => {
    const from = ['--repo', 'backup/store', '--state', 'backup/state', '--trust', join(keys, 'cosign.pub')];
    const into = [
      '-i',
      join(keys, 'identity-pq.txt'),
      '--to',
      target.url,
      '--pg-bin',
      target.programs,
      '--allow',
      'superuser',
    ];
    await show($`${portolan} restore latest ${from} ${into}`);
  });
  await step('pg_dumpall of both servers: the same', async () => {
    const [before, after] = await Promise.all(
      [source, target].map(async (server, index) => {
        const file = join(folder, 'backup', `${index === 0 ? 'source' : 'restored'}.sql`);
        await $`${join(server.programs, 'pg_dumpall')} -d ${server.url} -f ${file}`.quiet();
        return comparable(await readFile(file, 'utf8'));
      }),
    );
    claim(before !== undefined && before.split('\n').length > 200_000, 'the dump of the source has all its rows');
    claim(before === after, 'apart from comments and \\restrict lines, not a byte differs');
  });
}

/** Comments have times in them, and \restrict a random word. */
function comparable(dump: string): string {
  return dump
    .split('\n')
    .filter((line) => !/^(--|\\(un)?restrict )/.test(line))
    .join('\n');
}

async function psql({ programs, url }: ThrowAwayServer, database: string, args: readonly string[]): Promise<void> {
  const quiet = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null'];
  const place = url.replace('dbname=postgres', `dbname=${database}`);
  await $`${join(programs, 'psql')} ${quiet} ${place} ${args}`.quiet();
}
