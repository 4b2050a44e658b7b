/**
 * A pool of worker threads that run synchronous jobs. Jobs start in the order in which they were asked for.
 *
 * Pool and worker share four integers, because a worker in a synchronous loop reads no messages:
 *
 *     0   the number of the job that is to end at once
 *     1   the number of the job that has begun to change the world, and must be cleaned up after if its worker dies
 */
import { parentPort, Worker, workerData } from 'node:worker_threads';

const ABORTED = 0;
const CLAIMED = 1;
const CONTROL_WORDS = 2;
/** Progress is told in steps of this size: a message for every batch would cost more than it shows. */
const PROGRESS_STEP_BYTES = 8 * 1024 * 1024;

/** Jobs hold their data outside of the heap; a small young generation saves some MiB for each worker. */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 };

export interface WorkerTask<Request> {
  /** Makes the request on the calling thread, shortly before a worker is free for it. */
  readonly prepare: () => Promise<Request> | Request;
  /** Undoes what a job left behind whose worker died after `claim()`. */
  readonly cleanUp?: () => Promise<void>;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

export interface WorkerPool<Request, Reply> {
  readonly workers: number;
  /** Rejects with the job's failure, with `signal.reason` after an abort, or with what `lost` and `closed` make. */
  run(task: WorkerTask<Request>): Promise<Reply>;
  /** Ends running jobs, rejects waiting ones, ends the workers. */
  close(): Promise<void>;
}

export interface WorkerPoolOptions {
  /** The module that the worker runs; it calls `serveJobs`. */
  readonly url: URL;
  readonly workers: number;
  /** Turns a failure that `serveJobs` encoded back into an error. */
  readonly decodeFailure: (failure: unknown) => Error;
  /** The error of a job whose worker died. */
  readonly lost: (cause: unknown) => Error;
  /** The error of a job that was not done when the pool closed. */
  readonly closed: () => Error;
  /** A worker that has had nothing to do for so long ends; the next job gets a new one. Without this they all stay until `close`. */
  readonly idleMs?: number;
}

/** What a job can do while it runs in the worker. */
export interface JobControl {
  /** True once the job's result is no longer wanted: throw `JobAborted`. Cheap; call it for every batch. */
  aborted(): boolean;
  /** From here on the job's leftovers need `cleanUp` if the worker dies. */
  claim(): void;
  advance(bytes: number): void;
}

/** Thrown by a job that saw `aborted()`. */
export class JobAborted extends Error {}

type WorkerMessage<Reply> =
  | { readonly type: 'progress'; readonly bytes: number }
  | { readonly type: 'done'; readonly reply: Reply; readonly bytes: number }
  | { readonly type: 'failed'; readonly failure: unknown; readonly bytes: number }
  | { readonly type: 'aborted' };

interface Job<Request, Reply> {
  readonly number: number;
  readonly task: WorkerTask<Request>;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
  request?: { readonly value: Request };
  preparing: boolean;
  settled: boolean;
  onAbort?: () => void;
}

interface Seat<Request, Reply> {
  readonly worker: Worker;
  readonly control: Int32Array;
  job: Job<Request, Reply> | undefined;
  /** Ends it. */
  idle?: NodeJS.Timeout;
}

export function createWorkerPool<Request, Reply>(options: WorkerPoolOptions): WorkerPool<Request, Reply> {
  const waiting: Job<Request, Reply>[] = [];
  const seats = new Set<Seat<Request, Reply>>();
  let jobs = 0;
  let isClosed = false;
  let whenIdle: (() => void) | undefined;
  let closing: Promise<void> | undefined;

  function settle(job: Job<Request, Reply>, finish: () => void): void {
    if (job.settled) return;
    job.settled = true;
    if (job.onAbort !== undefined) job.task.signal?.removeEventListener('abort', job.onAbort);
    finish();
  }

  function dismiss(job: Job<Request, Reply>, error: unknown): void {
    const index = waiting.indexOf(job);
    if (index >= 0) waiting.splice(index, 1);
    settle(job, () => job.reject(error));
  }

  /** Prepares the jobs at the head of the line, then hands the first ones to free workers; never out of order. */
  function pump(): void {
    for (const job of waiting.slice(0, options.workers + 1)) prepare(job);
    for (let job = waiting[0]; job?.request !== undefined; job = waiting[0]) {
      const seat = freeSeat();
      if (seat === undefined) return;
      waiting.shift();
      start(seat, job, job.request.value);
    }
  }

  function prepare(job: Job<Request, Reply>): void {
    if (job.preparing) return;
    job.preparing = true;
    // The detour through `async` turns a synchronous throw into a rejection.
    (async () => job.task.prepare())().then(
      (value) => {
        if (job.settled) return;
        job.request = { value };
        pump();
      },
      (error) => {
        dismiss(job, error);
        pump();
      },
    );
  }

  function freeSeat(): Seat<Request, Reply> | undefined {
    for (const seat of seats) if (seat.job === undefined) return seat;
    return seats.size < options.workers ? hire() : undefined;
  }

  function start(seat: Seat<Request, Reply>, job: Job<Request, Reply>, request: Request): void {
    clearTimeout(seat.idle);
    seat.job = job;
    // Busy workers keep the process alive, idle ones do not.
    seat.worker.ref();
    seat.worker.postMessage({ number: job.number, request });
  }

  function hire(): Seat<Request, Reply> {
    const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT));
    const worker = new Worker(options.url, { workerData: { control }, resourceLimits: HEAP_LIMITS });
    const seat: Seat<Request, Reply> = { worker, control, job: undefined };
    let cause: unknown;
    worker.on('message', (message: WorkerMessage<Reply>) => receive(seat, message));
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', () => bury(seat, cause));
    worker.unref();
    seats.add(seat);
    return seat;
  }

  function receive(seat: Seat<Request, Reply>, message: WorkerMessage<Reply>): void {
    const job = seat.job;
    if (job === undefined) return;
    if ('bytes' in message && message.bytes > 0) job.task.onBytes?.(message.bytes);
    if (message.type === 'progress') return;
    seat.job = undefined;
    seat.worker.unref();
    rest(seat);
    settle(job, () => {
      if (message.type === 'done') job.resolve(message.reply);
      else if (message.type === 'failed') job.reject(options.decodeFailure(message.failure));
      else job.reject(isClosed ? options.closed() : job.task.signal?.reason);
    });
    next();
  }

  function rest(seat: Seat<Request, Reply>): void {
    if (options.idleMs === undefined) return;
    seat.idle = setTimeout(() => {
      // From here on nobody gives it a job.
      seats.delete(seat);
      void seat.worker.terminate();
    }, options.idleMs).unref();
  }

  function bury(seat: Seat<Request, Reply>, cause: unknown): void {
    seats.delete(seat);
    const job = seat.job;
    seat.job = undefined;
    if (job !== undefined) {
      const claimed = Atomics.load(seat.control, CLAIMED) === job.number;
      const cleaned = claimed ? (job.task.cleanUp?.() ?? Promise.resolve()) : Promise.resolve();
      cleaned.catch(() => {}).then(() => settle(job, () => job.reject(options.lost(cause))));
    }
    next();
  }

  function next(): void {
    if (!isClosed) pump();
    else if ([...seats].every((seat) => seat.job === undefined)) whenIdle?.();
  }

  function stop(job: Job<Request, Reply>, error: unknown): void {
    for (const seat of seats) {
      // A running job settles when its worker has stopped and cleaned up, so that nothing of it is left.
      if (seat.job === job) return void Atomics.store(seat.control, ABORTED, job.number);
    }
    dismiss(job, error);
  }

  async function endAll(): Promise<void> {
    isClosed = true;
    for (const job of [...waiting]) dismiss(job, options.closed());
    const running = [...seats].flatMap((seat) => seat.job ?? []);
    for (const job of running) stop(job, undefined);
    if (running.length > 0) {
      await new Promise<void>((resolve) => {
        whenIdle = resolve;
      });
    }
    await Promise.all([...seats].map((seat) => seat.worker.terminate()));
  }

  return {
    workers: options.workers,
    run(task) {
      return new Promise<Reply>((resolve, reject) => {
        if (isClosed) return reject(options.closed());
        if (task.signal?.aborted === true) return reject(task.signal.reason);
        jobs += 1;
        const job: Job<Request, Reply> = { number: jobs, task, resolve, reject, preparing: false, settled: false };
        job.onAbort = () => {
          stop(job, task.signal?.reason);
          pump();
        };
        task.signal?.addEventListener('abort', job.onAbort);
        waiting.push(job);
        pump();
      });
    },
    close() {
      closing ??= endAll();
      return closing;
    },
  };
}

