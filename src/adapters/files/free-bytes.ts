import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileError } from './file-error.ts';

/** What an ordinary user may still write on the file system that a folder lies on, or would lie on, in bytes. */
export async function freeBytes(folder: string): Promise<number> {
  for (let place = folder; ; place = dirname(place)) {
    const facts = await statfs(place).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT' && dirname(place) !== place) return undefined;
      throw fileError(cause, place, 'read');
    });
    if (facts !== undefined) return facts.bavail * facts.bsize;
  }
}
