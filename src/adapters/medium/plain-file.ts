import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AdapterError } from '../errors.ts';

/**
 * Opens a plain file of exactly this size to be read; a link is not followed, and a pipe not waited for.
 *
 * @throws AdapterError FILE_UNREADABLE, FILE_SIZE_MISMATCH; the system's errors as they are
 */
export async function openPlain(path: string, sizeBytes: number, flags = 0): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | flags);
  try {
    const facts = await file.stat();
    if (!facts.isFile()) {
      throw new AdapterError('FILE_UNREADABLE', `${path} is not a plain file`, {
        at: { file: path },
        hint: 'A medium holds plain files alone: copy it again from where it came from.',
      });
    }
    if (facts.size !== sizeBytes) {
      throw new AdapterError('FILE_SIZE_MISMATCH', `${path} has the wrong size`, {
        at: { file: path },
        expected: sizeBytes,
        found: facts.size,
        hint: 'Copy this file again from where it came from.',
      });
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
