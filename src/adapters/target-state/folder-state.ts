import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { printable } from '../../core/printable.ts';
import { pause } from '../../core/retry.ts';
import type { LockRequest, StateOptions, TargetLock, TargetState } from '../../ports/target-state.ts';
import { isTemporaryName, syncFolder, writeFileDurable } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { type Holder, lockByProcess, readHolder, thisProcess } from '../files/process-lock.ts';
import { readSmallFile } from '../files/small-file.ts';
import { assertDocumentName, assertDocumentSize, lockedBy, lockLost, MAX_DOCUMENT_BYTES } from './document.ts';

export interface FolderStateSettings {
  readonly folder: string;
  /** Milliseconds since 1970; stands in the lock for people to read. */
  readonly now: () => number;
}

const SUFFIX = '.document';
const NOTE_LIMIT_BYTES = 4096;
const RETRY_MS = 500;
const WATCH_MS = 5000;

/**
 * `documents/NAME.document` and `lock` in a folder of this machine, for its owner alone: what is kept there may be a key. The folder
 * is made with the first write.
 */
export function createFolderState({ folder, now }: FolderStateSettings): TargetState {
  const documents = join(folder, 'documents');
  const lockPath = join(folder, 'lock');
  const notePath = join(folder, 'holder.json');
  const pathOf = (name: string): string => {
    assertDocumentName(name);
    return join(documents, `${name}${SUFFIX}`);
  };

  const makeFolders = async (): Promise<void> => {
    try {
      await mkdir(documents, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw fileError(cause, documents, 'write');
    }
  };

  const names = async (): Promise<string[]> => {
    try {
      return await readdir(documents);
    } catch (cause) {
      if (isErrno(cause) && cause.code === 'ENOENT') return [];
      throw fileError(cause, documents, 'read');
    }
  };

  /** What the holder said about itself, as long as it is the one that holds. */
  const describe = async (holder: Holder | undefined): Promise<string> => {
    if (holder === undefined) return 'another run';
    const bytes = await readSmallFile(notePath, NOTE_LIMIT_BYTES).catch(() => undefined);
    const note = bytes === undefined ? undefined : parseNote(new TextDecoder().decode(bytes));
    const who = `process ${holder.pid} on ${printable(holder.host, 100)}`;
    return note === undefined || note.pid !== holder.pid ? who : `${note.holder} (${who}) since ${note.since}`;
  };

  /** The lock, or the holder that has it. */
  const tryLock = async (): Promise<AsyncDisposable | { readonly busy: Holder | undefined }> => {
    let busy: { readonly busy: Holder | undefined } | undefined;
    try {
      return await lockByProcess(lockPath, (holder) => {
        busy = { busy: holder };
        return new Error('busy');
      });
    } catch (cause) {
      if (busy !== undefined) return busy;
      throw cause;
    }
  };

  return {
    place: folder,
    async list(prefix, options: StateOptions = {}) {
      options.signal?.throwIfAborted();
      return (await names())
        .filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.'))
        .map((name) => name.slice(0, -SUFFIX.length))
        .filter((name) => name.startsWith(prefix))
        .sort();
    },
    async read(name, options: StateOptions = {}) {
      options.signal?.throwIfAborted();
      return await readSmallFile(pathOf(name), MAX_DOCUMENT_BYTES);
    },
    async write(name, bytes, options: StateOptions = {}) {
      options.signal?.throwIfAborted();
      assertDocumentSize(name, bytes, folder);
      const path = pathOf(name);
      await makeFolders();
      await writeFileDurable(path, bytes, { mode: 0o600 });
    },
    async remove(name, options: StateOptions = {}) {
      options.signal?.throwIfAborted();
      const path = pathOf(name);
      try {
        await rm(path);
      } catch (cause) {
        if (isErrno(cause) && cause.code === 'ENOENT') return false;
        throw fileError(cause, path, 'write');
      }
      await syncFolder(documents);
      return true;
    },
    async lock(holder, request: LockRequest) {
      await makeFolders();
      const startedMs = performance.now();
      for (let isTold = false; ; isTold = true) {
        request.signal?.throwIfAborted();
        const taken = await tryLock();
        if (!('busy' in taken)) {
          try {
            const note = { holder, pid: process.pid, since: new Date(now()).toISOString() };
            await writeFileDurable(notePath, JSON.stringify(note), { mode: 0o600 });
            // Nobody writes while we hold the lock: what a killed run left is nobody's.
            for (const name of await names()) {
              if (isTemporaryName(name)) await rm(join(documents, name), { force: true });
            }
            return await watched(taken, lockPath, folder);
          } catch (cause) {
            // On a full disk the lock must not stay.
            await taken[Symbol.asyncDispose]();
            throw cause;
          }
        }
        const who = await describe(taken.busy);
        const leftMs = request.waitMs - (performance.now() - startedMs);
        if (leftMs <= 0) throw lockedBy(folder, who, request.waitMs);
        if (!isTold) request.onWait?.(who);
        await pause(Math.min(RETRY_MS, leftMs), request);
      }
    },
  };
}

/** Looks from time to time whether the lock is still ours: on a shared folder another machine may have taken it for dead. */
async function watched(taken: AsyncDisposable, path: string, place: string): Promise<TargetLock> {
  const controller = new AbortController();
  const mine = await thisProcess();
  const look = async (): Promise<void> => {
    const holder = await readHolder(path);
    if (holder?.pid === mine.pid && holder.started === mine.started && holder.boot === mine.boot) return;
    controller.abort(lockLost(place, 'the file lock is no longer there, or is of another run'));
  };
  const timer = setInterval(() => void look().catch(() => {}), WATCH_MS).unref();
  return {
    signal: controller.signal,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await taken[Symbol.asyncDispose]();
    },
  };
}

function parseNote(
  text: string,
): { readonly holder: string; readonly pid: number; readonly since: string } | undefined {
  try {
    const { holder, pid, since } = (JSON.parse(text) ?? {}) as { holder?: unknown; pid?: unknown; since?: unknown };
    if (typeof holder !== 'string' || typeof pid !== 'number' || typeof since !== 'string') return undefined;
    return { holder: printable(holder, 200), pid, since: printable(since, 40) };
  } catch {
    return undefined;
  }
}
