/**
 * Bytes from the main thread to a worker, through memory that both see. Numbers of bytes count from the start of the job,
 * modulo 2^32.
 *
 *     0   WRITTEN
 *     1   READ
 *     2   ENDED    1 once nothing more is written
 */
const WRITTEN = 0;
const READ = 1;
const ENDED = 2;
const WORDS = 3;
const RING_BYTES = 1024 * 1024;
/** A wake-up that was missed costs no more than this. */
const WAIT_MS = 1000;

export interface RingMemory {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
}

export function createRing(): RingMemory {
  return {
    words: new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT)),
    bytes: new Uint8Array(new SharedArrayBuffer(RING_BYTES)),
  };
}

/** Before a job: nobody reads or writes. */
export function clearRing({ words }: RingMemory): void {
  words.fill(0);
}

/** Writes all of it; waits, without blocking the thread, while the ring is full. Stops early when `isStopped` says so. */
export async function writeRing(ring: RingMemory, input: Uint8Array, isStopped: () => boolean): Promise<void> {
  const { words, bytes } = ring;
  for (let done = 0; done < input.length && !isStopped(); ) {
    const read = Atomics.load(words, READ);
    const written = words[WRITTEN] as number;
    const at = (written >>> 0) % bytes.length;
    const length = Math.min(bytes.length - ((written - read) | 0), bytes.length - at, input.length - done);
    if (length === 0) {
      const waited = Atomics.waitAsync(words, READ, read, WAIT_MS);
      if (waited.async) await waited.value;
      continue;
    }
    bytes.set(input.subarray(done, done + length), at);
    done += length;
    Atomics.store(words, WRITTEN, (written + length) | 0);
    Atomics.notify(words, WRITTEN);
  }
}

export function endRing({ words }: RingMemory): void {
  Atomics.store(words, ENDED, 1);
  // The worker may be waiting for bytes.
  Atomics.notify(words, WRITTEN);
}

/**
 * In the worker: copies what there is into `target` and returns how much that was; blocks while there is nothing; 0 at the
 * end. `checkWanted` is called before each wait, and may throw.
 */
export function readRing({ words, bytes }: RingMemory, target: Uint8Array, checkWanted: () => void): number {
  for (;;) {
    const ended = Atomics.load(words, ENDED) === 1;
    const written = Atomics.load(words, WRITTEN);
    const read = words[READ] as number;
    const at = (read >>> 0) % bytes.length;
    const length = Math.min((written - read) | 0, bytes.length - at, target.length);
    if (length > 0) {
      target.set(bytes.subarray(at, at + length));
      Atomics.store(words, READ, (read + length) | 0);
      Atomics.notify(words, READ);
      return length;
    }
    if (ended) return 0;
    checkWanted();
    Atomics.wait(words, WRITTEN, written, WAIT_MS);
  }
}
