import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '../../..');
const MAIN = join(ROOT, 'src/cli/main.ts');
const SAMPLE = join(ROOT, 'test/support/sample-main.ts');

const env = { PATH: process.env.PATH, HOME: '/nonexistent' };

function run(entry: string, args: readonly string[], extra: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [entry, ...args], {
    encoding: 'utf8',
    env: { ...env, ...extra },
    maxBuffer: 64 * 1024 * 1024,
  });
  return { status, stdout, stderr };
}

/** Starts a probe and waits until it says that it is at work. */
async function started(...args: string[]): Promise<{ child: ChildProcess; stderr: () => string }> {
  const child = spawn(process.execPath, [SAMPLE, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  await new Promise<void>((resolve) => {
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      if (stderr.includes('ready')) resolve();
    });
  });
  return { child, stderr: () => stderr };
}

async function closed(child: ChildProcess): Promise<unknown> {
  const [code] = await once(child, 'close');
  return code;
}

describe('the program', () => {
  test.each(['--version', '-V'])('%s', (word) => {
    expect(run(MAIN, [word])).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: '' });
  });

  test('--version loads no other module than the version', () => {
    const { stderr } = run(MAIN, ['--version'], { NODE_DEBUG: 'esm' });
    expect(stderr).toContain('version.ts');
    expect(stderr).not.toContain('program.ts');
    expect(stderr).not.toContain('commander');
  });

  test('--help is a result, on stdout', () => {
    const { status, stdout, stderr } = run(MAIN, ['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('Usage: portolan');
  });

  test.each([
    [['--nonsense'], 2],
    [['bundel'], 2],
    [[], 2],
    [['help', 'NO_SUCH_CODE_AT_ALL'], 2],
    [['completion', 'tcsh'], 2],
  ])('%j is wrong use', (args, expected) => {
    const { status, stdout, stderr } = run(MAIN, args);
    expect(status).toBe(expected);
    expect(stdout).toBe('');
    expect(stderr).not.toBe('');
  });
});

describe('errors', () => {
  test('all problems go to stderr, nothing to stdout', () => {
    const { status, stdout, stderr } = run(SAMPLE, ['crate', 'probe', 'fail']);
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
    expect(stderr).toContain('PIECE_DAMAGED');
    expect(stderr).toContain('FILE_MISSING');
    expect(stderr).not.toContain('\u001b');
  });

  test.each([
    ['typed', ['--json', 'crate', 'probe', 'fail'], {}],
    ['typed last', ['crate', 'probe', 'fail', '--json'], {}],
    ['from the environment', ['crate', 'probe', 'fail'], { PORTOLAN_JSON: '1' }],
  ])('with --json %s an error is an event', (_, args, extra) => {
    const { status, stdout, stderr } = run(SAMPLE, args, extra);
    expect({ status, stderr }).toEqual({ status: 3, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      event: 'error',
      code: 'PIECE_DAMAGED',
      others: [{ code: 'FILE_MISSING' }],
    });
  });

  test('wrong use with --json is an event, too', () => {
    const { status, stdout } = run(SAMPLE, ['crate', 'pack', '--json']);
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ event: 'error', code: 'USAGE' });
  });

  test('what nobody foresaw is reported as a fault of the program', () => {
    const { status, stderr } = run(SAMPLE, ['crate', 'probe', 'crash']);
    expect(status).toBe(1);
    expect(stderr).toContain('INTERNAL');
    expect(stderr).toContain(manifest.version);
  });
});

describe('options from elsewhere', () => {
  test('a whole process takes them from the environment', () => {
    const { stdout } = run(SAMPLE, ['crate', 'pack', 'fish', '--json'], {
      PORTOLAN_OUT: 'quay',
      PORTOLAN_NO_REUSE: '1',
    });
    expect(JSON.parse(stdout)).toMatchObject({ args: { source: 'fish' }, options: { out: 'quay', noReuse: true } });
  });

  test('--no-reuse and repeated options reach the command', () => {
    const { stdout } = run(SAMPLE, ['crate', 'pack', 'a', '-o', 'q', '--no-reuse', '-r', 'x', '-r', 'y', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ options: { noReuse: true, frozen: false, recipient: ['x', 'y'] } });
  });

  test('a configuration file that was named must be there', () => {
    const { status, stderr } = run(SAMPLE, ['crate', 'pack', 'a', '-o', 'q', '--config', '/nonexistent/portolan.yaml']);
    expect(status).toBe(2);
    expect(stderr).toContain('CONFIGURATION_INVALID');
  });
});

describe('signals', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s stops the work and exits with 130', async (signal) => {
    const { child, stderr } = await started('crate', 'probe', 'wait');
    child.kill(signal);
    expect(await closed(child)).toBe(130);
    expect(stderr()).toContain('interrupted');
  });

  test('a second one ends work that does not listen', async () => {
    const { child, stderr } = await started('crate', 'probe', 'stubborn');
    child.kill('SIGINT');
    while (!stderr().includes('stopping')) await once(child.stderr as NodeJS.ReadableStream, 'data');
    child.kill('SIGINT');
    expect(await closed(child)).toBe(130);
  });
});

test('a reader that leaves is no error, and the work goes on to its end', async () => {
  const child = spawn(process.execPath, [SAMPLE, 'crate', 'probe', 'many'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdout.once('data', () => child.stdout.destroy());
  expect(await closed(child)).toBe(0);
  expect(stderr).toBe('warning: done\n');
});

describe('a secret', () => {
  test('without a terminal is wrong use', () => {
    // setsid takes the terminal away even where the tests run in one.
    const { status, stderr } = spawnSync('setsid', ['-w', process.execPath, SAMPLE, 'crate', 'probe', 'secret'], {
      encoding: 'utf8',
      env,
    });
    expect(status).toBe(2);
    expect(stderr).toContain('NO_TERMINAL');
  });

  /** Runs the probe on a pseudo-terminal and types when the prompt is there. */
  async function typed(keys: string): Promise<{ code: unknown; screen: string }> {
    const command = `${process.execPath} ${SAMPLE} crate probe secret`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let screen = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const before = screen;
      screen += chunk.toString();
      if (screen.includes('Password: ') && !before.includes('Password: ')) child.stdin.write(keys);
    });
    return { code: await closed(child), screen };
  }

  test('is read without an echo, with the usual editing keys', async () => {
    const { code, screen } = await typed('wrong\u0015hunter3\u007f2\r');
    expect(code).toBe(0);
    expect(screen).toContain('got 7 characters');
    expect(screen).not.toContain('hunter');
  });

  test('Ctrl-C at the prompt exits with 130', async () => {
    const { code } = await typed('abc\u0003');
    expect(code).toBe(130);
  });
});
