/**
 * Memory for bytes on their way, in blocks that serve again and again: what is allocated anew for each part of a large
 * image costs more time to be collected as garbage than to be sent.
 */
export interface BlockPool {
  /** Waits until a block is free; who comes first is served first. Rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<Uint8Array>;
  /** The block is written no more and read no more. */
  give(block: Uint8Array): void;
  /** The block is not needed, but a connection that broke may still hold it: it is not used again. */
  drop(): void;
}

/** Also what is written to a connection at once: the smallest progress by which a slow registry is told from a dead one. */
export const BLOCK_BYTES = 256 * 1024;

export function createBlockPool(totalBytes: number): BlockPool {
  const free: Uint8Array[] = [];
  const budget = createBudget(Math.max(1, Math.floor(totalBytes / BLOCK_BYTES)));
  return {
    async take(signal) {
      await budget.take(signal);
      return free.pop() ?? new Uint8Array(BLOCK_BYTES);
    },
    give(block) {
      free.push(block);
      budget.give();
    },
    drop: () => budget.give(),
  };
}

/** A number of places. */
export interface Budget {
  take(signal: AbortSignal): Promise<void>;
  give(): void;
}

export function createBudget(total: number): Budget {
  let used = 0;
  const waiting: (() => void)[] = [];
  return {
    async take(signal) {
      signal.throwIfAborted();
      if (used < total) {
        used += 1;
        return;
      }
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const stop = (): void => {
        const at = waiting.indexOf(resolve);
        if (at < 0) return; // It was served in this moment.
        waiting.splice(at, 1);
        reject(signal.reason);
      };
      waiting.push(resolve);
      signal.addEventListener('abort', stop, { once: true });
      try {
        await promise;
      } finally {
        signal.removeEventListener('abort', stop);
      }
    },
    give() {
      // The place is handed on, so that nobody who comes later can take it in between.
      const next = waiting.shift();
      if (next) next();
      else used -= 1;
    },
  };
}
