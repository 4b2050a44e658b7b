import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Holder, lockByProcess } from '../../../../src/adapters/files/process-lock.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

class Busy extends Error {
  readonly holder: Holder | undefined;
  constructor(holder: Holder | undefined) {
    super('busy');
    this.holder = holder;
  }
}
const take = (path: string) => lockByProcess(path, (holder) => new Busy(holder));

/** A lock of this machine with another holder. */
async function plant(path: string, holder: Partial<Holder>): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  await writeFile(path, JSON.stringify({ host: hostname(), boot, pid: process.pid, started: '1', ...holder }));
}

async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

describe('lockByProcess', () => {
  test('is held until it is given back, and leaves nothing', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'work', 'lock');
    {
      await using _lock = await take(path);
      expect(await readdir(join(folder, 'work'))).toEqual(['lock']);
      await expect(take(path)).rejects.toMatchObject({ holder: { pid: process.pid, host: hostname() } });
      expect(await readdir(join(folder, 'work'))).toEqual(['lock']);
    }
    expect(await readdir(join(folder, 'work'))).toEqual([]);
  });

  test('of many that find a stale lock at once one gets it, and the next when that one is done', async () => {
    const path = join(await temporaryFolder(), 'lock');
    for (let round = 0; round < 20; round += 1) {
      await plant(path, { pid: 2 ** 22 + 1 });
      const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => take(path)));
      const held = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      expect(held).toHaveLength(1);
      for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(Busy);
      await held[0]?.[Symbol.asyncDispose]();
    }
  });

  test('of a living process is respected', async () => {
    const path = join(await temporaryFolder(), 'lock');
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill());
    const pid = child.pid as number;
    await plant(path, { pid, started: await startOf(pid) });
    await expect(take(path)).rejects.toMatchObject({ holder: { pid } });
  });

  test('of a process that ended and was not waited for is taken over', async () => {
    const path = join(await temporaryFolder(), 'lock');
    // sleep takes the place of the shell, and knows nothing of the shell's child.
    const child = spawn('sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => void child.kill());
    const pid = await new Promise<number>((resolve) => child.stdout.once('data', (text) => resolve(Number(text))));
    const started = await startOf(pid);
    const isZombie = async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).includes(') Z ');
    while (!(await isZombie()));
    await plant(path, { pid, started });
    await using _lock = await take(path);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid });
  });

  test.each([
    ['of a process that is gone', { pid: 2 ** 22 + 1 }],
    ['of a number that another process has now', { pid: process.pid, started: '0' }],
    ['of this machine before it was restarted', { boot: 'former', silent: true }],
    ['of another machine that is silent', { host: 'elsewhere', silent: true }],
  ])('%s is taken over', async (_, { silent, ...holder }: Partial<Holder> & { silent?: boolean }) => {
    const path = join(await temporaryFolder(), 'lock');
    await plant(path, holder);
    if (silent) await utimes(path, 1_000_000_000, 1_000_000_000);
    await using _lock = await take(path);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid });
  });

  test('of another machine that is at work is respected', async () => {
    const path = join(await temporaryFolder(), 'lock');
    await plant(path, { host: 'elsewhere' });
    await expect(take(path)).rejects.toMatchObject({ holder: { host: 'elsewhere' } });
  });

  test('clears what was left beside it, and writes through no link', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'work', 'lock');
    await plant(path, { pid: 2 ** 22 + 1 });
    await plant(`${path}.4194305`, { pid: 2 ** 22 + 1 });
    await writeFile(join(folder, 'precious'), 'precious');
    for (let at = 0; at < 100; at += 1) await symlink(join(folder, 'precious'), `${path}.${process.pid}.${at}`);
    {
      await using _lock = await take(path);
      expect(await readdir(join(folder, 'work'))).toEqual(['lock']);
    }
    expect(await readFile(join(folder, 'precious'), 'utf8')).toBe('precious');
  });
});
