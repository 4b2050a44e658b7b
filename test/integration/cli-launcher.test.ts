import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { goOn, waitUntilStopped } from '../support/program.ts';

const root = join(import.meta.dirname, '../..');
let folder = '';
let checkout = '';
let cache = '';
let cold: readonly Outcome[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'portolan-launcher-'));
  checkout = join(folder, 'a checkout');
  for (const name of ['src', 'scripts', 'package.json', 'package-lock.json', '.npmrc']) {
    await cp(join(root, name), join(checkout, name), { recursive: true });
  }
  cache = join(folder, 'cache');
  const program = join(checkout, 'scripts/portolan');
  cold = await Promise.all([1, 2].map(() => launch(program, ['--version'], { XDG_CACHE_HOME: cache })));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** A PATH without the Node that runs the tests: what the machine itself has. */
function systemPath(): string {
  const folders = (process.env.PATH ?? '').split(':');
  return folders.filter((part) => !part.includes('node_modules')).join(':');
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function launch(program: string, args: readonly string[], env: Record<string, string>): Promise<Outcome> {
  const child = spawn(program, args, { cwd: '/', env: { ...process.env, PATH: systemPath(), ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

describe('scripts/portolan', () => {
  test('two that start at once on a machine with nothing cached both work, and nothing is left half', () => {
    for (const { code, stdout } of cold) expect({ code, stdout }).toEqual({ code: 0, stdout: `${manifest.version}\n` });
    expect(readdirSync(join(cache, 'portolan/node')).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(readdirSync(checkout).filter((name) => name.startsWith('.install'))).toEqual([]);
    expect(existsSync(join(checkout, 'node_modules/vitest'))).toBe(false);
  });

  test('a later start, through a link, says nothing but its answer', async () => {
    const link = join(folder, 'portolan');
    symlinkSync(join(checkout, 'scripts/portolan'), link);
    const again = await launch(link, ['help', 'usage', '--json'], { XDG_CACHE_HOME: cache });
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(again.stdout)).toMatchObject({ event: 'result', code: 'USAGE' });
  });

  test('a newer lockfile is followed, and an install that fails leaves the packages of before', async () => {
    const other = join(folder, 'another checkout');
    await cp(checkout, other, { recursive: true, preserveTimestamps: true });
    const program = join(other, 'scripts/portolan');
    const lock = join(other, 'package-lock.json');
    writeFileSync(lock, '{ "lockfileVersion": 3 }');
    const failed = await launch(program, ['--version'], { XDG_CACHE_HOME: cache });
    expect(failed).toMatchObject({ code: 1, stdout: '' });
    expect(existsSync(join(other, 'node_modules/commander/package.json'))).toBe(true);
    expect(readdirSync(other).filter((name) => name.startsWith('.install'))).toEqual([]);
    await cp(join(root, 'package-lock.json'), lock);
    const mended = await launch(program, ['--version'], { XDG_CACHE_HOME: cache });
    expect(mended).toMatchObject({ code: 0, stdout: `${manifest.version}\n` });
    expect(mended.stderr).not.toBe('');
  });

  test('the process that was started is the program itself, so that signals reach it', async () => {
    // It stops itself as soon as it is there, so that it can be looked at while it lives.
    const stop = "if (process.argv[1]?.endsWith('/main.ts')) process.kill(process.pid, 'SIGSTOP')";
    const env = { ...process.env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(stop)}` };
    const child = spawn(join(root, 'scripts/portolan'), ['--version'], { env, stdio: 'ignore' });
    await waitUntilStopped({ child });
    const program = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').split('\0');
    goOn({ child });
    await once(child, 'close');
    expect(program).toContain(join(root, 'src/cli/main.ts'));
  });
});
