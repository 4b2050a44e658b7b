import { Worker } from 'node:worker_threads';
import { decodeFailure } from '../sealing/failure.ts';
import { workerDied } from '../worker-died.ts';
import type { ReaderReply, ReaderRequest, WorkerMessage, WorkerSettings } from './requests.ts';

/** Chunks lie outside of the heap; a small young generation saves some MiB for each worker. */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 };

/** A worker that takes requests while others are under way: a COPY that waits for its server holds up nobody. */
export interface ReaderThread {
  /** Requests that are not answered yet. */
  readonly pending: number;
  call(request: ReaderRequest): Promise<ReaderReply>;
  /** Lets a running request end, as long as that takes at most `patienceMs`. */
  end(patienceMs: number): Promise<void>;
}

interface Call {
  readonly resolve: (reply: ReaderReply) => void;
  readonly reject: (error: unknown) => void;
}

/** `lost` is told once when the thread ended by itself: it takes no more requests. */
export function startThread(url: URL, settings: WorkerSettings, lost: () => void): ReaderThread {
  const worker = new Worker(url, { workerData: settings, resourceLimits: HEAP_LIMITS });
  const calls = new Map<number, Call>();
  let count = 0;
  let cause: unknown;
  let ended = false;

  function settle(number: number): Call | undefined {
    const call = calls.get(number);
    calls.delete(number);
    // A busy worker keeps the process alive, an idle one does not.
    if (calls.size === 0) worker.unref();
    return call;
  }

  worker.on('message', (message: WorkerMessage) => {
    const call = settle(message.call);
    if ('failure' in message) call?.reject(decodeFailure(message.failure));
    else call?.resolve(message.reply);
  });
  worker.on('error', (error) => {
    cause = error;
  });
  worker.on('exit', () => {
    if (!ended) lost();
    ended = true;
    for (const number of [...calls.keys()]) settle(number)?.reject(workerDied(cause));
  });
  worker.unref();

  return {
    get pending() {
      return calls.size;
    },
    call(request) {
      if (ended) return Promise.reject(workerDied(cause));
      return new Promise((resolve, reject) => {
        count += 1;
        calls.set(count, { resolve, reject });
        worker.ref();
        worker.postMessage({ call: count, request });
      });
    },
    async end(patienceMs) {
      if (!ended) {
        let timer: NodeJS.Timeout | undefined;
        const patience = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, patienceMs);
        });
        await Promise.race([this.call({ kind: 'close' }).catch(() => {}), patience]);
        clearTimeout(timer);
      }
      ended = true;
      await worker.terminate();
    },
  };
}
