import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';

/**
 * One writer at a time on a medium. The lock is a file with the writer's host, boot and process: a stick that was pulled
 * out while it was written carries the lock of a process that is gone, and the next writer takes it over.
 */
interface Holder {
  readonly host: string;
  /** /proc/sys/kernel/random/boot_id: after a restart no process of before is alive. */
  readonly boot: string;
  readonly pid: number;
}

/** @throws AdapterError MEDIUM_BUSY when a live process of this machine holds the lock. */
export async function lockMedium(path: string, describe: string): Promise<AsyncDisposable> {
  const mine: Holder = { host: hostname(), boot: await bootId(), pid: process.pid };
  const candidate = `${path}.${process.pid}`;
  await writeFile(candidate, JSON.stringify(mine)).catch((cause) => {
    throw fileError(cause, candidate, 'write');
  });
  try {
    // Three tries: a holder that is gone is cleared in between, and somebody may be quicker than us.
    for (let attempt = 0; attempt < 3; attempt++) {
      if (await linkOnce(candidate, path)) return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
      const holder = await readHolder(path);
      if (holder !== undefined && isAlive(holder, mine)) {
        throw new AdapterError('MEDIUM_BUSY', `${describe} is being written by process ${holder.pid}`, {
          at: { file: path },
          hint: 'Wait until that process is done, or end it, then run the command again.',
        });
      }
      await rm(path, { force: true });
    }
    throw new AdapterError('MEDIUM_BUSY', `${describe} is being written by another process`, { at: { file: path } });
  } finally {
    await rm(candidate, { force: true });
  }
}

/** FAT knows no hard links; an exclusive create does there, at the price of a lock that may be empty for a moment. */
async function linkOnce(candidate: string, path: string): Promise<boolean> {
  try {
    await link(candidate, path);
    return true;
  } catch (cause) {
    if (!isErrno(cause)) throw cause;
    if (cause.code === 'EEXIST') return false;
    if (cause.code !== 'EPERM' && cause.code !== 'ENOTSUP' && cause.code !== 'ENOSYS') throw fileError(cause, path, 'write');
  }
  try {
    await writeFile(path, await readFile(candidate), { flag: 'wx' });
    return true;
  } catch (cause) {
    if (isErrno(cause) && cause.code === 'EEXIST') return false;
    throw fileError(cause, path, 'write');
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    const { host, boot, pid } = (value ?? {}) as Partial<Holder>;
    return typeof host === 'string' && typeof boot === 'string' && Number.isSafeInteger(pid) && (pid as number) > 0
      ? { host, boot, pid: pid as number }
      : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder, mine: Holder): boolean {
  if (holder.host !== mine.host || holder.boot !== mine.boot) return false;
  if (holder.pid === mine.pid) return true;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (cause) {
    return isErrno(cause) && cause.code === 'EPERM';
  }
}

async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim();
}
