import { KEY_PREFIXES, parseRepositoryKey, type WriterName } from '../../formats/repository/keys.ts';
import type { ObjectEntry, ObjectStore, StoreOptions } from '../../ports/object-store.ts';

/** Objects of one writer's chain, by their keys alone: nothing of them was read. */
export interface ListedChain {
  readonly writer: WriterName;
  /** Ascending. */
  readonly snapshots: readonly ListedSequence[];
  readonly forgotten: readonly ListedSequence[];
}

export interface ListedSequence {
  readonly sequence: number;
  readonly entry: ObjectEntry;
}

/** The chains of all writers, or of one; in the order of the writers' names. */
export async function listChains(
  store: ObjectStore,
  options: StoreOptions & { readonly writer?: WriterName | undefined } = {},
): Promise<readonly ListedChain[]> {
  const chains = new Map<WriterName, { snapshots: ListedSequence[]; forgotten: ListedSequence[] }>();
  const below = options.writer === undefined ? '' : `${options.writer}/`;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  for (const kind of ['snapshot', 'forgotten'] as const) {
    for await (const entry of store.list(`${KEY_PREFIXES[kind]}${below}`, signal)) {
      const parsed = parseRepositoryKey(entry.key);
      if (parsed?.kind !== kind) continue;
      const chain = chains.get(parsed.writer) ?? { snapshots: [], forgotten: [] };
      chains.set(parsed.writer, chain);
      chain[kind === 'snapshot' ? 'snapshots' : 'forgotten'].push({ sequence: parsed.sequence, entry });
    }
  }
  return [...chains].map(([writer, chain]) => ({ writer, ...chain })).sort((a, b) => (a.writer < b.writer ? -1 : 1));
}
