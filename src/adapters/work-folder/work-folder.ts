import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { WorkFolder } from '../../ports/work-folder.ts';
import { fileError } from '../files/file-error.ts';

/**
 * @param parent - An absolute path, such as the system's folder for temporary files.
 * @throws AdapterError FILE_UNWRITABLE, NO_SPACE, READ_ONLY; `write` too
 */
export async function createWorkFolder(parent: string): Promise<WorkFolder> {
  // mkdtemp gives the folder the mode 0700.
  const path = await mkdtemp(join(parent, 'portolan-')).catch((cause) => {
    throw fileError(cause, parent, 'write');
  });
  return {
    path,
    async write(name, bytes, options = {}) {
      const file = join(path, name);
      const stream = createWriteStream(file, { flags: 'wx', mode: options.mode ?? 0o600 });
      let failure: unknown;
      stream.on('error', (error) => {
        failure = error;
      });
      try {
        await pipeline(bytes, stream);
      } catch (cause) {
        // What the source says of itself stays as it is.
        throw cause === failure ? fileError(cause, file, 'write') : cause;
      }
      return file;
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
