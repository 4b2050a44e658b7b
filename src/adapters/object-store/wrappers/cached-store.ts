import type { ObjectStore } from '../../../ports/object-store.ts';
import { type CacheFolder, type CacheSettings, openCacheFolder } from './cache-folder.ts';

/** What is small, never changes and is read by every run. Packs are large, and `repo.json` says which repository this is. */
const KEPT = /^(?:keys|snapshots|forgotten|rewraps|index)\//;

/**
 * Keeps small objects of one repository in a local folder. With a digest, an object is what the digest says or is fetched. Without
 * one, it is what this machine once saw under that key: whoever wants to know what the storage holds asks the store itself.
 * The folder belongs to one repository; nothing fails because of it.
 */
export function cachedStore(store: ObjectStore, settings: CacheSettings): ObjectStore {
  let opened: Promise<CacheFolder> | undefined;
  const cache = () => {
    opened ??= openCacheFolder(settings);
    return opened;
  };
  return {
    ...store,
    async put(key, bytes, options) {
      const result = await store.put(key, bytes, options);
      if (result === 'created' && KEPT.test(key)) await (await cache()).write(key, bytes);
      return result;
    },
    async get(key, options) {
      if (!KEPT.test(key)) return store.get(key, options);
      options.signal?.throwIfAborted();
      const folder = await cache();
      const kept = await folder.read(key, options.expected?.digest, options.maxBytes);
      if (kept !== undefined) return kept;
      const bytes = await store.get(key, options);
      await folder.write(key, bytes);
      return bytes;
    },
    async remove(keys, options) {
      const folder = await cache();
      for (const key of keys) if (KEPT.test(key)) await folder.remove(key);
      await store.remove(keys, options);
    },
  };
}
