/** A repository is opened with stock tools alone: what docs/read-back.md prints, and the folder that a restore leaves for them. */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BackupRepository, createBackupRepository } from '../support/backup-repository.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import { createNastyDatabase } from '../support/nasty-database.ts';
import { describeTree, makeNastyTree } from '../support/nasty-tree.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { type ProgramOptions, run, succeed } from '../support/program.ts';
import { filesSource, restoreFolder } from '../support/restored-folder.ts';

const READ_BACK = fileURLToPath(new URL('../../scripts/read-back', import.meta.url));
const NAME = `nasty "db" é'`;
/** What the page names, and what every system has. */
const TOOLS = [
  ...['age', 'dd', 'zstd', 'jq', 'psql', 'pg_restore'],
  ...['bash', 'sh', 'base64', 'sha256sum', 'realpath', 'dirname', 'mktemp', 'mkdir', 'rm', 'cp', 'ln', 'id', 'env'],
  ...['chmod', 'chown', 'touch', 'truncate', 'mkfifo', 'mknod', 'tac', 'grep', 'sed', 'uniq'],
];

let folder: string;
let repository: BackupRepository;
let servers: PostgresServer[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-read-back-'));
  servers = await Promise.all([1, 2, 3].map(() => startPostgres({ major: 17 })));
  const [server] = servers as [PostgresServer];
  await createNastyDatabase(server, NAME);
  repository = await createBackupRepository();
  await mkdir(join(folder, 'tree'));
  await makeNastyTree(join(folder, 'tree'));
  const database = postgresSource(server, NAME, { limits: { rangeBytes: 1024 * 1024 } as never });
  // The second snapshot stands on packs of the first: keys of two runs are needed.
  await repository.run([filesSource(join(folder, 'tree'))]);
  await repository.run([database, filesSource(join(folder, 'tree'))]);
  await mkdir(join(folder, 'bin'));
  for (const tool of TOOLS) {
    const path = ['psql', 'pg_restore'].includes(tool)
      ? join(server.programs, tool)
      : (await succeed('sh', ['-c', `command -v ${tool}`])).trim();
    await symlink(path, join(folder, 'bin', tool));
  }
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await repository[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** Only the tools of the page are there. */
function environmentFor({ folder: host, port }: PostgresServer): Record<string, string> {
  return { PATH: join(folder, 'bin'), PGHOST: host, PGPORT: String(port), PGUSER: 'postgres' };
}

/** The superuser of a new server is there already. */
async function quietly(program: string, args: readonly string[], options: ProgramOptions): Promise<void> {
  const { status, stderr } = await run(program, args, options);
  expect(stderr.replaceAll(/^.*role "postgres" already exists\n/gm, '')).toBe('');
  expect(status).toBe(0);
}

async function dumpOf({ programs, folder: host }: PostgresServer): Promise<string> {
  const text = await succeed(join(programs, 'pg_dump'), [
    '-h',
    host,
    '-U',
    'postgres',
    `dbname='${NAME.replaceAll("'", "\\'")}'`,
  ]);
  return text.replaceAll(/^\\(?:un)?restrict .*$/gm, '');
}

test('the script brings files and databases back with stock tools alone, and nothing differs', async () => {
  const [source, target] = servers as [PostgresServer, PostgresServer];
  const identity = join(folder, 'identity.txt');
  await writeFile(identity, `${repository.identity}\n`, { mode: 0o600 });
  const out = join(folder, 'read back');
  const args = [join(repository.root, 'store'), 'db-1/2', identity, out, '--load'];
  await quietly(READ_BACK, args, { env: environmentFor(target) });
  const expected = await describeTree(join(folder, 'tree'));
  delete expected['./socket'];
  expect(await describeTree(join(out, 'files'))).toEqual(expected);
  const [before, after] = [await dumpOf(source), await dumpOf(target)];
  expect(after.length).toBeGreaterThan(1_000_000);
  expect(after === before).toBe(true);
});

test('the lines of the page open a repository, from the signature to a stream', async () => {
  const page = await readFile(fileURLToPath(new URL('../../docs/read-back.md', import.meta.url)), 'utf8');
  const place = join(folder, 'page');
  await cp(join(repository.root, 'store'), place, { recursive: true });
  await writeFile(join(place, 'identity.txt'), `${repository.identity}\n`);
  const [server] = servers as [PostgresServer];
  const linesOf = (step: string, from = 0, to?: number) => {
    const section = page.split(/^## /m).find((one) => one.startsWith(step)) ?? '';
    const blocks = section
      .split(/^(?! {4}|$)/m)
      .flatMap((part) => [...part.matchAll(/(?:^ {4}.*\n)+/gm)].map(([text]) => text));
    return blocks
      .slice(from, to)
      .join('\n')
      .replaceAll('00000007', '00000002')
      .replaceAll('postgres/globals', 'main/globals');
  };
  // Its input is a socket: bash might take itself for a remote shell, and read a file that people have for their prompts.
  const bash = (script: string) =>
    run('bash', ['--norc', '-euo', 'pipefail', '-c', script], { cwd: place, env: environmentFor(server) });
  const path = `export PATH="$PATH:/usr/bin"\n`;

  const writer = await bash(`${path}jq -j .payload keys/00000001.json | base64 -d > payload\n${linesOf('0', 1)}`);
  expect(writer.stderr).toBe('');
  const signature = await bash(
    `${path}cp snapshots/db-1/00000002.json d.json; cp writer.pub cosign.pub\n${linesOf('0', 0, 1)}`,
  );
  expect(signature.stdout).toBe('Verified OK\n');
  const opened = await bash(['1', '2', '3'].map((step) => linesOf(step)).join('\n'));
  expect(opened.stderr).toBe('');
  expect(opened.status).toBe(0);
  expect(await readFile(join(place, 'globals.sql'), 'utf8')).toContain('CREATE ROLE "nasty owner"');
});

test('what a restore into a folder leaves is restored by the lines of its README', async () => {
  const [source, , target] = servers as [PostgresServer, PostgresServer, PostgresServer];
  const out = join(folder, 'restored');
  await restoreFolder(repository, out, { sources: ['main'] });
  const readme = await readFile(join(out, 'main/README.txt'), 'utf8');
  const commands = readme.split('\n').filter((line) => line.startsWith('    '));
  expect(commands).toHaveLength(5);
  await quietly('sh', ['-ec', commands.join('\n')], { cwd: join(out, 'main'), env: environmentFor(target) });
  expect((await dumpOf(target)) === (await dumpOf(source))).toBe(true);
});
