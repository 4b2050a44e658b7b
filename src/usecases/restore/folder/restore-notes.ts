import type { RefusedMark } from '../../../ports/file-tree.ts';

/** What could not be put back as it was: of each kind the first few, and how many there were. */
export interface RestoreNotes {
  add(kind: string, note: string): void;
  addRefused(refused: readonly RefusedMark[], path: string): void;
  all(): readonly string[];
}

const SHOWN = 10;
const TEXTS = { owner: 'belongs to another user or group than before', mode: 'has another mode than before' };

export function createRestoreNotes(): RestoreNotes {
  const notes: string[] = [];
  const counts = new Map<string, number>();
  const add = (kind: string, note: string) => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    if (count <= SHOWN) notes.push(note);
  };
  return {
    add,
    addRefused(refused, path) {
      for (const mark of refused) add(mark, `${path} ${TEXTS[mark]}: the system or its disk does not let it`);
    },
    all() {
      const more = [...counts.values()].reduce((sum, count) => sum + Math.max(0, count - SHOWN), 0);
      return more === 0 ? notes : [...notes, `and ${more} more of these`];
    },
  };
}
