import { createHash, randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pause } from '../../../core/retry.ts';
import { AdapterError } from '../../errors.ts';
import { isErrno } from '../../files/file-error.ts';
import { statPlain } from '../../files/plain-file.ts';
import { type Holder, isGone, lockByProcess, thisProcess } from '../../files/process-lock.ts';

/** Holds what is being written. Its name is no key's. */
const WORK_FOLDER = '.tmp';

/** `<machine 16 hex>.<pid>.<start>.<random 16 hex>`: whose it is, so that a killed process's is known for one. */
const NAME = /^([0-9a-f]{16})\.(\d{1,10})\.(\w{0,32})\.[0-9a-f]{16}$/;
/** Guards of names, and what a process leaves that is killed while it takes one. */
const GUARD_NAME = /^[0-9a-f]{32}\.lock/;
/** Another machine's file that is older is nobody's: no object is written for so long. */
const SILENT_MS = 24 * 3_600_000;
const SLICE_BYTES = 1 << 20;
/** How long one waits for another process that is about to name the same object: it only has a rename to do. */
const GUARD_TIMEOUT_MS = 30_000;
const GUARD_PAUSE_MS = 20;
const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK']);

export interface WorkFiles {
  /** A new file with these bytes, synced. */
  write(bytes: Uint8Array, signal?: AbortSignal): Promise<string>;
  /** Gives a written file its name, unless that is taken. Of several that race, in any process, one has it. */
  claim(temporary: string, path: string, signal?: AbortSignal): Promise<boolean>;
  /** The file system's clock. */
  now(): Promise<Date>;
}

/** Creates the folder where it is missing, and clears what killed processes left in it. */
export async function openWorkFiles(root: string): Promise<WorkFiles> {
  const folder = join(root, WORK_FOLDER);
  await mkdir(folder).catch((cause) => {
    if (!isErrno(cause) || cause.code !== 'EEXIST') throw cause;
  });
  const mine = await thisProcess();
  const owner = `${machineOf(mine)}.${mine.pid}.${mine.started}`;
  const newName = () => join(folder, `${owner}.${randomBytes(8).toString('hex')}`);
  await clearLeftovers(folder, mine, newName());
  return {
    async write(bytes, signal) {
      const path = newName();
      try {
        // Read-only: an object never changes. `wx`: never through a link that somebody put there.
        await using file = await open(path, 'wx', 0o444);
        for (let offset = 0; offset < bytes.length; ) {
          signal?.throwIfAborted();
          const { bytesWritten } = await file.write(bytes, offset, Math.min(SLICE_BYTES, bytes.length - offset));
          offset += bytesWritten;
        }
        await file.sync();
        return path;
      } catch (cause) {
        await rm(path, { force: true }).catch(() => {});
        throw cause;
      }
    },
    claim: (temporary, path, signal) => claim(folder, temporary, path, signal),
    now: () => timeOf(newName()),
  };
}

async function claim(folder: string, temporary: string, path: string, signal?: AbortSignal): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (cause) {
    if (!isErrno(cause)) throw cause;
    if (cause.code === 'EEXIST') return false;
    if (!NO_HARD_LINKS.has(cause.code)) throw cause;
  }
  // FAT knows no hard links, and a rename replaces: whoever holds the guard looks first, and then renames.
  await using _guard = await guardName(folder, path, signal);
  if ((await statPlain(path)) !== undefined) return false;
  await rename(temporary, path);
  return true;
}

async function guardName(folder: string, path: string, signal?: AbortSignal): Promise<AsyncDisposable> {
  const guard = join(folder, `${createHash('sha256').update(path).digest('hex').slice(0, 32)}.lock`);
  const busy = new AdapterError('STORE_BUSY', `${path}: another process is creating it`, {
    hint: 'Run the command again when the other one has ended.',
    at: { file: path },
  });
  const until = performance.now() + GUARD_TIMEOUT_MS;
  for (;;) {
    try {
      return await lockByProcess(guard, () => busy);
    } catch (cause) {
      if (cause !== busy || performance.now() > until) throw cause;
    }
    await pause(GUARD_PAUSE_MS * (1 + Math.random()), signal === undefined ? {} : { signal });
  }
}

async function clearLeftovers(folder: string, mine: Holder, probe: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, machine, pid, started] = NAME.exec(name) ?? [];
    if (machine === undefined && !GUARD_NAME.test(name)) continue;
    const path = join(folder, name);
    // Of a guard, only its age: somebody may be about to take it over.
    const isLeft =
      machine === machineOf(mine)
        ? await isGone({ ...mine, pid: Number(pid), started: started ?? '' }, mine)
        : await isSilent(path, probe);
    if (isLeft) await rm(path, { force: true });
  }
}

/** By the file system's own clock: that of another machine may be wrong. */
async function isSilent(path: string, probe: string): Promise<boolean> {
  const facts = await statPlain(path);
  return facts !== undefined && (await timeOf(probe)).getTime() - facts.mtimeMs > SILENT_MS;
}

/** The file system's clock, by a file that is created and removed. */
async function timeOf(path: string): Promise<Date> {
  try {
    await using file = await open(path, 'wx');
    return (await file.stat()).mtime;
  } finally {
    await rm(path, { force: true });
  }
}

/** What a process's number belongs to. */
function machineOf({ host, boot, numbering }: Holder): string {
  return createHash('sha256')
    .update(JSON.stringify([host, boot, numbering]))
    .digest('hex')
    .slice(0, 16);
}
