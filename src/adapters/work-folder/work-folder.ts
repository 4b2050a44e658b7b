import { createWriteStream } from 'node:fs';
import { lstat, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { WorkFolder } from '../../ports/work-folder.ts';
import { fileError } from '../files/file-error.ts';
import { isGone, readHolder, thisProcess } from '../files/process-lock.ts';

const NAME = /^portolan-[A-Za-z0-9]{6}$/;
const OWNER = 'owner';

/**
 * A folder for what was opened and must not stay: values of charts may hold secrets. What a run left there that was killed
 * is removed by the next one.
 *
 * @param parent - An absolute path, such as the system's folder for temporary files.
 * @throws AdapterError FILE_UNWRITABLE, NO_SPACE, READ_ONLY; `write` too
 */
export async function createWorkFolder(parent: string): Promise<WorkFolder> {
  await removeAbandoned(parent);
  // mkdtemp gives the folder the mode 0700.
  const path = await mkdtemp(join(parent, 'portolan-')).catch((cause) => {
    throw fileError(cause, parent, 'write');
  });
  await writeFile(join(path, OWNER), JSON.stringify(await thisProcess()), { mode: 0o600 }).catch(async (cause) => {
    await rm(path, { recursive: true, force: true });
    throw fileError(cause, path, 'write');
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

/** This user's folders whose process is gone for certain. What cannot be removed is not worth an error. */
async function removeAbandoned(parent: string): Promise<void> {
  const mine = await thisProcess();
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((one) => NAME.test(one))) {
    const path = join(parent, name);
    const facts = await lstat(path).catch(() => undefined);
    if (facts === undefined || !facts.isDirectory() || facts.uid !== process.geteuid?.()) continue;
    const holder = await readHolder(join(path, OWNER));
    if (holder !== undefined && (await isGone(holder, mine))) {
      await rm(path, { recursive: true, force: true }).catch(() => {});
    }
  }
}
