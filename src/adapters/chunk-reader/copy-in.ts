import type { ChunkTable, CopyInJob } from '../../ports/chunks.ts';
import { type ChunkRun, planRuns, WORKER_RUN } from './plan-runs.ts';
import { createSlot, type Fetched, type RunOpener } from './run-opener.ts';
import type { ReaderThread } from './threads.ts';

/** A worker, which runs one COPY at a time, and two slots: one is written to the server while the other is filled. */
export interface CopySeat {
  thread(): ReaderThread;
  readonly slots: { readonly now: SharedArrayBuffer; readonly next: SharedArrayBuffer };
}

export function createCopySeat(thread: () => ReaderThread): CopySeat {
  return { thread, slots: { now: createSlot(), next: createSlot() } };
}

interface Read {
  readonly run: ChunkRun;
  readonly slot: SharedArrayBuffer;
  readonly fetched: Promise<Fetched>;
}

/** Runs a COPY on a seat. When it returns or throws, nothing of it is under way any more. */
export async function copyIn(
  seat: CopySeat,
  opener: RunOpener,
  chunks: ChunkTable,
  job: CopyInJob,
  signal: AbortSignal,
): Promise<number> {
  const thread = seat.thread();
  const stop = new AbortController();
  const limit = AbortSignal.any([signal, stop.signal]);
  const runs = planRuns(chunks, WORKER_RUN);
  const read = (slot: SharedArrayBuffer): Read | undefined => {
    const { value: run } = runs.next();
    if (run === undefined) return undefined;
    const fetched = opener.fetch(run, slot, limit);
    fetched.catch(() => {});
    return { run, slot, fetched };
  };
  let aborting: Promise<unknown> | undefined;
  const abort = () => {
    stop.abort();
    aborting ??= thread.call({ kind: 'copy-abort' }).catch(() => {});
  };
  let ahead: Read | undefined;
  signal.throwIfAborted();
  signal.addEventListener('abort', abort, { once: true });
  try {
    ahead = read(seat.slots.now);
    await thread.call({ kind: 'copy-open', job });
    while (ahead !== undefined) {
      const { run, slot, fetched }: Read = ahead;
      ahead = read(slot === seat.slots.now ? seat.slots.next : seat.slots.now);
      await opener.open({
        run,
        slot,
        fetched,
        signal: limit,
        call: (request) => thread.call(request),
        request: (frames) => ({ kind: 'copy-frames', frames }),
      });
    }
    const { rows = 0 } = await thread.call({ kind: 'copy-end' });
    return rows;
  } catch (error) {
    abort();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    await aborting;
    await ahead?.fetched.catch(() => {});
  }
}
