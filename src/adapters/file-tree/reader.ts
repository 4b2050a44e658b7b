import { type FileHandle, open, opendir, statfs } from 'node:fs/promises';
import { createWorkerPool, type WorkerPool } from '../../core/worker-pool.ts';
import type { FileFacts, FileTreeReader, ReadableFolder } from '../../ports/file-tree.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import { decodeFailure } from '../sealing/failure.ts';
import { workerDied } from '../worker-died.ts';
import { takeFacts } from './file-facts.ts';
import type { LookRequest } from './look-worker.ts';
import { FOLDER_FLAGS, lookAt, openFileIn, openFolderIn, pathIn, pathOf, placeIn, targetIn } from './open-names.ts';
import { readAccounts } from './owners.ts';
import { readableFile } from './readable-file.ts';

/** Names that are sorted at once: more of one folder come in several rounds, so that memory does not grow with it. */
const ROUND = 10_000;
const READ_AHEAD = 256;
/** While large files are read nothing is looked at, and an idle thread would keep 12 MiB. */
const LOOK_IDLE_MS = 100;

/** Numbers by which statfs(2) names file systems that the kernel makes up (linux/magic.h): nothing in them was stored. */
const INVENTED = new Set([
  ...[0x9fa0, 0x6265_6572, 0x1cd1, 0x27_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0xf97c_ff8c],
  ...[0xcafe_4a11, 0x6165_676c, 0x1980_0202, 0x6265_6570, 0x4249_4e4d, 0x6573_5543, 0xde5e_81e4, 0x6e73_6673],
]);

type Lookers = WorkerPool<LookRequest, Uint8Array>;

export function createFileTreeReader(): FileTreeReader {
  const lookers: Lookers = createWorkerPool({
    url: new URL('./look-worker.ts', import.meta.url),
    workers: 1,
    idleMs: LOOK_IDLE_MS,
    decodeFailure,
    lost: workerDied,
    closed: () =>
      new AdapterError('ENGINE_CLOSED', 'the files were closed before this was done', {
        hint: 'Run the command again.',
      }),
  });
  return {
    async openRoot(path) {
      try {
        const handle = await open(path, FOLDER_FLAGS);
        return readableFolder(handle, await lookAt(handle), path, lookers);
      } catch (cause) {
        throw fileError(cause, path, 'read');
      }
    },
    async names() {
      const [users, groups] = [await readAccounts('/etc/passwd'), await readAccounts('/etc/group')];
      return { user: (uid) => users.byId.get(uid), group: (gid) => groups.byId.get(gid) };
    },
    [Symbol.asyncDispose]: () => lookers.close(),
  };
}

const NUL = Buffer.alloc(1);

function readableFolder(handle: FileHandle, facts: FileFacts, place: string, lookers: Lookers): ReadableFolder {
  return {
    facts,
    place,
    async isInvented() {
      const { type } = await statfs(pathOf(handle));
      // The number is signed on some platforms.
      return INVENTED.has(type >>> 0);
    },
    async *list() {
      try {
        const folder = await opendir(pathOf(handle), { encoding: 'buffer' as BufferEncoding, bufferSize: READ_AHEAD });
        let round: Buffer[] = [];
        for await (const { name } of folder) {
          round.push(name as unknown as Buffer);
          if (round.length < ROUND) continue;
          yield round.sort(Buffer.compare);
          round = [];
        }
        yield round.sort(Buffer.compare);
      } catch (cause) {
        throw fileError(cause, place, 'read');
      }
    },
    async look(names, { rights = false } = {}) {
      if (names.length === 0) return [];
      const joined = Buffer.concat(names.flatMap((name, index) => (index === 0 ? [name] : [NUL, name])));
      const request: LookRequest = { folder: `${pathOf(handle)}/`, place, names: joined, count: names.length, rights };
      return takeFacts(await lookers.run({ prepare: () => request }), rights);
    },
    pathOf: (name) => pathIn(handle, name),
    async enter(name) {
      const child = await openFolderIn(handle, name, placeIn(place, name));
      return child === undefined
        ? undefined
        : readableFolder(child, await lookAt(child), placeIn(place, name), lookers);
    },
    async open(name) {
      const opened = await openFileIn(handle, name, placeIn(place, name));
      return opened === undefined ? undefined : readableFile(opened.file, opened.facts, placeIn(place, name));
    },
    target: (name) => targetIn(handle, name, placeIn(place, name)),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}
