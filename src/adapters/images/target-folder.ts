import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { lockByProcess } from '../files/process-lock.ts';

/**
 * Takes a folder for writing images into it, then has it prepared. The lock lies where no reader of the folder looks.
 *
 * @throws AdapterError TARGET_BUSY, NO_SPACE, READ_ONLY, FILE_UNWRITABLE; what `prepare` raises
 */
export async function lockTargetFolder(folder: string, prepare: () => Promise<void>): Promise<AsyncDisposable> {
  const work = join(folder, '.portolan');
  const lock = await lockByProcess(join(work, 'lock'), () => targetBusy(folder));
  const leave = async () => {
    await lock[Symbol.asyncDispose]();
    // Another process may hold it by now.
    await rmdir(work).catch(() => {});
  };
  try {
    await prepare();
  } catch (cause) {
    await leave();
    throw fileError(cause, folder, 'write');
  }
  return { [Symbol.asyncDispose]: leave };
}

/** Without `createParents` a mistyped path does not become a tree of folders. */
export async function makeFolder(path: string, options: { readonly createParents?: boolean } = {}): Promise<void> {
  await mkdir(path, { recursive: options.createParents === true }).catch((cause) => {
    if (!isErrno(cause) || cause.code !== 'EEXIST') throw fileError(cause, path, 'write');
  });
}

function targetBusy(folder: string): AdapterError {
  return new AdapterError('TARGET_BUSY', `Another process is writing into ${folder}`, {
    at: { file: folder },
    hint: 'Wait until it is done, then run the command again. Nothing was written.',
  });
}
