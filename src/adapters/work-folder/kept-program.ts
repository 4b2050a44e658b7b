import { access, chmod, constants, copyFile, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { renameDurable, temporaryName } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';

/**
 * Keeps a program that was checked, for later commands of the same user: its folder is this user's alone.
 *
 * @throws AdapterError FILE_UNWRITABLE, NO_SPACE, READ_ONLY
 */
export async function keepProgram(source: string, target: string): Promise<void> {
  const folder = dirname(target);
  const temporary = temporaryName(target);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await copyFile(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await chmod(temporary, 0o700);
    const file = await open(temporary, 'r');
    await file.sync().finally(() => file.close());
    await renameDurable(temporary, target);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(cause, target, 'write');
  }
}

/** The path of a kept program that can be run; `undefined` when there is none. */
export async function findKeptProgram(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    return path;
  } catch (cause) {
    if (isErrno(cause) && (cause.code === 'ENOENT' || cause.code === 'EACCES' || cause.code === 'ENOTDIR'))
      return undefined;
    throw fileError(cause, path, 'read');
  }
}
