/**
 * Reads chunks back: the calling thread fetches ranges of sealed packs into shared memory, workers do all that grows with
 * the size. Memory follows from the number of workers: `3 × workers + 1` slots of 4.4 MiB, and for every stream that is read the
 * pieces that were opened ahead of its reader.
 */
import { availableParallelism } from 'node:os';
import { deriveChunkIdKey } from '../../formats/repository/chunk-keys.ts';
import type { ChunkReader, ChunkReaderSettings, ChunkTable } from '../../ports/chunks.ts';
import { AdapterError } from '../errors.ts';
import { copyIn, createCopySeat } from './copy-in.ts';
import { fileRuns } from './file-runs.ts';
import { type ChunkRun, planRuns, STREAM_RUN, WORKER_RUN } from './plan-runs.ts';
import { createPool } from './pool.ts';
import type { ReaderReply } from './requests.ts';
import { createRunOpener, createSlot, type RunOpening } from './run-opener.ts';
import { type ReaderThread, startThread } from './threads.ts';

export interface ChunkReaderOptions {
  /** The module that a worker runs. A single executable passes a `data:` URL of the bundled module. */
  readonly workerUrl?: URL;
  /** How long a database may say nothing before it is asked whether it is at work: see ../postgres/silence.ts. */
  readonly silenceMs?: number;
}

/** How long a server may take to let go of its sessions. */
const CLOSE_PATIENCE_MS = 15_000;

type Job = Pick<RunOpening, 'run' | 'request'>;

export async function createChunkReader(
  settings: ChunkReaderSettings,
  options: ChunkReaderOptions = {},
): Promise<ChunkReader> {
  const workers = settings.workers ?? Math.min(4, Math.max(2, availableParallelism()));
  const url = options.workerUrl ?? new URL('./worker.ts', import.meta.url);
  const workerSettings = {
    chunkIdKey: deriveChunkIdKey(settings.idKey, settings.repository),
    silenceMs: options.silenceMs,
  };
  const closing = new AbortController();
  const lifetime = AbortSignal.any([closing.signal, ...(settings.signal === undefined ? [] : [settings.signal])]);
  const opener = createRunOpener(settings, lifetime);
  const slots = createPool(workers + 1, createSlot);
  const threads: (ReaderThread | undefined)[] = [];
  const underWay = new Set<Promise<unknown>>();
  let seated = 0;
  const copySeats = createPool(workers, () => {
    const place = seated++;
    return createCopySeat(() => threadAt(place));
  });

  function threadAt(place: number): ReaderThread {
    const thread =
      threads[place] ??
      startThread(url, workerSettings, () => {
        threads[place] = undefined;
      });
    threads[place] = thread;
    return thread;
  }

  function leastBusy(): ReaderThread {
    let best = threadAt(0);
    for (let place = 1; place < workers && best.pending > 0; place += 1) {
      const thread = threadAt(place);
      if (thread.pending < best.pending) best = thread;
    }
    return best;
  }

  function limited(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? lifetime : AbortSignal.any([lifetime, signal]);
  }

  async function openOne({ run, request }: Job, signal: AbortSignal): Promise<ReaderReply> {
    const slot = await slots.take(signal);
    try {
      return await opener.open({ run, request, slot, signal, call: (message) => leastBusy().call(message) });
    } finally {
      slots.giveBack(slot);
    }
  }

  /** Each run goes to the worker that is least busy; replies come in the order of the jobs, which are at most `ahead` further. */
  async function* openAll(jobs: Iterable<Job>, ahead: number, signal: AbortSignal): AsyncGenerator<ReaderReply> {
    const stop = new AbortController();
    const limit = AbortSignal.any([signal, stop.signal]);
    const inFlight: Promise<ReaderReply>[] = [];
    try {
      signal.throwIfAborted();
      for (const job of jobs) {
        const reply = openOne(job, limit);
        reply.catch(() => {});
        inFlight.push(reply);
        if (inFlight.length >= ahead) yield await takeFirst(inFlight);
      }
      while (inFlight.length > 0) yield await takeFirst(inFlight);
    } finally {
      // One that fails stops those beside it, and all have ended before the caller hears of it.
      stop.abort();
      await Promise.allSettled(inFlight);
    }
  }

  async function openInOrder(jobs: Iterable<Job>, signal: AbortSignal | undefined): Promise<void> {
    for await (const _ of openAll(jobs, workers + 2, limited(signal)));
  }

  async function* stream(chunks: ChunkTable, { signal }: { readonly signal?: AbortSignal } = {}) {
    const jobs = mapped(planRuns(chunks, STREAM_RUN), (run) => ({
      run,
      request: (frames) => ({ kind: 'bytes', frames }),
    }));
    for await (const { pieces = [] } of openAll(jobs, 2 * workers, limited(signal))) {
      for (const piece of pieces) {
        yield piece;
        // Its reader asked for the next.
        const memory = piece.buffer as ArrayBuffer;
        if (!memory.detached) memory.transfer(0);
      }
    }
  }

  /** Rejects when the reader was closed, and lets `close` wait for what is under way. */
  function tracked<T>(work: Promise<T>): Promise<T> {
    const ended = work.catch(() => {}).finally(() => underWay.delete(ended));
    underWay.add(ended);
    return work;
  }

  return {
    workers,
    stream,
    file: (chunks, path, { extents, signal } = {}) => tracked(openInOrder(fileRuns(chunks, path, extents), signal)),
    check: (chunks, { signal } = {}) =>
      tracked(
        openInOrder(
          mapped(planRuns(chunks, WORKER_RUN), (run) => ({ run, request: (frames) => ({ kind: 'check', frames }) })),
          signal,
        ),
      ),
    copy: (chunks, job, { signal } = {}) =>
      tracked(
        (async () => {
          const limit = limited(signal);
          const seat = await copySeats.take(limit);
          try {
            return await copyIn(seat, opener, chunks, job, limit);
          } finally {
            copySeats.giveBack(seat);
          }
        })(),
      ),
    async close() {
      if (!closing.signal.aborted) {
        closing.abort(
          new AdapterError('ENGINE_CLOSED', 'the reader of chunks was closed before this was done', {
            hint: 'Run the command again.',
          }),
        );
      }
      await Promise.allSettled([...underWay]);
      await Promise.all(threads.map((thread) => thread?.end(CLOSE_PATIENCE_MS)));
    },
  };
}

function* mapped(runs: Iterable<ChunkRun>, job: (run: ChunkRun) => Job): Generator<Job> {
  for (const run of runs) yield job(run);
}

function takeFirst<T>(line: Promise<T>[]): Promise<T> {
  const first = line.shift();
  if (first === undefined) throw new Error('nothing is under way');
  return first;
}
