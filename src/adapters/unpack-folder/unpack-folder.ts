import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  open,
  opendir,
  readdir,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { UnpackTarget } from '../../ports/unpack-target.ts';
import { AdapterError } from '../errors.ts';
import { syncFolder } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { lockByProcess } from '../files/process-lock.ts';

const NO_MODES = new Set(['EPERM', 'ENOTSUP', 'ENOSYS']);

/**
 * A folder that gets its name only when everything in it is durable. Until then it grows beside it, in `.NAME.portolan`;
 * what a process left there that was killed is cleared by the next one that unpacks to the same name.
 *
 * @throws AdapterError TARGET_NOT_EMPTY when the folder exists with anything in it; TARGET_BUSY, FILE_UNWRITABLE, NO_SPACE, READ_ONLY.
 */
export async function createUnpackFolder(path: string): Promise<UnpackTarget> {
  // The name of an empty folder may be a link to it: what is put in place is the folder.
  const folder = await realpath(resolve(path)).catch(() => resolve(path));
  await assertFree(folder);
  const work = join(dirname(folder), `.${basename(folder)}.portolan`);
  const content = join(work, 'content');
  await writing(work, () => makeFolder(work));
  const lock = await lockByProcess(join(work, 'lock'), () => targetBusy(folder));
  let committed = false;
  const leave = async () => {
    await rm(content, { recursive: true, force: true });
    await lock[Symbol.asyncDispose]();
    // Another process may hold it by now.
    await rmdir(work).catch(() => {});
  };
  try {
    await writing(content, () => rm(content, { recursive: true, force: true }));
    await writing(content, () => mkdir(content));
  } catch (error) {
    await leave();
    throw error;
  }

  const inside = (relative: string) => join(content, relative);
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
    setMode: (relative, mode) =>
      writing(inside(relative), async () => {
        await chmod(inside(relative), mode).catch((cause) => {
          // The file is our own: a file system that refuses, such as FAT, has no permissions.
          if (!isErrno(cause) || !NO_MODES.has(cause.code)) throw cause;
        });
      }),
    async freeBytes() {
      const facts = await statfs(content);
      return facts.bavail * facts.bsize;
    },
    async commit() {
      await syncTree(content);
      // An empty folder of that name is replaced; one that was filled meanwhile is not.
      await writing(folder, () => rename(content, folder));
      committed = true;
      await syncFolder(dirname(folder));
      await leave();
    },
    async discard() {
      if (!committed) await leave();
    },
  };
}

/** Not recursively: a mistyped path must not become a tree of folders. */
async function makeFolder(path: string): Promise<void> {
  await mkdir(path).catch((cause) => {
    if (!isErrno(cause) || cause.code !== 'EEXIST') throw cause;
  });
  // In a folder that others may write to, somebody could have been here first.
  const facts = await lstat(path);
  if (facts.isDirectory() && facts.uid === process.geteuid?.()) return;
  throw new AdapterError('FILE_UNWRITABLE', `${path} is somebody else's`, {
    at: { file: path },
    hint: 'Unpack into a folder of your own, or have it removed. Nothing was written.',
  });
}

async function assertFree(folder: string): Promise<void> {
  const names = await readdir(folder).catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
    throw fileError(cause, folder, 'write');
  });
  if (names === undefined) return;
  if (names.length > 0) {
    throw new AdapterError('TARGET_NOT_EMPTY', `${folder} is not empty`, {
      at: { file: folder },
      hint: 'Name a new or an empty folder. Nothing was written.',
    });
  }
  const [own, parent] = await Promise.all([stat(folder), stat(dirname(folder))]);
  if (own.dev === parent.dev) return;
  // A folder is put in place by a rename, and no rename replaces a mounted disk.
  throw new AdapterError('FILE_UNWRITABLE', `${folder} is where a disk is mounted`, {
    at: { file: folder },
    hint: `Name a folder on that disk, such as ${join(folder, 'opened')}. Nothing was written.`,
  });
}

function targetBusy(folder: string): AdapterError {
  return new AdapterError('TARGET_BUSY', `Another process is unpacking into ${folder}`, {
    at: { file: folder },
    hint: 'Wait until it is done, or name another folder. Nothing was written.',
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
      throw new AdapterError('TARGET_NOT_EMPTY', `${path} was created by somebody else meanwhile`, {
        cause,
        at: { file: path },
        hint: 'Name a new or an empty folder.',
      });
    }
    throw fileError(cause, path, 'write');
  }
}
