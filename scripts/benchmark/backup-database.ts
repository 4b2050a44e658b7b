import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts';
import { type BenchmarkTable, copyText, TABLES } from './backup-rows.ts';
import { throwIfStopped } from './measure.ts';
import type { Settings } from './settings.ts';

/** A database of a server of its own, whose files are in memory. */
export interface BenchmarkDatabase extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly name: string;
  /** Of its files, indexes included. */
  readonly sizeBytes: number;
  /** Arguments by which psql and pg_dump reach the server. */
  readonly arguments: string;
  program(name: 'pg_dump' | 'psql'): string;
  url(name: string): string;
  /** One row of a hundred is another one, all of them beside each other. Every call has its own. */
  changeClustered(): Promise<void>;
  /** One row of a hundred is another one, anywhere. */
  changeAnywhere(): Promise<void>;
  /** A day: one row of a hundred is new, some of the newest are changed, few old ones. */
  changeByDay(): Promise<void>;
  /** An empty database for a restore, of that name. */
  createEmpty(name: string): Promise<void>;
  drop(name: string): Promise<void>;
  /** Throws unless the other database has as many rows, and the same ones as far as a sum of them shows. */
  assertSameAs(name: string): Promise<void>;
}

const NAME = 'publisher';
/** COPY text at scale 1. */
const TEXT_BYTES = 1_900_000_000;

/** So many bytes of rows as `scale` says; 1 makes a database of about 2.1 GB with its indexes. */
export async function createDatabase({
  scale,
  shortRows,
}: Pick<Settings, 'scale' | 'shortRows'>): Promise<BenchmarkDatabase> {
  const server = await startPostgres({
    inMemory: true,
    settings: {
      shared_buffers: '256MB',
      max_wal_size: '1GB',
      checkpoint_timeout: '1h',
      synchronous_commit: 'off',
      // Nothing else is to happen in the middle of a measurement.
      autovacuum: 'off',
    },
  });
  const sql = (text: string, database = NAME) => server.query(text, { database });
  // What is read first after a change is not to pay for what the server notes about it.
  const settle = () => sql('vacuum').then(() => sql('checkpoint'));
  let changes = 0;
  try {
    await sql(`create database ${NAME}`, 'postgres');
    await Promise.all(
      TABLES.map((table) => fill(server, table, (shortRows ? table.shareOfShort : table.share) * TEXT_BYTES * scale)),
    );
    await settle();
    await sql('analyze');
    const sizeBytes = Number(await sql('select pg_database_size(current_database())'));
    return {
      server,
      name: NAME,
      sizeBytes,
      arguments: `-h ${server.folder} -p ${server.port} -U postgres`,
      program: (name) => join(server.programs, name),
      url: (name) => server.url(name),
      async changeClustered() {
        const first = 0.05 + 0.07 * (changes % 12);
        changes += 1;
        for (const name of Object.keys(CHANGES)) await sql(change(name, changes, between(name, first, first + 0.01)));
        await settle();
      },
      async changeAnywhere() {
        changes += 1;
        for (const [name, { key }] of Object.entries(CHANGES)) {
          await sql(change(name, changes, `(${key} * 7919 + ${changes}) % 100 = 0`));
        }
        await settle();
      },
      async changeByDay() {
        changes += 1;
        for (const [name, { key }] of Object.entries(CHANGES)) {
          await sql(change(name, changes, between(name, 0.995, 1)));
          await sql(change(name, changes, `(${key} * 7919 + ${changes}) % 20000 = 0`));
          await sql(append(name, changes));
        }
        await settle();
      },
      async createEmpty(name) {
        await sql(`create database ${name} template template0`, 'postgres');
      },
      async drop(name) {
        await sql(`drop database if exists ${name} with (force)`, 'postgres');
        await sql('checkpoint', 'postgres');
      },
      async assertSameAs(name) {
        for (const table of Object.keys(CHANGES)) {
          const sum = `select count(*), sum(hashtextextended(whole::text, 0)) from ${table} whole`;
          if ((await sql(sum)) !== (await sql(sum, name))) throw new Error(`${table} is not the same in ${name}`);
        }
      },
      [Symbol.asyncDispose]: () => server.stop(),
    };
  } catch (cause) {
    await server.stop();
    throw cause;
  }
}

