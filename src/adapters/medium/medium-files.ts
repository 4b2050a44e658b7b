import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import type { Digest } from '../../core/digest.ts';
import type { BlobFacts } from '../../ports/medium.ts';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { fingerprintOf } from '../files/fingerprint.ts';

/**
 * Files of a medium, read with care: what lies there is anybody's choice. A symbolic link is never followed (it could lead
 * to a file of this machine), a named pipe or a device is never waited for, and nothing is read beyond its limit.
 */
export async function readSmall(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
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
    if (facts.size > maxBytes) {
      throw new AdapterError('FILE_TOO_LARGE', `${path} is larger than such a file ever is`, {
        expected: `at most ${maxBytes} bytes`,
        found: `${facts.size} bytes`,
        at: { file: path },
        hint: 'The medium is damaged or hostile: copy it again from where it came from.',
      });
    }
    return await readAtMost(file, facts.size);
  } catch (cause) {
    throw fileError(cause, path, 'read');
  } finally {
    await file.close();
  }
}

/** A file that grows while it is read gives what it had before. */
async function readAtMost(file: FileHandle, sizeBytes: number): Promise<Uint8Array> {
  const bytes = Buffer.alloc(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const { bytesRead } = await file.read(bytes, filled, sizeBytes - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/** `undefined` when no plain file is there: a link or a device in the place of a blob is as good as nothing. */
export async function factsOf(path: string): Promise<BlobFacts | undefined> {
  const facts = await statPlain(path);
  return facts?.isFile() ? { sizeBytes: facts.size, fingerprint: await fingerprintOf(path) } : undefined;
}

/** What lies under a name, links not followed; `undefined` when nothing does. */
export async function statPlain(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (cause) {
    if (isErrno(cause) && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')) return undefined;
    throw fileError(cause, path, 'read');
  }
}

export function blobDamaged(file: string, expected: Digest, found: Digest | undefined): AdapterError {
  return new AdapterError('BLOB_DAMAGED', 'A file of the bundle is not what the bundle says', {
    expected,
    ...(found === undefined ? {} : { found }),
    at: { file, digest: expected },
    hint: 'Copy the bundle again from where it came from.',
  });
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
