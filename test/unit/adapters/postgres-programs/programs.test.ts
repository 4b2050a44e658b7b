/** Which programs are chosen, and how a program is run: with small scripts in their place, that can do what real ones rarely do. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createPostgresPrograms } from '../../../../src/adapters/postgres-programs/programs.ts';
import type { ProgramRun } from '../../../../src/ports/postgres-programs.ts';
import { raised, raisedCodes } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const BOTH = ['pg_dump', 'pg_dumpall'] as const;

async function install(folder: string, version: string, programs: readonly string[] = BOTH, body = ''): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const program of programs) {
    const path = join(folder, program);
    await writeFile(
      path,
      `#!/bin/sh\nif [ "$1" = --version ]; then echo "${program} (PostgreSQL) ${version}"; exit 0; fi\n${body}\n`,
    );
    await chmod(path, 0o755);
  }
}

test('the major version of the server, else the next newer one, never an older one', async () => {
  const folder = await temporaryFolder();
  const versions = { a: '15.4 (Debian 15.4-1)', b: '17.2', c: '18beta1', d: '14.9' };
  for (const [name, version] of Object.entries(versions)) await install(join(folder, name), version);
  // What is not of one version, or not all there, is no set.
  await install(join(folder, 'mixed'), '16.1', ['pg_dump']);
  await install(join(folder, 'mixed'), '16.2', ['pg_dumpall']);
  await install(join(folder, 'half'), '16.3', ['pg_dump']);
  await install(join(folder, 'mute'), '', BOTH);
  const searchPath = ['mixed', 'half', 'mute', 'c', 'b', 'd', 'a', 'none'].map((name) => join(folder, name)).join(':');
  const look = async (major: number, searched = searchPath) =>
    (await createPostgresPrograms({ searchPath: searched, temporaryFolder: folder }).find(major, { programs: BOTH }))
      .folder;
  // This machine may have more of them, but not those of a far future.
  await install(join(folder, 'future'), '99.1');
  expect(await look(99, `${searchPath}:${join(folder, 'future')}`)).toBe(join(folder, 'future'));
  const only = (name: string) => createPostgresPrograms({ folder: join(folder, name), temporaryFolder: folder });
  expect(await only('a').find(15, { programs: BOTH })).toMatchObject({ major: 15, version: '15.4' });
  expect(await only('c').find(15, { programs: BOTH })).toMatchObject({ major: 18, version: '18beta1' });
  for (const [name, major] of [
    ['d', 15],
    ['mixed', 15],
    ['half', 15],
    ['mute', 15],
    ['none', 15],
  ] as const) {
    expect(await raisedCodes(() => only(name).find(major, { programs: BOTH })), name).toEqual([
      'AdapterError POSTGRES_PROGRAMS_MISSING',
    ]);
  }
  expect(String((await raised(() => only('d').find(15, { programs: BOTH }))).found)).toContain('14.9');
});

test('what was found once is not looked for again, what was missing is', async () => {
  const folder = await temporaryFolder();
  const programs = createPostgresPrograms({ folder: join(folder, 'bin'), temporaryFolder: folder });
  const find = () => programs.find(15, { programs: BOTH });
  expect(await raisedCodes(find)).toEqual(['AdapterError POSTGRES_PROGRAMS_MISSING']);
  await install(join(folder, 'bin'), '15.1');
  const found = await find();
  await install(join(folder, 'bin'), '14.1');
  expect(await find()).toBe(found);
});

async function programThat(body: string) {
  const folder = await temporaryFolder();
  await install(join(folder, 'bin'), '15.1', BOTH, body);
  const set = await createPostgresPrograms({ folder: join(folder, 'bin'), temporaryFolder: folder }).find(15, {
    programs: BOTH,
  });
  const run = async (settings: Partial<ProgramRun> = {}, signal?: AbortSignal) => {
    let text = '';
    const options = signal === undefined ? {} : { signal };
    for await (const bytes of set.output({ program: 'pg_dump', arguments: [], ...settings }, options)) {
      text += Buffer.from(bytes).toString();
    }
    return text;
  };
  return { folder, run, set };
}

test('what it prints, with the connection and the password in its environment alone', async () => {
  const { run } = await programThat('echo "$*"; env | sort; echo fine >&2');
  let messages = '';
  const text = await run({
    arguments: ['--one'],
    connection: { url: 'postgres:///?host=db.example&port=7&user=a%20b&dbname=c&sslmode=require', password: 'sec ret' },
    onMessages: (told) => {
      messages = told;
    },
  });
  expect(text.split('\n')[0]).toBe('--one');
  for (const line of [
    'PGHOST=db.example',
    'PGPORT=7',
    'PGUSER=a b',
    'PGDATABASE=c',
    'PGSSLMODE=require',
    'PGPASSWORD=sec ret',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  // Nothing of whoever started the tests.
  expect(text).not.toContain(process.env.PATH ?? 'PATH=');
  expect(messages).toBe('fine\n');
});

test('certificates of the system, where the address trusts them, as a file that goes with the program', async () => {
  const { folder, run } = await programThat('echo "$PGSSLROOTCERT"; cat "$PGSSLROOTCERT"');
  const text = await run({ connection: { url: 'postgres://u@db.example/c?sslmode=verify-full' } });
  expect(text).toContain('BEGIN CERTIFICATE');
  await expect(readFile(text.split('\n')[0] as string)).rejects.toThrow('ENOENT');
  const named = await run({
    connection: { url: 'postgres://u@db.example/c?sslmode=verify-ca', caFile: join(folder, 'bin/pg_dump') },
  });
  expect(named.split('\n')[0]).toBe(join(folder, 'bin/pg_dump'));
});

test('a status that is not 0 is a failure after the last byte, with its own words', async () => {
  const { run, set } = await programThat('echo part; echo "pg_dump: error: no luck" >&2; exit 3');
  const error = await raised(() => run());
  expect(error.code).toBe('POSTGRES_PROGRAM_FAILED');
  expect(error.message).toContain('exit status 3');
  expect(error.found).toBe('error: no luck');
  const seen: string[] = [];
  await raised(async () => {
    for await (const bytes of set.output({ program: 'pg_dump', arguments: [] }))
      seen.push(Buffer.from(bytes).toString());
  });
  expect(seen.join('')).toBe('part\n');
});

test('a program that dies', async () => {
  const { run } = await programThat('kill -9 $$');
  expect((await raised(() => run())).message).toContain('SIGKILL');
});

test('a program that hangs is stopped, but not while its output is worked on', async () => {
  const { run, set } = await programThat('echo one; [ "$1" = hang ] && exec sleep 600; echo two');
  expect(await raisedCodes(() => run({ arguments: ['hang'], idleTimeoutMs: 200 }))).toEqual([
    'AdapterError POSTGRES_PROGRAM_TIMEOUT',
  ]);
  let text = '';
  for await (const bytes of set.output({ program: 'pg_dump', arguments: [], idleTimeoutMs: 2000 })) {
    text += Buffer.from(bytes).toString();
    await sleep(2500);
  }
  expect(text).toBe('one\ntwo\n');
});

test('an interruption, and a reader that leaves, end the program', async () => {
  const { folder, run, set } = await programThat(`echo $$ > "$1"; echo one; exec sleep 600`);
  const isGone = async (path: string) => {
    const pid = Number(await readFile(path, 'utf8'));
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  };
  const stop = new AbortController();
  const reason = new Error('stop');
  const running = run({ arguments: [join(folder, 'first')] }, stop.signal);
  while ((await readFile(join(folder, 'first'), 'utf8').catch(() => '')) === '') await sleep(10);
  stop.abort(reason);
  await expect(running).rejects.toBe(reason);
  await isGone(join(folder, 'first'));
  for await (const _ of set.output({ program: 'pg_dump', arguments: [join(folder, 'second')] })) break;
  await isGone(join(folder, 'second'));
  const already = AbortSignal.abort(reason);
  await expect(run({}, already)).rejects.toBe(reason);
});

test('input: all of it, or as much as the program wants; a failure of its source is the failure', async () => {
  async function* input(pieces: number) {
    for (let index = 0; index < pieces; index += 1) yield Buffer.alloc(100_000, 'x');
  }
  const counting = await programThat('wc -c');
  expect((await counting.run({ input: input(30) })).trim()).toBe('3000000');
  const content = await programThat('head -c 5');
  expect(await content.run({ input: input(1000) })).toBe('xxxxx');
  const refusing = await programThat('exit 4');
  expect(await raisedCodes(() => refusing.run({ input: input(1000) }))).toEqual([
    'AdapterError POSTGRES_PROGRAM_FAILED',
  ]);
  async function* broken() {
    yield Buffer.from('x');
    throw new Error('source broke');
  }
  await expect(counting.run({ input: broken() })).rejects.toThrow('source broke');
});

test('files lie where it runs, for it alone, and go with it', async () => {
  const { run } = await programThat('pwd; stat -c %a list; cat list');
  const text = await run({ files: { list: [Buffer.from('one\n'), Buffer.from('two\n')] } });
  const [folder, ...rest] = text.split('\n');
  expect(rest).toEqual(['600', 'one', 'two', '']);
  await expect(readFile(`${folder}/list`)).rejects.toThrow('ENOENT');
});

test('a statement that failed is not repeated: a password may be in it', async () => {
  const said = [
    'pg_restore: error: could not execute query: ERROR:  server "s" does not exist',
    "Command was: CREATE USER MAPPING FOR r SERVER s OPTIONS (\n    password 'sec ret'",
    ');',
    'pg_restore: hint: second',
  ].join('\n');
  const { run } = await programThat(`cat >&2 <<'END'\n${said}\nEND\nexit 1`);
  const error = await raised(() => run());
  expect(error.found).toContain('server "s" does not exist');
  expect(error.found).toContain('second');
  expect(error.found).not.toContain('sec ret');
});
