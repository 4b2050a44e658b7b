import { BLOCK_BYTES, type BlockPool } from './block-pool.ts';

/** A blob on its way: what came in on one side, and was not yet taken over for good by the other. */
export interface BlobFeed {
  /** Where what is kept starts and ends in the blob. */
  readonly from: number;
  readonly to: number;
  /** Everything came in, and it was right. */
  readonly finished: boolean;
  /** Takes a copy. Waits for memory. */
  push(chunk: Uint8Array, signal: AbortSignal): Promise<void>;
  finish(): void;
  /** Resolves when bytes up to `offset` came in, or all. Rejects with the signal's reason. */
  until(offset: number, signal: AbortSignal): Promise<void>;
  /** Pieces of a range that is kept, end to end. They are good until the range is released. */
  slice(from: number, to: number): Uint8Array[];
  /** Forgets what lies before `offset`: its memory serves what comes next. */
  release(offset: number): void;
  /** Nobody takes it any more: forgets all, and what still comes in. */
  discard(): void;
}

export function createBlobFeed(pool: BlockPool): BlobFeed {
  const blocks: Uint8Array[] = [];
  let from = 0;
  let to = 0;
  let finished = false;
  let discarded = false;
  let wake: (() => void) | undefined;
  return {
    get from() {
      return from;
    },
    get to() {
      return to;
    },
    get finished() {
      return finished;
    },
    async push(chunk, signal) {
      for (let at = 0; at < chunk.byteLength && !discarded; ) {
        if (to === from + blocks.length * BLOCK_BYTES) {
          const block = await pool.take(signal);
          if (discarded) return pool.give(block);
          blocks.push(block);
        }
        const last = blocks.at(-1) as Uint8Array;
        const piece = chunk.subarray(at, at + from + blocks.length * BLOCK_BYTES - to);
        last.set(piece, to - from - (blocks.length - 1) * BLOCK_BYTES);
        at += piece.byteLength;
        to += piece.byteLength;
        wake?.();
      }
    },
    finish() {
      finished = true;
      wake?.();
    },
    async until(offset, signal) {
      while (!finished && to < offset) {
        signal.throwIfAborted();
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const stop = (): void => reject(signal.reason);
        wake = resolve;
        signal.addEventListener('abort', stop, { once: true });
        try {
          await promise;
        } finally {
          signal.removeEventListener('abort', stop);
        }
      }
    },
    slice(sliceFrom, sliceTo) {
      const pieces: Uint8Array[] = [];
      for (let at = sliceFrom; at < sliceTo; ) {
        const start = (at - from) % BLOCK_BYTES;
        const block = blocks[Math.floor((at - from) / BLOCK_BYTES)] as Uint8Array;
        const piece = block.subarray(start, start + sliceTo - at);
        pieces.push(piece);
        at += piece.byteLength;
      }
      return pieces;
    },
    release(offset) {
      while (blocks.length > 0 && (from + BLOCK_BYTES <= offset || (finished && offset === to))) {
        pool.give(blocks.shift() as Uint8Array);
        from = Math.min(from + BLOCK_BYTES, to);
      }
    },
    discard() {
      discarded = true;
      for (const _block of blocks.splice(0)) pool.drop();
      from = to;
    },
  };
}
