import type { FileHandle } from 'node:fs/promises';
import { AdapterError } from '../errors.ts';
import { openPlain } from '../files/plain-file.ts';

/**
 * Opens a plain file of exactly this size to be read; see {@link openPlain}.
 *
 * @throws AdapterError FILE_UNREADABLE, FILE_SIZE_MISMATCH; the system's errors as they are
 */
export async function openSized(path: string, sizeBytes: number, flags = 0): Promise<FileHandle> {
  const { file, sizeBytes: found } = await openPlain(path, flags);
  if (found === sizeBytes) return file;
  await file.close();
  throw new AdapterError('FILE_SIZE_MISMATCH', `${path} has the wrong size`, {
    at: { file: path },
    expected: sizeBytes,
    found,
    hint: 'Copy this file again from where it came from.',
  });
}
