import { packKey } from '../../formats/repository/keys.ts';
import type { Snapshot } from '../../formats/repository/snapshot.ts';
import { type NamedObject, objectsOf } from './named-objects.ts';
import { createPackSizes } from './pack-sizes.ts';

/** All that snapshots name, each once. Packs are by far the most, and are kept small: see PackSizes. */
export interface NamedSet {
  /** Returns the keys of objects of which it says something else than those before. */
  addSnapshot(snapshot: Snapshot): readonly string[];
  has(key: string): boolean;
  sizeOf(key: string): number | undefined;
  objects(): Iterable<NamedObject>;
  /** For who ticks them off one by one. */
  checklist(): NamedChecklist;
}

export interface NamedChecklist {
  tick(key: string): void;
  /** Keys of what was not ticked. */
  left(): Iterable<string>;
}

export function createNamedSet(): NamedSet {
  const packs = createPackSizes();
  const others = new Map<string, NamedObject>();
  const sizeOf = (key: string): number | undefined => others.get(key)?.sizeBytes ?? packs.sizeOf(key);

  function* places(): Generator<number> {
    for (let place = 0; place < packs.count; place += 1) yield place;
  }

  return {
    addSnapshot(snapshot) {
      const disagreeing: string[] = [];
      for (const { digest, sizeBytes } of snapshot.packs) {
        if (packs.add(digest, sizeBytes) !== sizeBytes) disagreeing.push(packKey(digest));
      }
      for (const object of objectsOf({ ...snapshot, packs: [] })) {
        const known = others.get(object.key);
        if (known === undefined) others.set(object.key, object);
        else if (known.digest !== object.digest || known.sizeBytes !== object.sizeBytes) disagreeing.push(object.key);
      }
      return disagreeing;
    },
    has: (key) => sizeOf(key) !== undefined,
    sizeOf,
    *objects() {
      yield* others.values();
      for (const place of places()) yield { kind: 'pack', ...packs.at(place) };
    },
    checklist() {
      const ticked = new Uint8Array(packs.count);
      const left = new Set(others.keys());
      return {
        tick(key) {
          const place = packs.placeOf(key);
          if (place === undefined) left.delete(key);
          else ticked[place] = 1;
        },
        *left() {
          yield* left;
          for (const place of places()) if (ticked[place] === 0) yield packs.at(place).key;
        },
      };
    },
  };
}
