import { createLimiter } from '../../../core/limits.ts';
import type { ObjectEntry, ObjectStore } from '../../../ports/object-store.ts';

/** At most so many requests at once; the rest waits in the order of the calls. */
export function limitedStore(store: ObjectStore, parallel: number): ObjectStore {
  const limiter = createLimiter(parallel);
  /** Whoever has waited may have been told to stop meanwhile. */
  const limit = <T>(options: { readonly signal?: AbortSignal } | undefined, work: () => Promise<T>): Promise<T> =>
    limiter(async () => {
      options?.signal?.throwIfAborted();
      return work();
    });
  return {
    place: store.place,
    put: (key, bytes, options) => limit(options, () => store.put(key, bytes, options)),
    get: (key, options) => limit(options, () => store.get(key, options)),
    getRange: (key, range, options) => limit(options, () => store.getRange(key, range, options)),
    stat: (key, options) => limit(options, () => store.stat(key, options)),
    versions: (key, options) => limit(options, () => store.versions(key, options)),
    remove: (keys, options) => limit(options, () => store.remove(keys, options)),
    now: (options) => limit(options, () => store.now(options)),
    async *list(prefix, options) {
      const entries: AsyncIterator<ObjectEntry> = store.list(prefix, options)[Symbol.asyncIterator]();
      try {
        // Not for the whole list: whoever works on each entry with this store would wait for himself.
        for (;;) {
          const next = await limit(options, () => entries.next());
          if (next.done === true) return;
          yield next.value;
        }
      } finally {
        await entries.return?.();
      }
    },
    close: () => store.close(),
  };
}
