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
import type { SyncMode } from './requests.ts';

export interface SourceFile {
  readonly fd: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly opened: BigIntStats;
}

/** Opens a file to be read. FILE_MISSING, FILE_UNREADABLE. */
export function openSource(path: string): SourceFile {
  let fd: number | undefined;
  try {
    // Without O_NONBLOCK a named pipe would hang the worker here.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
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
    throw writeFailure(path, cause);
  }
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
}

export function readFailure(path: string, cause: unknown): AdapterError {
  const at = { file: path };
  if (codeOf(cause) === 'ENOENT') {
    return new AdapterError('FILE_MISSING', 'a file does not exist', { cause, at, hint: 'Check the path.' });
  }
  return new AdapterError('FILE_UNREADABLE', 'a file cannot be read', {
    cause,
    at,
    hint: 'Check that it is a regular file, that you may read it, and that its disk is well.',
  });
}

function writeFailure(path: string, cause: unknown): AdapterError {
  const at = { file: path };
  switch (codeOf(cause)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new AdapterError('NO_SPACE', 'there is no space left to write a file', {
        cause,
        at,
        hint: 'Free some space, or use a larger medium, and run the command again.',
      });
    case 'EEXIST':
      return new AdapterError('FILE_EXISTS', 'a file that would be written exists already', {
        cause,
        at,
        hint: 'Remove it if nobody needs it.',
      });
    case 'EROFS':
      return new AdapterError('READ_ONLY', 'the file system is read-only', {
        cause,
        at,
        hint: 'Mount it for writing, or choose another place.',
      });
    default:
      return new AdapterError('FILE_UNWRITABLE', 'a file cannot be written', {
        cause,
        at,
        hint: 'Check that its folder exists and that you may write there.',
      });
  }
}

function sourceChanged(path: string, expectedBytes: number, foundBytes: number): AdapterError {
  return new AdapterError('SOURCE_CHANGED', 'a file changed while it was read', {
    at: { file: path },
    expected: `${expectedBytes} bytes, untouched`,
    found: `${foundBytes} bytes`,
    hint: 'Let whatever writes to it finish, and run the command again.',
  });
}
