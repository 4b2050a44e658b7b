import type { FileHandle } from 'node:fs/promises';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from './file-error.ts';
import { openPlain } from './plain-file.ts';

export interface SmallFileOptions {
  /** Give the first `maxBytes` of a larger file, instead of refusing it. */
  readonly startOnly?: boolean;
  /** The person named it, so the place is theirs: a symbolic link is followed. Kubernetes mounts Secrets and tokens as links. */
  readonly followLinks?: boolean;
}

/**
 * Reads a small file from a place that is not ours to trust, such as a stick: what {@link openPlain} opens, and nothing
 * beyond the limit.
 *
 * @returns `undefined` when nothing lies there.
 * @throws AdapterError FILE_UNREADABLE, FILE_TOO_LARGE
 */
export async function readSmallFile(
  path: string,
  maxBytes: number,
  options: SmallFileOptions = {},
): Promise<Uint8Array | undefined> {
  const opened = await openPlain(path, 0, options).catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
    throw fileError(cause, path, 'read');
  });
  if (opened === undefined) return undefined;
  const { file, sizeBytes } = opened;
  try {
    if (sizeBytes > maxBytes && options.startOnly !== true) {
      throw new AdapterError('FILE_TOO_LARGE', `${path} is larger than such a file ever is`, {
        expected: `at most ${maxBytes} bytes`,
        found: `${sizeBytes} bytes`,
        at: { file: path },
        hint: 'The medium is damaged or hostile: copy it again from where it came from.',
      });
    }
    return await readStart(file, Math.min(sizeBytes, maxBytes));
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
