import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, open, opendir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { UnpackTarget } from '../../ports/unpack-target.ts';
import { AdapterError } from '../errors.ts';
import { syncFolder, temporaryName } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';

/**
 * @throws AdapterError TARGET_NOT_EMPTY when the folder exists with anything in it; FILE_UNWRITABLE, NO_SPACE, READ_ONLY.
 */
export async function createUnpackFolder(path: string): Promise<UnpackTarget> {
  const folder = resolve(path);
  await assertFree(folder);
  const work = temporaryName(folder);
  await writing(work, () => mkdir(work));
  let committed = false;

  const inside = (relative: string) => join(work, relative);
  async function prepare(relative: string): Promise<string> {
    const full = inside(relative);
    await writing(full, () => mkdir(dirname(full), { recursive: true }));
    return full;
  }
  async function create(relative: string, write: (file: Awaited<ReturnType<typeof open>>) => Promise<unknown>) {
    const full = await prepare(relative);
    await writing(full, async () => {
      await using file = await open(full, 'wx');
      await write(file);
    });
    return full;
  }
  return {
    createFile: (relative, sizeBytes) => create(relative, (file) => file.truncate(sizeBytes)),
    async writeFile(relative, bytes) {
      await create(relative, (file) => file.writeFile(bytes));
    },
    async copyFile(from, to) {
      const full = await prepare(to);
      await writing(full, () => copyFile(inside(from), full, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE));
    },
    setMode: (relative, mode) => writing(inside(relative), () => chmod(inside(relative), mode)),
    async freeBytes() {
      const facts = await statfs(work);
      return facts.bavail * facts.bsize;
    },
    async commit() {
      await syncTree(work);
      // An empty folder of that name is replaced; one that was filled meanwhile is not.
      await writing(folder, () => rename(work, folder));
      committed = true;
      await syncFolder(dirname(folder));
    },
    async discard() {
      if (!committed) await rm(work, { recursive: true, force: true });
    },
  };
}

async function assertFree(folder: string): Promise<void> {
  const names = await readdir(folder).catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return [];
    throw fileError(cause, folder, 'write');
  });
  if (names.length === 0) return;
  throw new AdapterError('TARGET_NOT_EMPTY', `${folder} is not empty`, {
    at: { file: folder },
    hint: 'Name a new or an empty folder. Nothing was written.',
  });
}

/** Everything below a folder, made durable: files first, then the names. */
async function syncTree(folder: string): Promise<void> {
  for await (const entry of await opendir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else {
      await writing(path, async () => {
        await using file = await open(path, 'r');
        await file.datasync();
      });
    }
  }
  await syncFolder(folder);
}

async function writing<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (isErrno(cause) && (cause.code === 'ENOTEMPTY' || cause.code === 'EEXIST')) {
      throw new AdapterError('TARGET_NOT_EMPTY', `${path} was created by somebody else meanwhile`, { cause, at: { file: path } });
    }
    throw fileError(cause, path, 'write');
  }
}
