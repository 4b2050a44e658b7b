import { createHash, type Hash } from 'node:crypto';
import { constants, readFileSync, readlinkSync } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Digest, hexOf } from '../../core/digest.ts';

/**
 * An unfinished blob on disk: `<hex>.<owner>-<pid>-<n>.partial`, where <owner> names the machine, its boot and the process
 * namespace. A live transfer alone writes its own file, so two processes at once never share one; what a dead one left is
 * taken over by renaming it, which only one can do. A partial from another machine, boot or container is left alone until
 * nothing has written it for a day.
 */
export interface PartialFile {
  readonly path: string;
  readonly file: FileHandle;
  /** Bytes that lie there already; `hash` has seen them. */
  readonly sizeBytes: number;
  readonly hash: Hash;
  /** Closes the file; it stays on disk for the next attempt, unless it is removed or renamed. */
  close(): Promise<void>;
}

const NAME = /^([0-9a-f]{64})\.([0-9a-f]{8})-([0-9]{1,10})-[0-9]{1,10}\.partial$/;
const ABANDONED_MS = 24 * 60 * 60 * 1000;
const READ_BYTES = 1024 * 1024;

/** The partial files that this process is writing. */
const active = new Set<string>();
let opened = 0;

/**
 * Opens a partial file of a blob, going on with what an earlier attempt left. With `fresh`, it starts at zero.
 * What is longer than the blob is cut to nothing.
 */
export async function openPartial(
  folder: string,
  digest: Digest,
  sizeBytes: number,
  options: { readonly fresh?: boolean; readonly signal?: AbortSignal } = {},
): Promise<PartialFile> {
  const path = join(folder, `${hexOf(digest)}.${owner()}-${process.pid}-${opened++}.partial`);
  active.add(path);
  try {
    if (!options.fresh) await takeOver(folder, digest, path);
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const close = async (): Promise<void> => {
      active.delete(path);
      await file.close();
    };
    try {
      const hash = createHash('sha256');
      let found = (await file.stat()).size;
      if (found > sizeBytes) {
        await file.truncate(0);
        found = 0;
      }
      return { path, file, hash, sizeBytes: await rehash(file, found, hash, options.signal), close };
    } catch (cause) {
      await close();
      throw cause;
    }
  } catch (cause) {
    active.delete(path);
    throw cause;
  }
}

/** Removes what earlier attempts left of a blob that is now whole. */
export async function removePartials(folder: string, digest: Digest): Promise<void> {
  for (const candidate of await abandoned(folder, digest)) await rm(candidate, { force: true });
}

async function rehash(file: FileHandle, sizeBytes: number, hash: Hash, signal?: AbortSignal): Promise<number> {
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(sizeBytes, 1)));
  let position = 0;
  while (position < sizeBytes) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, sizeBytes - position), position);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return position;
}

async function takeOver(folder: string, digest: Digest, path: string): Promise<void> {
  for (const candidate of await abandoned(folder, digest)) {
    try {
      await rename(candidate, path);
      return;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause; // Another process was quicker.
    }
  }
}

/** Partials of this blob whose writer is dead, the longest first. */
async function abandoned(folder: string, digest: Digest): Promise<string[]> {
  const found: { path: string; sizeBytes: number; changedMs: number; local: boolean; pid: number }[] = [];
  for (const name of await readdir(folder)) {
    const match = NAME.exec(name);
    if (match?.[1] !== hexOf(digest)) continue;
    const path = join(folder, name);
    const info = await stat(path).catch(() => undefined);
    if (!info?.isFile()) continue;
    const local = match[2] === owner();
    found.push({ path, sizeBytes: info.size, changedMs: info.mtimeMs, local, pid: Number(match[3]) });
  }
  if (found.length === 0) return [];
  const nowMs = await fileSystemTimeMs(folder, digest);
  return found
    .filter((entry) => (entry.local ? !isActive(entry.pid, entry.path) : nowMs - entry.changedMs > ABANDONED_MS))
    .sort((a, b) => b.sizeBytes - a.sizeBytes)
    .map((entry) => entry.path);
}

/** The file system's own clock: the ages of files are measured against nothing else. */
async function fileSystemTimeMs(folder: string, digest: Digest): Promise<number> {
  const probe = join(folder, `.${hexOf(digest)}.${process.pid}.clock`);
  const file = await open(probe, 'w');
  try {
    return (await file.stat()).mtimeMs;
  } finally {
    await file.close();
    await rm(probe, { force: true });
  }
}

function isActive(pid: number, path: string): boolean {
  if (pid === process.pid) return active.has(path);
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}

let ownerTag: string | undefined;

/** Process ids mean something only within one boot of one machine and one namespace (containers share folders). */
function owner(): string {
  ownerTag ??= createHash('sha256')
    .update([hostname(), attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'))].join('\n'))
    .update(attempt(() => readlinkSync('/proc/self/ns/pid')))
    .digest('hex')
    .slice(0, 8);
  return ownerTag;
}

function attempt(read: () => string): string {
  try {
    return read();
  } catch {
    return ''; // Not Linux: the host's name has to do.
  }
}
