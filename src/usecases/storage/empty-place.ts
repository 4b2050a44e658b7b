import type { ObjectStore, StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import { PROBES_PREFIX, probeStore, type StoreProbe } from './probe-store.ts';

/**
 * A place for a new repository: nothing is there but what probes of a killed command left, and the storage does what a
 * repository stands on.
 *
 * @param now milliseconds since 1970, by this machine's clock
 * @throws UseCaseError REPOSITORY_PLACE_NOT_EMPTY, STORE_NOT_CREATE_ONLY, STORE_NOT_FAITHFUL
 */
export async function requireEmptyPlace(
  store: ObjectStore,
  { now, ...options }: StoreOptions & { readonly now: () => number },
): Promise<StoreProbe> {
  for await (const { key } of store.list('', options)) {
    if (key.startsWith(PROBES_PREFIX)) continue;
    throw new UseCaseError('REPOSITORY_PLACE_NOT_EMPTY', `${store.place} holds something, and it is no repository`, {
      found: key,
      hint: 'Choose an empty folder or another prefix.',
    });
  }
  return await probeStore(store, { ...options, now });
}
