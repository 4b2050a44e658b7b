import { AdapterError } from '../../errors.ts';

/** In milliseconds. */
export interface TimeLimits {
  /** Until a connection stands. */
  readonly connectTimeoutMs: number;
  /** From the end of a request until the answer's headers. */
  readonly answerTimeoutMs: number;
  /** In such a window, {@link MIN_BYTES_A_WINDOW} must have been transferred. */
  readonly stallTimeoutMs: number;
}

export const USUAL_LIMITS: TimeLimits = { connectTimeoutMs: 15_000, answerTimeoutMs: 60_000, stallTimeoutMs: 60_000 };

/** Whoever sends a byte a minute would hold a transfer for ever. */
const MIN_BYTES_A_WINDOW = 64 << 10;

/** Watches over one request, from its first byte to the last of its answer. */
export interface Watch extends Disposable {
  /** Aborted by the caller's signal, or when nothing moves. */
  readonly signal: AbortSignal;
  /** Bytes of a body went out or came in. */
  moved(bytes: number): void;
  /** The body is sent; the answer's headers are waited for. */
  sent(): void;
  /** What the answer's headers said. */
  answer: { readonly status: number; readonly date?: string; readonly retryAfter?: string } | undefined;
}

const watches = new WeakMap<object, Watch>();

/** The watch that a signal belongs to: whoever sends the request is given no more than the signal. */
export function watchOf(signal: object): Watch | undefined {
  return watches.get(signal);
}

export function startWatch(place: string, limits: TimeLimits, outer: AbortSignal | undefined): Watch {
  outer?.throwIfAborted();
  const controller = new AbortController();
  const stop = () => controller.abort(outer?.reason);
  outer?.addEventListener('abort', stop, { once: true });
  let windowBytes = 0;
  const timer = setTimeout(() => controller.abort(stalled(place, limits)), limits.stallTimeoutMs);
  const watch: Watch = {
    signal: controller.signal,
    answer: undefined,
    moved(bytes) {
      windowBytes += bytes;
      if (windowBytes < MIN_BYTES_A_WINDOW) return;
      windowBytes = 0;
      timer.refresh();
    },
    sent() {
      windowBytes = 0;
      timer.refresh();
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      outer?.removeEventListener('abort', stop);
    },
  };
  watches.set(controller.signal, watch);
  return watch;
}

function stalled(place: string, { stallTimeoutMs }: TimeLimits): AdapterError {
  return new AdapterError('STORE_TIMEOUT', `${place}: the transfer came to a standstill`, {
    expected: `some progress every ${Math.ceil(stallTimeoutMs / 1000)} s`,
    hint: 'Check the network and the load of the storage. What was stored is kept: run the command again.',
  });
}
