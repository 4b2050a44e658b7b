import { randomBytes } from 'node:crypto';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileError } from './file-error.ts';

/**
 * Writes that survive a power cut: temporary name, fsync, rename, fsync of the folder. A reader sees the former content
 * or the new one, never a part.
 */

const TEMPORARY = /^\..+\.[0-9a-f]{16}\.tmp$/;

/** A fresh name beside `path`, on the same file system so that a rename is atomic. It starts with a dot and ends in `.tmp`. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
}

/** Whether a file's name (without its folder) was made by {@link temporaryName}: garbage when no process works there. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

/** Removes what killed writers left in a folder, of those whose files' names begin so. Only with the folder's lock held. */
export async function clearTemporary(folder: string, prefix = ''): Promise<void> {
  for (const name of await readdir(folder)) {
    if (isTemporaryName(name) && name.startsWith(`.${prefix}`)) await rm(join(folder, name), { force: true });
  }
}

/**
 * Writes a file durably, replacing what was there. `mode` is what the file gets before the umask; 0o644 by default.
 * `beforeRename` is given the temporary name once the file is synced; what it throws keeps the file from its name.
 * Raises AdapterError NO_SPACE, READ_ONLY or FILE_UNWRITABLE; then nothing is left behind and the former file is as it was.
 */
export async function writeFileDurable(
  path: string,
  bytes: Uint8Array | string,
  options: { readonly mode?: number; readonly beforeRename?: (temporary: string) => Promise<void> } = {},
): Promise<void> {
  const temporary = temporaryName(path);
  try {
    // `wx`: never through a symbolic link that somebody put there.
    const file = await open(temporary, 'wx', options.mode ?? 0o644);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await options.beforeRename?.(temporary);
    await renameDurable(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(cause, path, 'write');
  }
}

/** Renames, replacing `to`, and makes the new name durable. Both must lie on one file system. */
export async function renameDurable(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (cause) {
    throw fileError(cause, to, 'write');
  }
  await syncFolder(dirname(to));
}

/** Makes the names in a folder durable. A file system that cannot sync a folder (some FUSE and network ones) is let pass. */
export async function syncFolder(folder: string): Promise<void> {
  let handle: Awaited<ReturnType<typeof open>> | undefined;
  try {
    handle = await open(folder, 'r');
    await handle.sync();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EINVAL' || code === 'ENOTSUP' || code === 'ENOSYS' || code === 'EPERM' || code === 'EISDIR') return;
    throw fileError(cause, folder, 'write');
  } finally {
    await handle?.close();
  }
}
