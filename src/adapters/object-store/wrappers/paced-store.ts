import type { ObjectStore } from '../../../ports/object-store.ts';
import type { Pace } from '../pace.ts';

/** Holds a store to a rate, object by object: for stores that do not pace their transfers themselves. */
export function pacedStore(store: ObjectStore, pace: Pace): ObjectStore {
  return {
    ...store,
    async put(key, bytes, options) {
      await pace.up(bytes.length, options?.signal);
      return store.put(key, bytes, options);
    },
    async get(key, options) {
      const bytes = await store.get(key, options);
      await pace.down(bytes.length, options.signal);
      return bytes;
    },
    async getRange(key, range, options) {
      await pace.down(range.lengthBytes, options?.signal);
      return store.getRange(key, range, options);
    },
  };
}
