/** docs/backups.md, and what README.md tells of backups: every command is run, in its order, on real databases and keys. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { blocksOf, fencedBlocksOf } from '../support/document-blocks.ts';
import { CHECKOUT } from '../support/importer.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { run } from '../support/program.ts';

/** Minute, hour, day, month and day of the week. */
const CRON = /^[\d*]+ [\d*]+ [\d*]+ [\d*]+ [\d*]+ +/;

let root: string;
let server: PostgresServer;
let other: PostgresServer;
const at = (...parts: string[]) => join(root, ...parts);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-docs-'));
  [server, other] = await Promise.all([startPostgres({ major: 17 }), startPostgres({ major: 17 })]);
  await server.query('create database shop');
  await server.query(
    `create table orders (id bigint primary key, customer text);
     insert into orders select n, 'customer ' || n from generate_series(1, 1000) n`,
    { database: 'shop' },
  );
  await mkdir(at('bin'));
  await writeFile(at('bin', 'portolan'), `#!/bin/sh\nexec '${join(CHECKOUT, 'scripts', 'portolan')}' "$@"\n`);
  await chmod(at('bin', 'portolan'), 0o755);
});
// A server to restore into is empty.
beforeEach(() => other.query('drop database if exists shop'));
afterAll(async () => {
  await server?.stop();
  await other?.stop();
  await rm(root, { recursive: true, force: true });
});

/** Somebody with a home and a desk of their own. */
async function person(name: string) {
  for (const folder of ['desk', 'safe', 'disk', 'files']) await mkdir(at(name, folder), { recursive: true });
  const env = {
    ...{ REPO: at(name, 'store'), SAFE: at(name, 'safe'), DISK: at(name, 'disk'), FILES: at(name, 'files') },
    ...{ DATABASE: server.url('shop'), SERVER: other.url(), BESIDE: server.url('shop_old') },
    HOME: at(name),
    // Node comes from the cache of the machine.
    XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? '', '.cache'),
    XDG_CONFIG_HOME: undefined,
    COSIGN_PASSWORD: 'throw-away password',
    PORTOLAN_STATE: at(name, 'state'),
    PORTOLAN_PG_BIN: server.programs,
    PORTOLAN_JSON: undefined,
    PATH: `${at('bin')}:${process.env.PATH}`,
  };
  const cwd = at(name, 'desk');
  await writeFile(at(name, 'files', 'one.txt'), 'one');
  return {
    cwd,
    /** What stands on a page, and must succeed. */
    async follow(script: string): Promise<void> {
      const ended = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd, env });
      expect(ended, `${script}\n${ended.stdout}\n${ended.stderr}`).toMatchObject({ status: 0 });
    },
  };
}

function orders(from: PostgresServer, database: string): Promise<string> {
  return from.query('select count(*) from orders', { database });
}

test('every command of docs/backups.md works as the page says', async () => {
  const page = await readFile(join(CHECKOUT, 'docs', 'backups.md'), 'utf8');
  const [names, ...blocks] = blocksOf(page);
  const variables = (names?.text ?? '').split('\n').map((line) => line.split('=')[0]);
  expect(variables).toEqual(['REPO', 'DATABASE', 'FILES', 'SERVER', 'BESIDE', 'SAFE', 'DISK']);
  expect(blocks.length).toBeGreaterThan(15);
  const { cwd, follow } = await person('guide');
  const [checks = ''] = fencedBlocksOf(page, 'sql');
  await writeFile(join(cwd, 'checks.sql'), checks);
  for (const { section, text } of blocks) {
    // Another server, as empty as the first was.
    if (section === 'When everything else is lost') await other.query('drop database shop');
    const lines = text.split('\n').map((line) => line.replace(CRON, ''));
    await follow(lines.join('\n'));
  }
  expect(await orders(other, 'shop')).toBe('1000');
  expect(await orders(server, 'shop_old')).toBe('1000');
  expect(await readFile(at('guide', 'disk', 'restored', 'files', 'one.txt'), 'utf8')).toBe('one');
});

test('the five minutes of README.md', async () => {
  const blocks = blocksOf(await readFile(join(CHECKOUT, 'README.md'), 'utf8'));
  const ours = blocks.filter(({ section }) => section === 'Backups in five minutes');
  expect(ours).toHaveLength(3);
  const { follow } = await person('readme');
  await follow('cosign generate-key-pair');
  for (const { text } of ours) {
    const script = text
      .replaceAll('/srv/backups', '"$REPO"')
      .replace(/^DATABASE=\S+/m, '')
      .replace(/--to \S+/, '--to "$SERVER"');
    await follow(script);
  }
  expect(await orders(other, 'shop')).toBe('1000');
});
