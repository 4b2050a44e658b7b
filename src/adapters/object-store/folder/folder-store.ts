import { mkdir, realpath, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { ObjectStore, StoreOptions } from '../../../ports/object-store.ts';
import { syncFolder } from '../../files/durable.ts';
import { statPlain } from '../../files/plain-file.ts';
import { checkObjectKey, checkPrefix } from '../object-key.ts';
import { rangeTarget } from '../range-target.ts';
import { objectMissing, objectShort } from '../store-errors.ts';
import { folderError } from './folder-errors.ts';
import { readInto, readWhole } from './folder-read.ts';
import { entryOf, isMissing, makeFolders, pathOfKey, walkFolder } from './folder-tree.ts';
import { openWorkFiles, type WorkFiles } from './work-files.ts';

/** A folder keeps one version of each object. */
const ONLY_VERSION = 'null';

/**
 * Objects as files of a folder, keys as paths. It promises that nothing is overwritten by this program; whoever may write
 * to the folder may do anything. Works without hard links (FAT) and across processes and machines that share it.
 */
export function createFolderStore(path: string): ObjectStore {
  const folder = resolve(path);
  let opened: Promise<{ readonly root: string; readonly work: WorkFiles }> | undefined;
  /** Folders that this process has created or seen, and synced. */
  const made = new Set<string>();

  const guarded = async <T>(options: StoreOptions | undefined, work: () => Promise<T>): Promise<T> => {
    options?.signal?.throwIfAborted();
    try {
      return await work();
    } catch (cause) {
      throw folderError(cause, folder);
    }
  };
  const toWrite = () => {
    opened ??= openToWrite(folder).catch((cause) => {
      opened = undefined;
      throw cause;
    });
    return opened;
  };
  /** Links in what the person wrote are followed; those inside are not. */
  const toRead = () =>
    realpath(folder).catch((cause) => {
      if (isMissing(cause)) return undefined;
      throw cause;
    });
  const find = async (key: string) => {
    checkObjectKey(key);
    const root = await toRead();
    return root === undefined ? undefined : pathOfKey(root, key);
  };

  const stat: ObjectStore['stat'] = (key, options) =>
    guarded(options, async () => {
      const file = await find(key);
      return file === undefined ? undefined : entryOf(dirnameOfKey(file, key), key);
    });

  return {
    place: path,

    put: (key, bytes, options) =>
      guarded(options, async () => {
        checkObjectKey(key);
        const { root, work } = await toWrite();
        const target = await pathOfKey(root, key);
        if (target !== undefined && (await statPlain(target)) !== undefined) {
          // Whether the one that created it has come to its sync is not known.
          await syncFolder(dirname(target));
          return 'exists';
        }
        const temporary = await work.write(bytes, options?.signal);
        try {
          const name = join(root, key);
          if (!made.has(dirname(name))) {
            await makeFolders(root, key);
            made.add(dirname(name));
          }
          options?.signal?.throwIfAborted();
          const isCreated = await work.claim(temporary, name, options?.signal);
          await syncFolder(dirname(name));
          return isCreated ? 'created' : 'exists';
        } catch (cause) {
          // Somebody removed the folder: another try creates it again.
          if (isMissing(cause)) made.clear();
          throw cause;
        } finally {
          await rm(temporary, { force: true });
        }
      }),

    get: (key, options) =>
      guarded(options, async () => {
        const file = await find(key);
        if (file === undefined) throw objectMissing(path, key);
        return readWhole(path, key, file, options);
      }),

    getRange: (key, range, options = {}) =>
      guarded(options, async () => {
        const into = rangeTarget(range, options.into);
        checkObjectKey(key);
        if (into.length === 0) return into;
        const file = await find(key);
        const isOther = options.version !== undefined && options.version !== ONLY_VERSION;
        if (file === undefined || isOther) throw objectMissing(path, key);
        const read = await readInto(path, key, file, into, range.offsetBytes, options);
        if (read < into.length) throw objectShort(path, key, into.length, read);
        return into;
      }),

    stat,

    async *list(prefix, options = {}) {
      checkPrefix(prefix);
      options.signal?.throwIfAborted();
      try {
        const root = await toRead();
        const start = root === undefined ? undefined : await pathOfKey(root, `${prefix}x`);
        if (root === undefined || start === undefined) return;
        for await (const entry of walkFolder(root, prefix, options.after ?? '')) {
          options.signal?.throwIfAborted();
          yield entry;
        }
      } catch (cause) {
        throw folderError(cause, folder);
      }
    },

    async versions(key, options) {
      const entry = await stat(key, options);
      return entry === undefined ? [] : [{ ...entry, version: ONLY_VERSION }];
    },

    remove: (keys, options) =>
      guarded(options, async () => {
        const folders = new Set<string>();
        for (const key of keys) {
          options?.signal?.throwIfAborted();
          const file = await find(key);
          if (file === undefined || (await entryOf(dirnameOfKey(file, key), key)) === undefined) continue;
          await rm(file, { force: true });
          folders.add(dirname(file));
        }
        for (const one of folders) await syncFolder(one);
      }),

    now: (options) => guarded(options, async () => (await toWrite()).work.now()),

    async close() {},
  };
}

async function openToWrite(folder: string): Promise<{ readonly root: string; readonly work: WorkFiles }> {
  await mkdir(folder, { recursive: true });
  const root = await realpath(folder);
  return { root, work: await openWorkFiles(root) };
}

/** The root again, from the path of a key. */
function dirnameOfKey(file: string, key: string): string {
  return file.slice(0, -key.length - 1);
}
