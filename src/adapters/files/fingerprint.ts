import { stat } from 'node:fs/promises';
import { fileError } from './file-error.ts';

/**
 * What changes when a file is written or replaced: device, inode, size and times, in nanoseconds. Good for telling on one
 * machine whether a file was touched; good for nothing on another.
 */
export async function fingerprintOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (cause) {
    throw fileError(cause, path, 'read');
  }
}