/**
 * Runs in the worker: answers each request with what `handle` returns or, encoded, throws. Bytes that are the reply are
 * handed over without a copy: `handle` keeps nothing of them.
 */
export function serveJobs<Request, Reply>(
  handle: (request: Request, control: JobControl) => Reply,
  encodeFailure: (error: unknown) => unknown,
): void {
  const port = parentPort;
  if (port === null) throw new Error('serveJobs runs in a worker thread only');
  const { control } = workerData as { readonly control: Int32Array };
  const post = (message: WorkerMessage<Reply>) => port.postMessage(message);
  port.on('message', ({ number, request }: { readonly number: number; readonly request: Request }) => {
    let bytes = 0;
    const job: JobControl = {
      aborted: () => Atomics.load(control, ABORTED) === number,
      claim: () => void Atomics.store(control, CLAIMED, number),
      advance(more) {
        bytes += more;
        if (bytes < PROGRESS_STEP_BYTES) return;
        post({ type: 'progress', bytes });
        bytes = 0;
      },
    };
    try {
      const reply = handle(request, job);
      const handedOver = reply instanceof Uint8Array && reply.length === reply.buffer.byteLength ? [reply.buffer] : [];
      port.postMessage({ type: 'done', reply, bytes } satisfies WorkerMessage<Reply>, handedOver as ArrayBuffer[]);
    } catch (error) {
      if (error instanceof JobAborted) post({ type: 'aborted' });
      else post({ type: 'failed', failure: encodeFailure(error), bytes });
    }
  });
}
