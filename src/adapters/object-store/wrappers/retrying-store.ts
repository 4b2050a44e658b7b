import { backoffMs, pause, type RetryPolicy, retry } from '../../../core/retry.ts';
import type { ObjectStore, StoreOptions } from '../../../ports/object-store.ts';
import { AdapterError } from '../../errors.ts';
import { decideStoreRetry } from '../store-errors.ts';

export interface StoreRetries {
  /** Once the storage has answered: a network may be gone for minutes. */
  readonly policy?: RetryPolicy;
  /** Until it has: whoever mistyped an address wants to know soon. */
  readonly firstPolicy?: RetryPolicy;
  /** Told of every failure that is tried again. */
  readonly onRetry?: (failure: AdapterError) => void;
}

/** Four minutes at the least, when every wait is drawn as short as it may be; mostly six. */
export const PATIENT: RetryPolicy = { attempts: 15, baseDelayMs: 500, maxDelayMs: 60_000 };
const FIRST: RetryPolicy = { attempts: 4, baseDelayMs: 500, maxDelayMs: 5_000 };
const NO_ANSWER = new Set(['STORE_UNREACHABLE', 'STORE_UNTRUSTED', 'STORE_TIMEOUT']);
/** How much of a stored object is compared at a time. */
const COMPARE_BYTES = 1 << 20;

/**
 * Tries again what a network or a busy storage spoilt. Everything here may be repeated: objects do not change, and are created
 * only where there is none. A put whose answer was lost finds its own object, which is compared and counts as created.
 */
export function retryingStore(store: ObjectStore, settings: StoreRetries = {}): ObjectStore {
  let hasAnswered = false;
  const policy = () => (hasAnswered ? (settings.policy ?? PATIENT) : (settings.firstPolicy ?? FIRST));
  const decide = (failure: unknown) => {
    if (failure instanceof AdapterError && !NO_ANSWER.has(failure.code)) hasAnswered = true;
    const decision = decideStoreRetry(failure);
    if (decision !== 'give-up') settings.onRetry?.(failure as AdapterError);
    return decision;
  };
  const again = async <T>(work: () => Promise<T>, options: StoreOptions = {}): Promise<T> => {
    const result = await retry(work, policy(), decide, options);
    hasAnswered = true;
    return result;
  };

  return {
    place: store.place,
    put(key, bytes, options) {
      let isInDoubt = false;
      return again(async () => {
        const before = isInDoubt ? await compareStored(store, key, bytes, options) : 'missing';
        if (before === 'same') return 'created';
        if (before === 'other') return 'exists';
        try {
          const result = await store.put(key, bytes, options);
          if (result === 'created' || !isInDoubt) return result;
        } catch (failure) {
          isInDoubt = true;
          throw failure;
        }
        return (await compareStored(store, key, bytes, options)) === 'same' ? 'created' : 'exists';
      }, options);
    },
    get: (key, options) => again(() => store.get(key, options), options),
    getRange: (key, range, options) => again(() => store.getRange(key, range, options), options),
    stat: (key, options) => again(() => store.stat(key, options), options),
    versions: (key, options) => again(() => store.versions(key, options), options),
    remove: (keys, options) => again(() => store.remove(keys, options), options),
    now: (options) => again(() => store.now(options), options),
    async *list(prefix, options = {}) {
      let after = options.after;
      // Each entry is progress: a long list is not given up because of many small failures.
      for (let attempt = 1; ; attempt += 1) {
        try {
          for await (const entry of store.list(prefix, { ...options, ...(after === undefined ? {} : { after }) })) {
            hasAnswered = true;
            attempt = 0;
            after = entry.key;
            yield entry;
          }
          return;
        } catch (failure) {
          const decision = decide(failure);
          if (decision === 'give-up' || attempt >= policy().attempts || options.signal?.aborted) throw failure;
          await pause(Math.max(decision.delayMs ?? 0, backoffMs(Math.max(attempt, 1), policy())), options);
        }
      }
    },
    close: () => store.close(),
  };
}

/** By pieces: a second object of 16 MiB would not fit into what a backup may use. `unknown` where one may not read. */
async function compareStored(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  options: StoreOptions = {},
): Promise<'same' | 'other' | 'missing' | 'unknown'> {
  try {
    const entry = await store.stat(key, options);
    if (entry === undefined) return 'missing';
    if (entry.sizeBytes !== bytes.length) return 'other';
    const piece = Buffer.alloc(Math.min(COMPARE_BYTES, bytes.length));
    for (let offsetBytes = 0; offsetBytes < bytes.length; offsetBytes += piece.length) {
      const ours = bytes.subarray(offsetBytes, offsetBytes + piece.length);
      const range = { offsetBytes, lengthBytes: ours.length };
      const theirs = await store.getRange(key, range, { ...options, into: piece });
      if (Buffer.compare(theirs, ours) !== 0) return 'other';
    }
    return 'same';
  } catch (failure) {
    if (!(failure instanceof AdapterError)) throw failure;
    if (failure.code === 'OBJECT_MISSING') return 'missing';
    if (failure.code === 'OBJECT_DAMAGED') return 'other';
    if (failure.code === 'STORE_DENIED') return 'unknown';
    throw failure;
  }
}
