/** The single executable: it is the same program as the checkout's, and the same bytes each time. */
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readElf, withoutSymbols } from '../../scripts/importer/elf.ts';
import { placedCommands } from '../../src/cli/command-tree.ts';
import { loadCommandTree } from '../../src/cli/program.ts';
import { type BuiltFile, buildImporter, CHECKOUT, resultOf } from '../support/importer.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { type Ended, run, succeed } from '../support/program.ts';
import { createPublisher, PASSWORD, type Publisher, snapshot } from '../support/publisher.ts';

const FROM_SOURCES = join(CHECKOUT, 'scripts', 'portolan');
const TAG = 'demo-1.0.0';

let publisher: Publisher;
let importer: string;
let built: BuiltFile;
beforeAll(async () => {
  publisher = await createPublisher();
  importer = publisher.at('bin', 'portolan');
  [built] = (await buildImporter(['--out', importer])) as [BuiltFile];
  expect(await publisher.build()).toMatchObject({ status: 0 });
});
afterAll(() => publisher?.dispose());

/** Runs both; what they print must be the same but for the one's own words: a folder where each writes. */
async function expectSame(args: (own: string) => readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const [one, other] = [await ownFolder(), await ownFolder()];
  const [sources, executable] = [
    await run(FROM_SOURCES, args(one), { env }),
    await run(importer, args(other), { env }),
  ];
  const plain = ({ status, stdout, stderr }: Ended) =>
    [status, stdout, stderr].map((text) => String(text).replaceAll(one, 'OWN').replaceAll(other, 'OWN'));
  expect(plain(executable)).toEqual(plain(sources));
  return executable;
}

const ownFolder = () => mkdtemp(publisher.at('own-'));

describe('prints what the checkout prints', () => {
  test.each([
    ['--version'],
    ['--help'],
    ['bundle'],
    ['bundle', '--help'],
    ['help', 'PIECE_DAMAGED'],
    ['help', 'configuration'],
    ['help', 'NO_SUCH_CODE'],
    ['completion', 'bash'],
    ['completion', 'zsh'],
    ['completion', 'fish'],
    ['--no-such-option'],
    ['bundle', 'verifi'],
  ])('%s %s', async (...args) => {
    await expectSame(() => args.filter((word) => word !== undefined));
  });

  test('for the help of every command', async () => {
    const commands = placedCommands(await loadCommandTree());
    expect(commands.length).toBeGreaterThan(8);
    for (const { words } of commands) {
      expect(await expectSame(() => [...words, '--help'])).toMatchObject({ status: 0 });
    }
  });
});

describe('does what the checkout does', () => {
  test('init, list and inspect, with a key and without', async () => {
    await expectSame((own) => ['bundle', 'init', join(own, 'new')]);
    await expectSame(() => ['bundle', 'list', publisher.medium]);
    await expectSame(() => ['bundle', 'inspect', publisher.medium]);
    const inspected = await expectSame(() => ['bundle', 'inspect', publisher.medium, '-i', publisher.identity]);
    expect(inspected).toMatchObject({ status: 0 });
  });

  test('verify and unpack, on worker threads', async () => {
    const keys = ['--trust', publisher.trust, '-i', publisher.identity];
    expect(await expectSame(() => ['bundle', 'verify', publisher.medium, ...keys])).toMatchObject({ status: 0 });
    const [one, other] = [publisher.at('opened-one'), publisher.at('opened-other')];
    for (const [program, target] of [
      [FROM_SOURCES, one],
      [importer, other],
    ] as const) {
      await succeed(program, ['bundle', 'unpack', publisher.medium, target, ...keys]);
    }
    const files = async (folder: string) =>
      [...(await snapshot(folder))].map(([path, text]) => [path.slice(folder.length), text]);
    expect(await files(other)).toEqual(await files(one));
  });

  test('lock and build: the same root, and each verifies what the other built', async () => {
    const env = { COSIGN_PASSWORD: PASSWORD };
    const roots = [];
    for (const [program, checker] of [
      [FROM_SOURCES, importer],
      [importer, FROM_SOURCES],
    ] as const) {
      const medium = join(await ownFolder(), 'stick');
      const ended = await resultOf(program, publisher.buildArgs({ medium }), { env });
      expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: 0, last: { event: 'result', tag: TAG } });
      roots.push(ended.last?.root);
      const verify = ['bundle', 'verify', medium, '--trust', publisher.trust, '-i', publisher.identity];
      expect(await run(checker, verify)).toMatchObject({ status: 0 });
    }
    expect(new Set(roots).size).toBe(1);
  });

  test('copy and sign', async () => {
    const copied = await expectSame((own) => ['bundle', 'copy', publisher.medium, join(own, 'stick')]);
    expect(copied).toMatchObject({ status: 0 });
    const sign = ['bundle', 'sign', publisher.medium, '--sign-key', publisher.at('cosign.key')];
    await expectSame(() => sign, { COSIGN_PASSWORD: PASSWORD });
  });

  test('errors: their text, their code and their status', async () => {
    const missing = await expectSame((own) => ['bundle', 'list', join(own, 'none')]);
    expect(missing).toMatchObject({ status: 1 });
    const key = publisher.at('other');
    await mkdir(key);
    await succeed('cosign', ['generate-key-pair'], { cwd: key, env: publisher.env });
    const wrong = ['bundle', 'verify', publisher.medium, '--trust', join(key, 'cosign.pub')];
    expect(await expectSame(() => wrong)).toMatchObject({ status: 3 });
    const { status, last } = await resultOf(importer, wrong);
    expect({ status, last }).toMatchObject({ status: 3, last: { event: 'error', code: 'BUNDLE_NOT_RIGHT' } });
  });
});

