import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { clearTemporary, syncFolder } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { lockTargetFolder, makeFolder } from '../images/target-folder.ts';
import { ARCHIVE_PREFIX, isArchiveName } from './archive-writer.ts';
import { openArchive, type StoredArchive } from './stored-archive.ts';

/** All whole archives of ours, open. Others in the folder are not looked at. */
export async function openArchives(folder: string): Promise<readonly StoredArchive[] & AsyncDisposable> {
  const names = await readdir(folder).catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return [];
    throw fileError(cause, folder, 'read');
  });
  const archives: StoredArchive[] = [];
  const close = async () => {
    for (const archive of archives) await archive[Symbol.asyncDispose]();
  };
  try {
    for (const name of names.filter(isArchiveName).sort()) {
      const archive = await openArchive(join(folder, name));
      if (archive !== undefined) archives.push(archive);
    }
  } catch (cause) {
    await close();
    throw cause;
  }
  return Object.assign(archives, { [Symbol.asyncDispose]: close });
}

/**
 * Takes the folder for writing and clears what a writer left that was killed. The lock lies where k3s finds no archive.
 *
 * @throws AdapterError TARGET_BUSY, NO_SPACE, READ_ONLY, FILE_UNWRITABLE
 */
export async function lockFolder(
  folder: string,
  options: { readonly createParents: boolean },
): Promise<AsyncDisposable> {
  await makeFolder(folder, options);
  return lockTargetFolder(folder, () => clearTemporary(folder, ARCHIVE_PREFIX));
}

/** Removes an archive, durably. What k3s imported from it stays. */
export async function removeArchive(folder: string, path: string): Promise<void> {
  await rm(path, { force: true }).catch((cause) => {
    throw fileError(cause, path, 'write');
  });
  await syncFolder(folder);
}
