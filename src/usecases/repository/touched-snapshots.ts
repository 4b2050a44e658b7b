import type { WriterName } from '../../formats/repository/keys.ts';
import { snapshotKey } from '../../formats/repository/keys.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { isFinding, type ReadChain, readSnapshot } from './chains.ts';
import { objectsOf } from './named-objects.ts';
import type { OpenedRepository } from './open.ts';

/**
 * Which snapshots name these objects: `db-1/3 to 7, db-2/1`. The snapshots are read again: to remember for every object who
 * names it takes more memory than all the rest of a check.
 */
export async function touchedSnapshots(
  repository: OpenedRepository,
  chains: readonly ReadChain[],
  keys: ReadonlySet<string>,
  options: StoreOptions = {},
): Promise<ReadonlyMap<string, string>> {
  const touched = new Map<string, Map<WriterName, number[]>>();
  if (keys.size === 0) return new Map();
  for (const { writer, snapshots } of chains) {
    for (const { sequence, digest } of snapshots) {
      try {
        const place = { sequence, key: snapshotKey(writer, sequence) };
        const { document } = await readSnapshot(repository, writer, place, { ...options, expected: digest });
        for (const { key } of objectsOf(document)) {
          if (!keys.has(key)) continue;
          const writers = touched.get(key) ?? new Map<WriterName, number[]>();
          touched.set(key, writers);
          writers.set(writer, [...(writers.get(writer) ?? []), sequence]);
        }
      } catch (error) {
        if (!isFinding(error)) throw error;
      }
    }
  }
  return new Map([...touched].map(([key, writers]) => [key, describe(writers)]));
}

function describe(writers: ReadonlyMap<WriterName, readonly number[]>): string {
  return [...writers].map(([writer, sequences]) => `${writer}/${ranges(sequences)}`).join(', ');
}

function ranges(sequences: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const sequence of sequences) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] + 1 === sequence) last[1] = sequence;
    else parts.push([sequence, sequence]);
  }
  return parts.map(([from, to]) => (from === to ? String(from) : `${from} to ${to}`)).join(' and ');
}
