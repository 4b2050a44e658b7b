import { link, mkdir, open, readdir, readFile, readlink, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileError, isErrno } from './file-error.ts';
import { readSmallFile } from './small-file.ts';

/**
 * A lock that one process holds: a file with its host, boot, number and start. The lock of a process that is gone is taken
 * over: a stick may be pulled out while it is written, and a program killed.
 */
export interface Holder {
  readonly host: string;
  /** /proc/sys/kernel/random/boot_id: after a restart no process of before is alive. */
  readonly boot: string;
  readonly pid: number;
  /** When the process started, in ticks since boot: its number may be another one's by now. */
  readonly started: string;
  /** /proc/self/ns/pid: two containers of one machine may have the same host name, and numbers of their own. */
  readonly numbering?: string;
}

/** The holder touches its lock this often. */
const TOUCH_MS = 10_000;
/** Another machine's lock that was not touched for this long is nobody's. This machine's processes are asked directly. */
const SILENT_MS = 60_000;
const TRIES = 10;
const MAX_BYTES = 4096;

/** Of this process, so that each has a name of its own. */
let candidates = 0;
const EMPTY_TRIES = 20;
const EMPTY_WAIT_MS = 50;

/**
 * Takes the lock, or throws what `busy` makes of its holder.
 *
 * @throws AdapterError NO_SPACE, READ_ONLY, FILE_UNWRITABLE
 */
export async function lockByProcess(
  path: string,
  busy: (holder: Holder | undefined) => Error,
): Promise<AsyncDisposable> {
  const mine = await thisProcess();
  const candidate = `${path}.${mine.pid}.${candidates++}`;
  let taken = false;
  try {
    await writeCandidate(candidate, JSON.stringify(mine));
    // A holder that is gone is cleared in between, and somebody may be quicker than us.
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (await linkOnce(candidate, path)) {
        await clearCandidates(path, candidate, mine);
        taken = true;
        return held(path, mine);
      }
      const holder = await readHolder(path);
      if (holder !== undefined && (await isAlive(holder, path, candidate, mine))) throw busy(holder);
      await removeStale(path, candidate, mine);
    }
    throw busy(undefined);
  } finally {
    await rm(candidate, { recursive: true, force: true }).catch(() => {});
    // On a full disk nothing stays behind, an empty folder neither. It stays when another one is at work in it.
    if (!taken) await rmdir(dirname(path)).catch(() => {});
  }
}

/** What processes left here that were killed while they tried to take the lock. */
async function clearCandidates(path: string, own: string, mine: Holder): Promise<void> {
  for (const name of await readdir(dirname(path))) {
    const other = join(dirname(path), name);
    if (!name.startsWith(`${basename(path)}.`) || other === own) continue;
    if (!(await isHeld(other, own, mine))) await rm(other, { recursive: true, force: true });
  }
}

/** The folder is created as well; another holder may remove it when it leaves, just then. */
async function writeCandidate(candidate: string, text: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      // Not recursively: on a read-only file system Node says ENOENT then.
      await mkdir(dirname(candidate)).catch((cause) => {
        if (!isErrno(cause) || cause.code !== 'EEXIST') throw cause;
      });
      // Whatever lies there under our name: it is replaced, and never written through.
      await rm(candidate, { recursive: true, force: true });
      await writeFile(candidate, text, { flag: 'wx' });
      return;
    } catch (cause) {
      if (isErrno(cause) && cause.code === 'ENOENT' && attempt < TRIES) continue;
      throw fileError(cause, candidate, 'write');
    }
  }
}

function held(path: string, mine: Holder): AsyncDisposable {
  const timer = setInterval(() => {
    touch(path, mine).catch(() => {});
  }, TOUCH_MS).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      const holder = await readHolder(path);
      if (holder?.pid === mine.pid && holder.started === mine.started) await rm(path, { force: true });
    },
  };
}

/** Writes the same again: the file system's own clock sets the time. */
async function touch(path: string, mine: Holder): Promise<void> {
  await using file = await open(path, 'r+');
  await file.write(JSON.stringify(mine), 0);
}

