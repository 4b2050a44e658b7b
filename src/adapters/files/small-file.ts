import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from './file-error.ts';

export interface SmallFileOptions {
  /** Give the first `maxBytes` of a larger file, instead of refusing it. */
  readonly startOnly?: boolean;
}

/**
 * Reads a small file from a place that is not ours to trust, such as a stick. A symbolic link is never followed (it could
 * lead to any file of this machine), a named pipe or a device is never waited for, and nothing is read beyond the limit.
 *
 * @returns `undefined` when nothing lies there.
 * @throws AdapterError FILE_UNREADABLE, FILE_TOO_LARGE
 */
export async function readSmallFile(
  path: string,
  maxBytes: number,
  options: SmallFileOptions = {},
): Promise<Uint8Array | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (cause) {
    if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
    // A socket answers ENXIO.
    if (isErrno(cause) && (cause.code === 'ELOOP' || cause.code === 'ENXIO')) throw notPlain(path, cause);
    throw fileError(cause, path, 'read');
  }
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw notPlain(path);
    if (facts.size > maxBytes && options.startOnly !== true) {
      throw new AdapterError('FILE_TOO_LARGE', `${path} is larger than such a file ever is`, {
        expected: `at most ${maxBytes} bytes`,
        found: `${facts.size} bytes`,
        at: { file: path },
        hint: 'The medium is damaged or hostile: copy it again from where it came from.',
      });
    }
    return await readStart(file, Math.min(facts.size, maxBytes));
  } catch (cause) {
    throw fileError(cause, path, 'read');
  } finally {
    await file.close();
  }
}

/** A file that grows while it is read gives what it had before. */
async function readStart(file: FileHandle, sizeBytes: number): Promise<Uint8Array> {
  const bytes = Buffer.alloc(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const { bytesRead } = await file.read(bytes, filled, sizeBytes - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

function notPlain(path: string, cause?: Error): AdapterError {
  return new AdapterError('FILE_UNREADABLE', `${path} is not a plain file`, {
    ...(cause === undefined ? {} : { cause }),
    expected: 'a file',
    found: 'a symbolic link, a folder, a pipe or a device',
    at: { file: path },
    hint: 'A medium holds plain files and folders alone: copy it again from where it came from.',
  });
}
