import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, open, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { digestFromHex } from '../../core/digest.ts';
import type { ProjectEntry, ProjectFiles } from '../../ports/project-files.ts';
import { AdapterError } from '../errors.ts';
import { writeFileDurable } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';

const READ_SIZE_BYTES = 1024 * 1024;

/** The local file system as the port ProjectFiles. */
export function createProjectFiles(): ProjectFiles {
  return { kind, read, list, realPath, open: openFile, hash, write: writeFileDurable, makeFolder };
}

async function kind(path: string): Promise<ProjectEntry['kind']> {
  try {
    return kindOf(await stat(path));
  } catch (cause) {
    if (isErrno(cause) && ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(cause.code)) return 'absent';
    throw fileError(cause, path, 'read');
  }
}

async function read(path: string, limitBytes: number): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      const found = await file.stat();
      if (!found.isFile()) throw notAFile(path);
      if (found.size > limitBytes) throw tooLarge(path, limitBytes, found.size);
      // One byte more than the limit: a file that grows while it is read is caught too.
      const bytes = Buffer.alloc(Math.min(limitBytes, found.size) + 1);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      if (filled > found.size) throw tooLarge(path, found.size, filled);
      return bytes.subarray(0, filled);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw fileError(cause, path, 'read');
  }
}

async function list(folder: string): Promise<readonly ProjectEntry[]> {
  try {
    const names = (await readdir(folder)).sort();
    const entries: ProjectEntry[] = [];
    for (const name of names) entries.push(await describe(join(folder, name), name));
    return entries;
  } catch (cause) {
    throw fileError(cause, folder, 'read');
  }
}

async function describe(path: string, name: string): Promise<ProjectEntry> {
  const isLink = (await lstat(path)).isSymbolicLink();
  try {
    const found = await stat(path);
    const isFile = found.isFile();
    const executable = isFile && (found.mode & 0o100) !== 0;
    return { name, kind: kindOf(found), isLink, sizeBytes: isFile ? found.size : 0, executable };
  } catch (cause) {
    if (!isErrno(cause) || !['ENOENT', 'ELOOP'].includes(cause.code)) throw cause;
    return { name, kind: 'absent', isLink, sizeBytes: 0, executable: false };
  }
}

async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    throw fileError(cause, path, 'read');
  }
}

async function* openFile(path: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
  const { signal } = options;
  try {
    yield* createReadStream(path, { highWaterMark: READ_SIZE_BYTES, ...(signal === undefined ? {} : { signal }) });
  } catch (cause) {
    throw fileError(cause, path, 'read');
  }
}

const hash: ProjectFiles['hash'] = async (path, { signal, onBytes } = {}) => {
  try {
    const file = await open(path, 'r');
    try {
      if (!(await file.stat()).isFile()) throw notAFile(path);
      const sum = createHash('sha256');
      // One buffer for the whole file: a stream allocates one for each read, and memory grows with the file.
      const buffer = Buffer.allocUnsafeSlow(READ_SIZE_BYTES);
      let sizeBytes = 0;
      for (;;) {
        signal?.throwIfAborted();
        const { bytesRead } = await file.read(buffer, 0, buffer.length);
        if (bytesRead === 0) break;
        sum.update(buffer.subarray(0, bytesRead));
        sizeBytes += bytesRead;
        onBytes?.(bytesRead);
      }
      return { digest: digestFromHex(sum.digest('hex')), sizeBytes, path };
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw fileError(cause, path, 'read');
  }
};

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw fileError(cause, path, 'write');
  }
}

function kindOf(found: { isFile(): boolean; isDirectory(): boolean }): 'file' | 'folder' | 'other' {
  if (found.isFile()) return 'file';
  return found.isDirectory() ? 'folder' : 'other';
}

function notAFile(path: string): AdapterError {
  return new AdapterError('FILE_UNREADABLE', `${path} is not a file`, {
    expected: 'a file',
    found: 'a folder or something else',
    at: { file: path },
    hint: 'Name a file.',
  });
}

function tooLarge(path: string, limitBytes: number, found: number): AdapterError {
  return new AdapterError('FILE_TOO_LARGE', `${path} is too large to be what it should be`, {
    expected: `at most ${limitBytes} bytes`,
    found,
    at: { file: path },
    hint: 'Check that the path names the file that you mean.',
  });
}
