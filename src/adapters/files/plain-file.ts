import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from './file-error.ts';

/** What lies under a name, links not followed; `undefined` when nothing does. */
export async function statPlain(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (cause) {
    if (isErrno(cause) && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')) return undefined;
    throw fileError(cause, path, 'read');
  }
}

/**
 * Opens a plain file to be read, in a place that is not ours to trust: a symbolic link is not followed (it could lead to any
 * file of this machine) unless that is asked for, a named pipe or a device not waited for. `flags` are added to those of open(2).
 *
 * @throws AdapterError FILE_UNREADABLE when it is something else; the system's errors as they are
 */
export async function openPlain(
  path: string,
  flags = 0,
  { followLinks = false }: { readonly followLinks?: boolean } = {},
): Promise<{ readonly file: FileHandle; readonly sizeBytes: number }> {
  let file: FileHandle;
  try {
    const noFollow = followLinks ? 0 : constants.O_NOFOLLOW;
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | noFollow | flags);
  } catch (cause) {
    // A socket answers ENXIO.
    if (isErrno(cause) && (cause.code === 'ELOOP' || cause.code === 'ENXIO')) throw notPlain(path, cause);
    throw cause;
  }
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw notPlain(path);
    return { file, sizeBytes: facts.size };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function notPlain(path: string, cause?: Error): AdapterError {
  return new AdapterError('FILE_UNREADABLE', `${path} is not a plain file`, {
    ...(cause === undefined ? {} : { cause }),
    expected: 'a file',
    found: 'a symbolic link, a folder, a pipe or a device',
    at: { file: path },
    hint: 'A medium holds plain files and folders alone: copy it again from where it came from.',
  });
}
