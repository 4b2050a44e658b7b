/**
 * The workers of a writer, and the line of jobs before them. It is no pool of src/core/worker-pool.ts: workers fill one pack
 * together, so that a worker that is lost cannot be replaced, and some jobs wait for events.
 */
import { Worker } from 'node:worker_threads';
import { pause } from '../../core/retry.ts';
import { decodeFailure } from '../sealing/failure.ts';
import type { FromWorker, JobReply, SealedPack, ToWorker, WorkerJob, WorkerStart } from './messages.ts';
import { clearRing, createRing, endRing, type RingMemory } from './ring.ts';
import { wake } from './shared-memory.ts';

/** Jobs hold their data outside of the heap; a small young generation saves some MiB for each worker. */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 96 };

const CLOSE_WAIT_MS = 10_000;

export interface SeatJob {
  readonly job: WorkerJob;
  readonly signal: AbortSignal | undefined;
  /** A worker has taken the job; for a stream, whose bytes go into the ring. `stop` ends the job with an error. */
  readonly onStart?: (ring: RingMemory, stop: (error: unknown) => void, isOver: () => boolean) => void;
}

export interface Seats {
  run(job: SeatJob): Promise<JobReply>;
  /** Waits until there is no job, has the open pack sealed and sessions ended, and runs `settle` before the next job begins. */
  flush<T>(settle: () => Promise<T>): Promise<T>;
  /** Ends what runs and what waits, with this error, and lets nothing begin. */
  fail(error: unknown): void;
  /** After `fail`: resolves when the workers are gone. */
  close(): Promise<void>;
}

export interface SeatsOptions {
  readonly url: URL;
  readonly workers: number;
  readonly start: Omit<WorkerStart, 'ring' | 'control'>;
  readonly onPack: (pack: SealedPack) => void;
  readonly onBytes: (bytes: number) => void;
  /** A worker died, and what it was about to put into a pack with it. */
  readonly onLost: (cause: unknown) => void;
}

interface Job {
  readonly number: number;
  readonly work: SeatJob;
  readonly resolve: (reply: JobReply) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: () => void;
  /** Why it is being stopped. */
  stopped?: { readonly error: unknown };
}

interface Seat {
  readonly worker: Worker;
  readonly ring: RingMemory;
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly gone: Promise<void>;
  job: Job | undefined;
}

