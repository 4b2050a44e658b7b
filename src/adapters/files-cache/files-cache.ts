import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { encodeCachedFile, encodeFilesCacheHead, signsOfFile } from '../../formats/repository/files-cache.ts';
import type { FilesCache, OpenFilesCache } from '../../ports/files-cache.ts';
import { clearTemporary, renameDurable, temporaryName } from '../files/durable.ts';
import { fileError } from '../files/file-error.ts';
import { type FormerFiles, readFormerFiles } from './former-files.ts';

export interface FilesCacheSettings {
  /** Of the file; its folder is made. */
  readonly path: string;
  /** Another scope's cache is not used. */
  readonly scope: string;
  /** Whether files are looked up; what is put is kept all the same. */
  readonly isUsed: boolean;
  /** Of why there is none; a run does without. */
  readonly onProblem: (error: unknown) => void;
}

const BUFFER_BYTES = 256 * 1024;

/** A file of this machine, for its owner alone. Its writer's lock must be held. */
export function filesCacheOpener(settings: FilesCacheSettings): OpenFilesCache {
  return async ({ signal }) => {
    const { path, scope, isUsed, onProblem } = settings;
    const head = encodeFilesCacheHead(scope);
    const before = isUsed ? await openFormer(path, head, signal, onProblem) : undefined;
    const next = await createNext(path, head, onProblem);
    return cacheOf(before, next, (cause) => onProblem(fileError(cause, path, 'write')));
  };
}

interface Former {
  readonly file: FileHandle;
  readonly files: FormerFiles;
}

async function openFormer(
  path: string,
  head: Uint8Array,
  signal: AbortSignal,
  onProblem: (error: unknown) => void,
): Promise<Former | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const files = await readFormerFiles(file, head, signal);
    if (files !== undefined) return { file, files };
  } catch (cause) {
    signal.throwIfAborted();
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') onProblem(fileError(cause, path, 'read'));
  }
  await file?.close();
  return undefined;
}

/** What is being written for the run after. */
interface Next {
  append(bytes: Uint8Array): void;
  commit(): Promise<void>;
  discard(): Promise<void>;
}

async function createNext(
  path: string,
  head: Uint8Array,
  onProblem: (error: unknown) => void,
): Promise<Next | undefined> {
  const temporary = temporaryName(path);
  let file: FileHandle;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await clearTemporary(dirname(path), basename(path));
    file = await open(temporary, 'wx', 0o600);
  } catch (cause) {
    onProblem(fileError(cause, path, 'write'));
    return undefined;
  }
  const { fd } = file;
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(BUFFER_BYTES);
  let used = 0;

  function writeAll(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
  }
  function append(bytes: Uint8Array): void {
    hash.update(bytes);
    if (used + bytes.length > buffer.length) {
      writeAll(buffer.subarray(0, used));
      used = 0;
    }
    if (bytes.length > buffer.length) {
      writeAll(bytes);
      return;
    }
    buffer.set(bytes, used);
    used += bytes.length;
  }
  append(head);
  return {
    append,
    async commit() {
      writeAll(buffer.subarray(0, used));
      writeAll(hash.digest());
      await file.sync();
      await file.close();
      await renameDurable(temporary, path);
    },
    async discard() {
      await file.close().catch(() => {});
      await rm(temporary, { force: true }).catch(() => {});
    },
  };
}

function cacheOf(before: Former | undefined, next: Next | undefined, onProblem: (error: unknown) => void): FilesCache {
  let isOver = next === undefined;

  /** The first failure ends it: a full disk under the cache is no reason to fail a backup. */
  async function giveUp(cause: unknown): Promise<void> {
    isOver = true;
    onProblem(cause);
    await next?.discard();
  }
  let ending: Promise<void> | undefined;

  return {
    find(path, signs) {
      try {
        return before?.files.find(signsOfFile(path, signs));
      } catch {
        // Its disk: the file is read again.
        return undefined;
      }
    },
    put(path, signs, chunks) {
      if (isOver) return;
      try {
        next?.append(encodeCachedFile(signsOfFile(path, signs), chunks));
      } catch (cause) {
        ending = giveUp(cause);
      }
    },
    async commit() {
      if (isOver) return;
      try {
        await next?.commit();
        isOver = true;
      } catch (cause) {
        await giveUp(cause);
      }
    },
    async [Symbol.asyncDispose]() {
      await before?.file.close();
      await ending;
      if (!isOver) await next?.discard();
    },
  };
}
