import type { Dirent } from 'node:fs';
import { lstat, mkdir, readdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ObjectEntry } from '../../../ports/object-store.ts';
import { syncFolder } from '../../files/durable.ts';
import { isErrno } from '../../files/file-error.ts';
import { statPlain } from '../../files/plain-file.ts';
import { compareKeys, isObjectKey } from '../object-key.ts';
import { notPlain } from './folder-errors.ts';

/** How many files are asked for their size at once. */
const STATS_AT_ONCE = 32;

export function isMissing(cause: unknown): boolean {
  return isErrno(cause) && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
}

/**
 * The path of a key whose folders are folders: none is a symbolic link, which could lead to any place of this machine.
 *
 * @returns `undefined` when a folder is not there
 */
export async function pathOfKey(root: string, key: string): Promise<string | undefined> {
  const path = join(root, key);
  const folder = dirname(path);
  try {
    if ((await realpath(folder)) !== folder) throw notPlain(folder);
    return path;
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw cause;
  }
}

/** Creates the folders of a key below the root, and makes their names durable. */
export async function makeFolders(root: string, key: string): Promise<void> {
  let folder = root;
  for (const segment of key.split('/').slice(0, -1)) {
    const parent = folder;
    folder = join(parent, segment);
    await mkdir(folder).catch((cause) => {
      if (!isErrno(cause) || cause.code !== 'EEXIST') throw cause;
    });
    if (!(await lstat(folder)).isDirectory()) throw notPlain(folder);
    // Also where another process created it: whether that one has come to its sync is not known.
    await syncFolder(parent);
  }
}

/**
 * All objects below a folder, ordered by key. The names of one folder are in memory at a time, and those of the folders
 * above it.
 *
 * @param prefix the folder's key, ending in a slash; empty for the root
 */
export async function* walkFolder(root: string, prefix: string, after: string): AsyncGenerator<ObjectEntry> {
  const names = await namesIn(join(root, prefix));
  for (let start = 0; start < names.length; start += STATS_AT_ONCE) {
    const some = names.slice(start, start + STATS_AT_ONCE);
    const entries = await Promise.all(some.map((name) => (name.endsWith('/') ? name : entryOf(root, prefix + name))));
    for (const entry of entries) {
      if (typeof entry === 'string') {
        const folder = prefix + entry;
        // All keys of the folder start so: they are all before `after`, unless that lies in it.
        if (folder > after || after.startsWith(folder)) yield* walkFolder(root, folder, after);
      } else if (entry !== undefined && entry.key > after) yield entry;
    }
  }
}

/** Names that keys are made of, folders with a slash at the end: so they sort as the keys below them do. */
async function namesIn(folder: string): Promise<string[]> {
  let found: Dirent[];
  try {
    found = await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw cause;
  }
  const names: string[] = [];
  for (const entry of found) {
    // Others' files, such as lost+found and what file managers leave, and the store's own.
    if (!isObjectKey(entry.name)) continue;
    // Some file systems do not say here what an entry is.
    const facts = entry.isFile() || entry.isDirectory() ? entry : await statPlain(join(folder, entry.name));
    if (facts === undefined) continue;
    if (!facts.isFile() && !facts.isDirectory()) throw notPlain(join(folder, entry.name));
    names.push(facts.isDirectory() ? `${entry.name}/` : entry.name);
  }
  return names.sort(compareKeys);
}

/** `undefined` when no object lies there: nothing, or a folder of objects. */
export async function entryOf(root: string, key: string): Promise<ObjectEntry | undefined> {
  const facts = await statPlain(join(root, key));
  if (facts === undefined || facts.isDirectory()) return undefined;
  if (!facts.isFile()) throw notPlain(join(root, key));
  return { key, sizeBytes: facts.size, modified: facts.mtime };
}