export function createSeats(options: SeatsOptions): Seats {
  const { memory } = options.start;
  const waiting: Job[] = [];
  const seats: Seat[] = [];
  const idle: (() => void)[] = [];
  let jobs = 0;
  let isFlushing = false;
  let failed: { readonly error: unknown } | undefined;
  let isClosing = false;

  function hire(): void {
    const ring = createRing();
    const control = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const workerData: WorkerStart = { ...options.start, ring, control };
    const worker = new Worker(options.url, { workerData, resourceLimits: HEAP_LIMITS });
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const seat: Seat = { worker, ring, control, gone, job: undefined };
    let cause: unknown;
    worker.on('message', (message: FromWorker) => receive(seat, message));
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', () => {
      seats.splice(seats.indexOf(seat), 1);
      if (!isClosing) options.onLost(cause);
      if (seat.job !== undefined) settle(seat, seat.job.stopped?.error ?? failed?.error ?? cause);
      resolve();
    });
    worker.unref();
    seats.push(seat);
  }

  function receive(seat: Seat, message: FromWorker): void {
    if (message.type === 'pack') {
      options.onPack(message.pack);
      return;
    }
    if ('bytes' in message && message.bytes > 0) options.onBytes(message.bytes);
    const { job } = seat;
    if (message.type === 'bytes' || job === undefined) return;
    if (job.stopped !== undefined) settle(seat, job.stopped.error);
    else if (message.type === 'done') settle(seat, undefined, message.reply);
    else if (message.type === 'failed') settle(seat, decodeFailure(message.failure));
    else settle(seat, failed?.error);
  }

  function settle(seat: Seat, error: unknown, reply?: JobReply): void {
    const job = seat.job as Job;
    seat.job = undefined;
    seat.worker.unref();
    job.work.signal?.removeEventListener('abort', job.onAbort);
    if (reply === undefined) job.reject(error);
    else job.resolve(reply);
    pump();
  }

  function pump(): void {
    if (!isFlushing && failed === undefined) {
      while (waiting.length > 0) {
        const seat = seats.find(({ job }) => job === undefined);
        if (seat === undefined) return;
        begin(seat, waiting.shift() as Job);
      }
    }
    if (isIdle()) for (const tell of idle.splice(0)) tell();
  }

  function begin(seat: Seat, job: Job): void {
    seat.job = job;
    clearRing(seat.ring);
    // Busy workers keep the process alive, idle ones do not.
    seat.worker.ref();
    seat.worker.postMessage({ type: 'job', number: job.number, job: job.work.job } satisfies ToWorker);
    job.work.onStart?.(
      seat.ring,
      (error) => stop(job, error),
      () => seat.job !== job || job.stopped !== undefined,
    );
  }

  /** A running job settles when its worker has stopped, so that nothing of it goes on. */
  function stop(job: Job, error: unknown): void {
    const seat = seats.find((one) => one.job === job);
    if (seat === undefined) {
      const place = waiting.indexOf(job);
      if (place < 0) return;
      waiting.splice(place, 1);
      job.work.signal?.removeEventListener('abort', job.onAbort);
      job.reject(error);
      return;
    }
    job.stopped ??= { error };
    Atomics.store(seat.control, 0, job.number);
    wake(memory);
    endRing(seat.ring);
    seat.worker.postMessage({ type: 'abort', number: job.number } satisfies ToWorker);
  }

  function enqueue(work: SeatJob, put: (job: Job) => void): Promise<JobReply> {
    return new Promise((resolve, reject) => {
      if (failed !== undefined) return reject(failed.error);
      if (work.signal?.aborted === true) return reject(work.signal.reason);
      jobs += 1;
      const onAbort = () => stop(job, work.signal?.reason);
      const job: Job = { number: jobs, work, resolve, reject, onAbort };
      work.signal?.addEventListener('abort', onAbort, { once: true });
      put(job);
    });
  }

  const isIdle = () => !isFlushing && waiting.length === 0 && seats.every(({ job }) => job === undefined);

  async function whenIdle(): Promise<void> {
    if (isIdle()) return;
    await new Promise<void>((resolve) => idle.push(resolve));
  }

  async function flush<T>(settle: () => Promise<T>): Promise<T> {
    while (!isIdle()) await whenIdle();
    isFlushing = true;
    try {
      const work: SeatJob = { job: { kind: 'flush' }, signal: undefined };
      await Promise.all(seats.map((seat) => enqueue(work, (job) => begin(seat, job))));
      return await settle();
    } finally {
      isFlushing = false;
      pump();
    }
  }

  // They start while the caller still looks for what there is to do.
  while (seats.length < options.workers) hire();

  return {
    run: (work) =>
      enqueue(work, (job) => {
        waiting.push(job);
        pump();
      }),
    flush,
    fail(error) {
      failed ??= { error };
      for (const job of [...waiting]) stop(job, failed.error);
      for (const { job } of [...seats]) if (job !== undefined) stop(job, failed.error);
      pump();
    },
    async close() {
      isClosing = true;
      // So that a database is told to stop. A worker that hangs in the system ends without that.
      const done = new AbortController();
      const limit = pause(CLOSE_WAIT_MS, { signal: done.signal }).catch(() => {});
      await Promise.race([whenIdle(), limit]);
      done.abort();
      await Promise.all([...seats].map(({ worker, gone }) => Promise.all([worker.terminate(), gone])));
    },
  };
}