test('backs up and restores a database: its workers talk to the server themselves', async () => {
  const server = await startPostgres();
  try {
    await server.query('create table notes as select n, md5(n::text) as text from generate_series(1, 20000) n');
    const own = await ownFolder();
    const env = { COSIGN_PASSWORD: PASSWORD, XDG_CONFIG_HOME: own, XDG_STATE_HOME: own };
    const [key, repo] = [join(own, 'key.txt'), join(own, 'repository')];
    const program = (...args: string[]) => succeed(importer, args, { env });
    const [recipient = ''] = (await program('keys', 'generate', key)).trimEnd().split('\n').slice(-1);
    const signing = ['--sign-key', publisher.at('cosign.key')];
    await program('backup', 'init', '--repo', repo, '-r', recipient, ...signing);
    const programs = ['--pg-bin', server.programs];
    await program('backup', 'run', '--repo', repo, '--database', server.url(), ...signing, ...programs);
    const target = ['--to', server.url('beside'), '--database', 'postgres', '--allow', 'superuser'];
    await program('restore', '--repo', repo, '-i', key, ...target, ...programs);
    expect(await server.query('select count(*) from notes', { database: 'beside' })).toContain('20000');
  } finally {
    await server.stop();
  }
});

test('it needs nothing of this machine: no environment, no Node, no folder of its own', async () => {
  const folder = await ownFolder();
  const alone = join(folder, 'importer');
  await copyFile(importer, alone);
  // A package.json or a module beside it must not be taken for its own.
  await writeFile(join(folder, 'package.json'), '{"type": "module", "main": "evil.js"}');
  const verify = ['bundle', 'verify', publisher.medium, '--trust', publisher.trust, '-i', publisher.identity];
  const ended = await run('env', ['-i', alone, ...verify], { cwd: folder });
  expect(ended).toMatchObject({ status: 0, stderr: '' });
  expect(ended.stdout).toContain('verified');
});

describe('the file', () => {
  test('is the same each time, and tells nothing of the machine that built it', async () => {
    const again = await buildImporter(['--out', publisher.at('again', 'portolan')]);
    expect(again).toMatchObject([{ sha256: built.sha256 }]);
    const bytes = await readFile(importer);
    for (const place of [CHECKOUT, tmpdir(), homedir()].filter((place) => place.length > 4 || place === '/tmp')) {
      // Node's own text names /tmp; a path below it would be of the build.
      expect(bytes.includes(place === '/tmp' ? '/tmp/portolan-' : `${place}/`), place).toBe(false);
    }
    expect((await stat(importer)).mode & 0o777).toBe(0o755);
  });

  test('brings the licences of what is inside', async () => {
    const text = await readFile(`${importer}.licenses.txt`, 'utf8');
    for (const name of ['Portolan\n', 'Node.js 24.', 'age-encryption 0.', 'zod 4.', 'commander 15.']) {
      expect(text).toContain(name);
    }
  });

  test('is made for arm64 as well, on this machine', async () => {
    const path = publisher.at('arm64', 'portolan');
    await buildImporter(['--platform', 'linux-arm64', '--out', path]);
    const facts = readElf(await readFile(path));
    expect(facts.machine).toBe('arm64');
    expect(facts.notes).toContain('NODE_SEA_BLOB');
  });

  test('with --tools stands where bundle.yaml looks for it, and helm beside it', async () => {
    const tools = await ownFolder();
    const files = await buildImporter(['--tools', tools]);
    expect(files.map(({ path }) => path)).toEqual([
      join(tools, 'linux-amd64', 'portolan'),
      join(tools, 'linux-amd64', 'helm'),
    ]);
    expect(await succeed(join(tools, 'linux-amd64', 'helm'), ['version', '--short'])).toMatch(/^v4\./);
    expect(await succeed(join(tools, 'linux-amd64', 'portolan'), ['--version'])).toBe(
      await succeed(importer, ['--version']),
    );
  });

  test('wrong use is refused: an unknown platform, two places, a helm of another kind', async () => {
    const script = join(CHECKOUT, 'scripts', 'build-importer');
    const out = publisher.at('refused');
    expect(await run(script, ['--platform', 'linux-mips', '--out', out])).toMatchObject({ status: 2, stdout: '' });
    expect(await run(script, ['--tools', out, '--out', out])).toMatchObject({ status: 2, stdout: '' });
    expect(await run(script, ['--tools', out, '--platform', 'linux-arm64', '--helm', importer])).toMatchObject({
      status: 1,
      stdout: '',
    });
    await expect(stat(out)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

test('leaving out symbols keeps a program running, and is refused for what is no program', async () => {
  const path = join(await ownFolder(), 'node');
  const whole = await readFile(process.execPath);
  const smaller = withoutSymbols(whole);
  expect(smaller.length).toBeLessThan(whole.length);
  expect(withoutSymbols(smaller).length).toBe(smaller.length);
  await writeFile(path, smaller, { mode: 0o755 });
  expect(await succeed(path, ['--print', '6 * 7'])).toBe('42\n');
  for (const name of ['.symtab', '.debug_info']) expect(readElf(whole).sections).toContain(name);
  for (const name of ['.symtab', '.debug_info']) expect(readElf(smaller).sections).not.toContain(name);
  expect(readElf(smaller).sections).toContain('.text');
  expect(() => withoutSymbols(Buffer.alloc(100))).toThrow('ELF');
  await rm(path);
});
