/** Synchronous file access for workers, with the system's errors told in our terms. */
import {
  type BigIntStats,
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import type { SyncMode } from './requests.ts';

export interface SourceFile {
  readonly fd: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly opened: BigIntStats;
}

/** Opens a file to be read; `flags` are added to those of open(2). FILE_MISSING, FILE_UNREADABLE. */
export function openSource(file: string | Uint8Array, flags = 0): SourceFile {
  const path = typeof file === 'string' ? file : Buffer.from(file).toString();
  let fd: number | undefined;
  try {
    // Without O_NONBLOCK a named pipe would hang the worker here.
    fd = openSync(file as string | Buffer, constants.O_RDONLY | constants.O_NONBLOCK | flags);
    const opened = fstatSync(fd, { bigint: true });
    if (!opened.isFile()) throw new Error('it is not a regular file');
    return { fd, path, sizeBytes: Number(opened.size), opened };
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    throw readFailure(path, cause);
  }
}

/** Fills `target` from the file at `offsetBytes`. SOURCE_CHANGED when the file ends before that. */
export function readFully(source: SourceFile, target: Uint8Array, offsetBytes: number): void {
  let done = 0;
  while (done < target.length) {
    let length: number;
    try {
      length = readSync(source.fd, target, done, target.length - done, offsetBytes + done);
    } catch (cause) {
      throw readFailure(source.path, cause);
    }
    if (length === 0) throw sourceChanged(source.path, source.sizeBytes, offsetBytes + done);
    done += length;
  }
}

/**
 * SOURCE_CHANGED when the file was written to since it was opened. The time of the last status change is left out: it also
 * moves when a link to the file is added or removed, which leaves the bytes alone.
 */
export function assertUnchanged(source: SourceFile): void {
  const now = fstatSync(source.fd, { bigint: true });
  if (now.size !== source.opened.size || now.mtimeNs !== source.opened.mtimeNs) {
    throw sourceChanged(source.path, source.sizeBytes, Number(now.size));
  }
}

export function closeSource(source: SourceFile): void {
  closeSync(source.fd);
}

/** Creates a file that must not exist yet. FILE_EXISTS, NO_SPACE, READ_ONLY, FILE_UNWRITABLE. */
export function createFile(path: string): number {
  return written(path, () => openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL));
}

/** Opens an existing regular file to be written in place; a symbolic link is refused. */
export function openTarget(path: string): number {
  return written(path, () => openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW));
}

export function writeFully(fd: number, path: string, bytes: Uint8Array, offsetBytes: number): void {
  let done = 0;
  while (done < bytes.length) {
    done += written(path, () => writeSync(fd, bytes, done, bytes.length - done, offsetBytes + done));
  }
}

export function syncFile(fd: number, path: string, mode: SyncMode): void {
  if (mode === 'fsync') written(path, () => fsyncSync(fd));
  else if (mode === 'fdatasync') written(path, () => fdatasyncSync(fd));
}

/** Closing may be where a network file system tells that it has no space. */
export function closeWritten(fd: number, path: string): void {
  written(path, () => closeSync(fd));
}

function written<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    throw fileError(cause, path, 'write');
  }
}

/** Errors of ours and of the system; anything else that stands in the way of reading is told as such. */
export function readFailure(path: string, cause: unknown): unknown {
  if (isErrno(cause) || cause instanceof AdapterError) return fileError(cause, path, 'read');
  return new AdapterError('FILE_UNREADABLE', `${path} is not a file that can be read`, {
    cause,
    at: { file: path },
    hint: 'Check that it is a regular file, that you may read it, and that its disk is well.',
  });
}

function sourceChanged(path: string, expectedBytes: number, foundBytes: number): AdapterError {
  return new AdapterError('SOURCE_CHANGED', 'a file changed while it was read', {
    at: { file: path },
    expected: `${expectedBytes} bytes, untouched`,
    found: `${foundBytes} bytes`,
    hint: 'Let whatever writes to it finish, and run the command again.',
  });
}