/** FAT knows no hard links; an exclusive create does there, at the price of a lock that is empty for a moment. */
async function linkOnce(candidate: string, path: string): Promise<boolean> {
  try {
    await link(candidate, path);
    return true;
  } catch (cause) {
    if (!isErrno(cause)) throw cause;
    if (cause.code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(cause.code)) throw fileError(cause, path, 'write');
  }
  try {
    await writeFile(path, await readFile(candidate), { flag: 'wx' });
    return true;
  } catch (cause) {
    if (isErrno(cause) && cause.code === 'EEXIST') return false;
    // Created, and then there was no space for what belongs in it.
    if (isErrno(cause) && ['ENOSPC', 'EDQUOT', 'EIO'].includes(cause.code))
      await rm(path, { force: true }).catch(() => {});
    throw fileError(cause, path, 'write');
  }
}

/**
 * Removes the lock of a holder that is gone. Who removes holds a second lock meanwhile: of two that found the same stale lock
 * the slower one would else remove the fresh lock of the quicker.
 */
async function removeStale(path: string, candidate: string, mine: Holder): Promise<void> {
  const guard = `${path}.takeover`;
  if (!(await linkOnce(candidate, guard))) {
    if (!(await isHeld(guard, candidate, mine))) await rm(guard, { recursive: true, force: true });
    await sleep(EMPTY_WAIT_MS);
    return;
  }
  try {
    if (!(await isHeld(path, candidate, mine))) await rm(path, { recursive: true, force: true });
  } finally {
    await rm(guard, { force: true });
  }
}

async function isHeld(path: string, candidate: string, mine: Holder): Promise<boolean> {
  const holder = await readHolder(path);
  return holder !== undefined && (await isAlive(holder, path, candidate, mine));
}

export async function readHolder(path: string): Promise<Holder | undefined> {
  for (let attempt = 0; attempt < EMPTY_TRIES; attempt++) {
    const bytes = await readSmallFile(path, MAX_BYTES).catch(() => undefined);
    if (bytes === undefined) return undefined;
    if (bytes.length > 0) return parseHolder(new TextDecoder().decode(bytes));
    await sleep(EMPTY_WAIT_MS);
  }
  return undefined;
}

export function parseHolder(text: string): Holder | undefined {
  try {
    const { host, boot, pid, started, numbering } = (JSON.parse(text) ?? {}) as Partial<Holder>;
    const isWhole = typeof host === 'string' && typeof boot === 'string' && typeof started === 'string';
    return isWhole && Number.isSafeInteger(pid) && (pid as number) > 0
      ? { host, boot, pid: pid as number, started, ...(typeof numbering === 'string' ? { numbering } : {}) }
      : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(holder: Holder, path: string, candidate: string, mine: Holder): Promise<boolean> {
  if (!isSameMachine(holder, mine)) return isTouched(path, candidate);
  return !(await isGone(holder, mine));
}

function isSameMachine(holder: Holder, mine: Holder): boolean {
  const isSameNumbering = holder.numbering === undefined || holder.numbering === mine.numbering;
  return holder.host === mine.host && holder.boot === mine.boot && isSameNumbering;
}

/** True only where it is certain: the same machine since the same start, and no such process on it. */
export async function isGone(holder: Holder, mine: Holder): Promise<boolean> {
  if (!isSameMachine(holder, mine)) return false;
  return (await startOf(holder.pid)) !== holder.started || !isRunning(holder.pid);
}

/** Another machine on a shared folder, or another container: only what it writes tells. Both times are of one file system. */
async function isTouched(path: string, candidate: string): Promise<boolean> {
  const [theirs, ours] = await Promise.all([path, candidate].map((one) => stat(one).catch(() => undefined)));
  return (
    theirs !== undefined &&
    ours !== undefined &&
    path !== candidate &&
    Math.abs(ours.mtimeMs - theirs.mtimeMs) < SILENT_MS
  );
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return isErrno(cause) && cause.code === 'EPERM';
  }
}

export async function thisProcess(): Promise<Holder> {
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim();
  const numbering = await readlink('/proc/self/ns/pid').catch(() => '');
  return { host: hostname(), boot, pid: process.pid, started: await startOf(process.pid), numbering };
}

/**
 * Fields 3 and 22 of /proc/PID/stat (proc_pid_stat(5)); the name in field 2 may hold blanks and brackets. A process that
 * has ended and waits for its parent (Z, X) has no start any more. Empty without /proc.
 */
async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return 'ended';
  return fields[19] ?? '';
}
