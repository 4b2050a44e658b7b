import { KEY_PREFIXES, parseRepositoryKey } from '../../formats/repository/keys.ts';
import { decodeMark, MARK_MAX_BYTES } from '../../formats/repository/mark.ts';
import type { StoredMark } from '../../formats/repository/prune-plan.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { isFinding, keysEverOf, type UnreadableObject } from './chains.ts';
import { isCode, readAcceptable } from './objects.ts';
import type { OpenedRepository } from './open.ts';

export interface ReadMarks {
  readonly marks: readonly StoredMark[];
  readonly unreadable: readonly UnreadableObject[];
}

/**
 * All marks that a pruner of any epoch signed. Others are no marks: whoever may create objects could else forbid the reuse of
 * everything.
 */
export async function readMarks(repository: OpenedRepository, options: StoreOptions = {}): Promise<ReadMarks> {
  const keys = keysEverOf(repository, 'pruners');
  const marks: StoredMark[] = [];
  const unreadable: UnreadableObject[] = [];
  for await (const { key, modified } of repository.store.list(KEY_PREFIXES.mark, options)) {
    if (parseRepositoryKey(key)?.kind !== 'mark') continue;
    try {
      const decode = (bytes: Uint8Array) => decodeMark(bytes, { keys, repository: repository.id, at: key });
      const { document } = await readAcceptable(repository.store, key, MARK_MAX_BYTES, options, decode);
      marks.push({ key, modified, objects: document.objects });
    } catch (error) {
      // A pruner may have deleted it since the listing.
      if (isCode(error, 'OBJECT_MISSING')) continue;
      if (!isFinding(error)) throw error;
      unreadable.push({ key, error });
    }
  }
  return { marks, unreadable };
}

/** Keys of all objects that are marked. */
export function markedKeys(marks: readonly StoredMark[]): ReadonlySet<string> {
  return new Set(marks.flatMap(({ objects }) => objects));
}
