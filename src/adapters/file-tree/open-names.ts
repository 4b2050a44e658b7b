/**
 * Names within an open folder. Node has no openat(2): `/proc/self/fd/N/NAME` is the same, whatever bytes the name has, however
 * long its path is, and whoever renames the folder or puts a link in its place meanwhile. It needs Linux with /proc.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readlink } from 'node:fs/promises';
import type { FileFacts } from '../../ports/file-tree.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { factsOf } from './file-facts.ts';

export const FOLDER_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY;
/** A named pipe is not waited for, a link not followed. */
const FILE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Of an open file or folder. */
export function pathOf({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`;
}

export function pathIn(folder: FileHandle, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${pathOf(folder)}/`), name]);
}

/** For messages: bytes that are no UTF-8 are replaced. */
export function placeIn(place: string, name: Buffer): string {
  return `${place === '/' ? '' : place}/${name.toString()}`;
}

/** What means that a name is gone, or leads to something of another kind by now. */
const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'EINVAL']);

export function isGone(cause: unknown): boolean {
  return isErrno(cause) && GONE.has(cause.code);
}

/** `undefined` for what is gone. @throws AdapterError FILE_UNREADABLE, DISK_GONE */
async function unlessGone<T>(place: string, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (cause) {
    if (isGone(cause)) return undefined;
    throw fileError(cause, place, 'read');
  }
}

export function openFolderIn(folder: FileHandle, name: Buffer, place: string): Promise<FileHandle | undefined> {
  return unlessGone(place, () => open(pathIn(folder, name), FOLDER_FLAGS | constants.O_NOFOLLOW));
}

/** A regular file. */
export async function openFileIn(
  folder: FileHandle,
  name: Buffer,
  place: string,
): Promise<{ readonly file: FileHandle; readonly facts: FileFacts } | undefined> {
  const file = await unlessGone(place, () => open(pathIn(folder, name), FILE_FLAGS));
  if (file === undefined) return undefined;
  try {
    const facts = await lookAt(file);
    if (facts.kind === 'file') return { file, facts };
  } catch (cause) {
    await file.close();
    throw fileError(cause, place, 'read');
  }
  await file.close();
  return undefined;
}

export async function lookAt(file: FileHandle): Promise<FileFacts> {
  return factsOf(await file.stat({ bigint: true }));
}

export function targetIn(folder: FileHandle, name: Buffer, place: string): Promise<Buffer | undefined> {
  return unlessGone(place, () => readlink(pathIn(folder, name), { encoding: 'buffer' }));
}