/** By which column rows are chosen, what is changed in them, and the columns besides the key of a new row that is like an old one. */
const CHANGES: Readonly<Record<string, { key: string; set: (change: number) => string; others: string }>> = {
  customers: {
    key: 'id',
    set: (change) => `preferences = preferences || '{"seen": ${change}}'`,
    others:
      "gen_random_uuid(), email, given_name, family_name, street, city, postcode, country, created_at + interval '3 years', preferences",
  },
  orders: {
    key: 'id',
    set: (change) => `status = 'returned', updated_at = updated_at + interval '${change} hours'`,
    others:
      "customer_id, status, total * 1.1, currency, placed_at + interval '3 years', updated_at + interval '3 years', address, note",
  },
  order_lines: {
    key: 'order_id',
    set: (change) => `quantity = quantity + ${change}`,
    others: 'line, sku, quantity, price * 1.1, tax',
  },
  articles: {
    key: 'id',
    set: (change) => `title = title || ' ${change}'`,
    others: "slug || '-again', title, 'Again: ' || reverse(body), author_id, published_at + interval '3 years'",
  },
  revisions: {
    key: 'id',
    set: (change) => `body = body || '<!-- ${change} -->'`,
    others: "article_id, saved_at + interval '3 years', author_id, reverse(body)",
  },
  comments: {
    key: 'id',
    set: (change) => `body = body || ' (${change})'`,
    others:
      "article_id, parent_id, author, email, address, written_at + interval '3 years', state, 'Again: ' || reverse(body)",
  },
  audit: {
    key: 'id',
    set: (change) => `actor_id = actor_id + ${change}`,
    others:
      "happened_at + interval '3 years', actor_id, action, what, before, (after::jsonb || jsonb_build_object('total', id))::json",
  },
  events: {
    key: 'id',
    set: (change) => `payload = payload || '{"checked": ${change}}'`,
    others:
      "happened_at + interval '3 years', kind, gen_random_uuid(), address, payload || jsonb_build_object('session', left(md5(id::text || happened_at), 8))",
  },
};

function change(table: string, number: number, where: string): string {
  return `update ${table} set ${CHANGES[table]?.set(number)} where ${where}`;
}

function between(table: string, from: number, to: number): string {
  const key = CHANGES[table]?.key;
  const at = (share: number) => `(select (max(${key}) * ${share.toFixed(4)})::bigint from ${table})`;
  return `${key} > ${at(from)} and ${key} <= ${at(to)}`;
}

function append(table: string, number: number): string {
  const { key, others } = CHANGES[table] as (typeof CHANGES)[string];
  const first = 0.02 * number;
  return `insert into ${table} select ${key} + (select max(${key}) from ${table}), ${others} from ${table} where ${between(table, first, first + 0.01)}`;
}

async function fill(server: PostgresServer, table: BenchmarkTable, sizeBytes: number): Promise<void> {
  await server.query(`create table ${table.name} ${table.definition}`, { database: NAME });
  const psql = spawn(
    join(server.programs, 'psql'),
    [
      '-X',
      '-q',
      '-h',
      server.folder,
      '-p',
      String(server.port),
      '-U',
      'postgres',
      '-d',
      NAME,
      '-c',
      `copy ${table.name} from stdin`,
    ],
    { stdio: ['pipe', 'ignore', 'inherit'] },
  );
  const ended = once(psql, 'close');
  // How it ended is what counts.
  psql.stdin.on('error', () => {});
  try {
    for (const part of copyText(table, sizeBytes)) {
      throwIfStopped();
      if (!psql.stdin.write(part)) await Promise.race([once(psql.stdin, 'drain'), ended]);
      if (psql.exitCode !== null) break;
    }
  } finally {
    psql.stdin.end();
    await ended;
  }
  if (psql.exitCode !== 0) throw new Error(`psql ended with status ${psql.exitCode}`);
  for (const index of table.indexes) await server.query(index, { database: NAME });
}
