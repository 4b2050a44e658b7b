import { orderedMap } from '../../core/ordered-map.ts';
import { KEY_PREFIXES, parseRepositoryKey } from '../../formats/repository/keys.ts';
import {
  decodeVerification,
  VERIFICATION_MAX_BYTES,
  type Verification,
} from '../../formats/repository/verification.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { isFinding, keysEverOf, type SnapshotInfo, type UnreadableObject } from './chains.ts';
import { PARALLEL_REQUESTS } from './limits.ts';
import { isCode, readAcceptable } from './objects.ts';
import type { OpenedRepository } from './open.ts';

export interface ReadVerifications {
  /** Good when no verifier's newest word is bad; `undefined` when nobody said anything. */
  readonly of: (snapshot: Pick<SnapshotInfo, 'writer' | 'sequence' | 'digest'>) => boolean | undefined;
  /** The newest word of each verifier on each snapshot. */
  readonly words: readonly Verification[];
  readonly unreadable: readonly UnreadableObject[];
}

/**
 * What verifiers of the present roster signed; of each verifier and snapshot the newest that verifies. One that does not hides
 * no older one: a writer could else take the word of a verifier away, and have the snapshot forgotten.
 */
export async function readVerifications(
  repository: OpenedRepository,
  options: StoreOptions = {},
): Promise<ReadVerifications> {
  const keys = keysEverOf({ rosters: [repository.roster] }, 'verifiers');
  const found = new Map<string, Verification[]>();
  const unreadable: UnreadableObject[] = [];
  const readNewest = async (newestFirst: readonly string[]): Promise<Verification | undefined> => {
    for (const key of newestFirst) {
      try {
        const decode = (bytes: Uint8Array) => decodeVerification(bytes, { keys, repository: repository.id, at: key });
        const maxBytes = VERIFICATION_MAX_BYTES;
        return (await readAcceptable(repository.store, key, maxBytes, signalOf(options), decode)).document;
      } catch (error) {
        // Words of a verifier who left the roster count for nothing, and are no damage.
        if (isCode(error, 'OBJECT_MISSING', 'SIGNED_DOCUMENT_UNSIGNED')) continue;
        if (!isFinding(error)) throw error;
        unreadable.push({ key, error });
      }
    }
    return undefined;
  };
  const listed = await listWords(repository, options);
  for await (const document of orderedMap(listed, PARALLEL_REQUESTS, readNewest)) {
    if (document === undefined) continue;
    const place = `${document.writer}/${document.sequence}/${document.snapshot}`;
    found.set(place, [...(found.get(place) ?? []), document]);
  }
  return {
    of: ({ writer, sequence, digest }) => {
      const words = found.get(`${writer}/${sequence}/${digest}`);
      return words === undefined ? undefined : words.every(({ result }) => result === 'good');
    },
    words: [...found.values()].flat(),
    unreadable,
  };
}

/** Keys of each verifier's words on each snapshot, newest first. */
async function listWords({ store }: OpenedRepository, options: StoreOptions): Promise<Iterable<readonly string[]>> {
  const words = new Map<string, string[]>();
  for await (const { key } of store.list(KEY_PREFIXES.verification, signalOf(options))) {
    const parsed = parseRepositoryKey(key);
    if (parsed?.kind !== 'verification') continue;
    const place = `${parsed.writer}/${parsed.sequence}/${parsed.verifier}`;
    const known = words.get(place) ?? [];
    words.set(place, known);
    // Listed in the order of their names, which is that of the time.
    known.unshift(key);
  }
  return words.values();
}

function signalOf({ signal }: StoreOptions): StoreOptions {
  return signal === undefined ? {} : { signal };
}
