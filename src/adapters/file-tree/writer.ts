import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, opendir, rename, rm, symlink } from 'node:fs/promises';
import type { FileTreeWriter, NewFile, WritableFolder } from '../../ports/file-tree.ts';
import { AdapterError } from '../errors.ts';
import { isTemporaryName, temporaryName } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { factsOf } from './file-facts.ts';
import { markLink, markOpen, markSpecial } from './marks.ts';
import { FOLDER_FLAGS, openFileIn, openFolderIn, pathIn, pathOf, placeIn, targetIn } from './open-names.ts';
import { readAccounts } from './owners.ts';
import { readableFile } from './readable-file.ts';
import { makeSpecial, syncFileSystem } from './special-files.ts';

/** Of temporary names: short, whatever the file is called. */
const PREFIX = '.portolan.';
const OWN_FOLDER_MODE = 0o700;
const NEW_FILE_MODE = 0o600;

/** `effectiveUid` as the process has it; 0 may give files away. */
export function createFileTreeWriter({ effectiveUid }: { readonly effectiveUid: number }): FileTreeWriter {
  return {
    isPrivileged: effectiveUid === 0,
    openRoot: (path) =>
      writing(path, async () => {
        await mkdir(path).catch(unlessThere);
        return writableFolder(await open(path, FOLDER_FLAGS), path);
      }),
    async ids() {
      const [users, groups] = [await readAccounts('/etc/passwd'), await readAccounts('/etc/group')];
      return { user: (name) => users.byName.get(name), group: (name) => groups.byName.get(name) };
    },
  };
}

function writableFolder(handle: FileHandle, place: string): WritableFolder {
  const at = (name: Buffer) => pathIn(handle, name);
  const put = async <T>(name: Buffer, make: (temporary: Buffer) => Promise<T>): Promise<T> => {
    const temporary = at(temporaryBytes());
    try {
      return await writing(placeIn(place, name), async () => {
        const made = await make(temporary);
        await rename(temporary, at(name)).catch((cause) => refuseFolder(cause, placeIn(place, name)));
        return made;
      });
    } finally {
      // After a rename there is nothing; nor after one of two names of one file, which renames nothing.
      await rm(temporary, { force: true }).catch(() => {});
    }
  };
  return {
    place,
    pathOf: at,
    async list(most) {
      const names: Buffer[] = [];
      await using folder = await opendir(pathOf(handle), { encoding: 'buffer' as BufferEncoding });
      for await (const { name } of folder) {
        names.push(name as unknown as Buffer);
        if (names.length === most) break;
      }
      return names;
    },
    async look(name) {
      try {
        return factsOf(await lstat(at(name), { bigint: true }));
      } catch (cause) {
        if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
        throw fileError(cause, placeIn(place, name), 'read');
      }
    },
    async enter(name) {
      const path = placeIn(place, name);
      return await writing(path, async () => {
        await mkdir(at(name), OWN_FOLDER_MODE).catch(unlessThere);
        const child = await openFolderIn(handle, name, path);
        if (child === undefined) throw inTheWay(path, 'a folder', 'a file or a link');
        // One that was finished before may be closed to its owner.
        const { mode } = await child.stat();
        if ((mode & OWN_FOLDER_MODE) !== OWN_FOLDER_MODE) await child.chmod((mode & 0o7777) | OWN_FOLDER_MODE);
        return writableFolder(child, path);
      });
    },
    async open(name) {
      const opened = await openFileIn(handle, name, placeIn(place, name));
      return opened === undefined ? undefined : readableFile(opened.file, opened.facts, placeIn(place, name));
    },
    target: (name) => targetIn(handle, name, placeIn(place, name)),
    create: (sizeBytes) => writing(place, () => newFile(handle, place, sizeBytes)),
    symlink: (name, target, marks) =>
      put(name, async (temporary) => {
        await symlink(target, temporary);
        return await markLink(temporary, marks);
      }),
    link: (name, from) => put(name, (temporary) => link(Buffer.from(from.folder.pathOf(from.name)), temporary)),
    async special(name, node, marks) {
      const made = temporaryBytes();
      try {
        if (!(await makeSpecial(handle, made, node))) return 'refused';
        return await put(name, async (temporary) => {
          await rename(at(made), temporary);
          return await markSpecial(temporary, marks);
        });
      } finally {
        await rm(at(made), { force: true }).catch(() => {});
      }
    },
    mark: (name, marks) =>
      writing(placeIn(place, name), async () => {
        const stats = await lstat(at(name));
        if (stats.isSymbolicLink()) return await markLink(at(name), marks);
        if (!stats.isFile()) return await markSpecial(at(name), marks);
        await using file = await open(at(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
        return await markOpen(file, marks);
      }),
    markSelf: (marks) => writing(place, () => markOpen(handle, marks)),
    sync: () => syncFileSystem(handle),
    remove: (name) => writing(placeIn(place, name), () => rm(at(name), { force: true })),
    async clear() {
      await writing(place, async () => {
        for await (const { name } of await opendir(pathOf(handle))) {
          if (name.startsWith(PREFIX) && isTemporaryName(name)) await rm(at(Buffer.from(name)), { force: true });
        }
      });
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

async function newFile(folder: FileHandle, place: string, sizeBytes: number): Promise<NewFile> {
  const temporary = pathIn(folder, temporaryBytes());
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(temporary, flags, NEW_FILE_MODE);
  let isOver = false;
  const discard = async () => {
    if (isOver) return;
    isOver = true;
    await file.close();
    await rm(temporary, { force: true });
  };
  try {
    if (sizeBytes > 0) await file.truncate(sizeBytes);
  } catch (cause) {
    await discard();
    throw cause;
  }
  return {
    path: temporary.toString(),
    write: (bytes, offsetBytes) =>
      writing(place, async () => {
        for (let done = 0; done < bytes.length; ) {
          const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offsetBytes + done);
          done += bytesWritten;
        }
      }),
    commit: (name, marks) =>
      writing(placeIn(place, name), async () => {
        const refused = await markOpen(file, marks);
        await rename(temporary, pathIn(folder, name)).catch((cause) => refuseFolder(cause, placeIn(place, name)));
        isOver = true;
        await file.close();
        return refused;
      }),
    discard,
  };
}

function temporaryBytes(): Buffer {
  return Buffer.from(temporaryName(PREFIX.slice(1, -1)));
}

async function writing<T>(place: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw fileError(cause, place, 'write');
  }
}

function unlessThere(cause: unknown): void {
  if (!isErrno(cause) || cause.code !== 'EEXIST') throw cause;
}

function refuseFolder(cause: unknown, place: string): never {
  if (isErrno(cause) && (cause.code === 'EISDIR' || cause.code === 'ENOTEMPTY' || cause.code === 'EEXIST')) {
    throw inTheWay(place, 'a file', 'a folder');
  }
  throw cause;
}

function inTheWay(place: string, expected: string, found: string): AdapterError {
  return new AdapterError('FILE_EXISTS', `${place} is in the way`, {
    at: { file: place },
    expected,
    found,
    hint: 'Nothing is written through a link, and no folder is removed: clear it away, or restore into another folder.',
  });
}
