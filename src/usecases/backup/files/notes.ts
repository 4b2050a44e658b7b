/** Notes for a person: of each kind the first few, and how many more there were. */
export interface Notes {
  add(kind: NoteKind, note: string): void;
  all(): readonly string[];
}

export type NoteKind = 'left out' | 'vanished' | 'changed';

const SHOWN = 20;

export function createNotes(): Notes {
  const notes: string[] = [];
  const counts = new Map<NoteKind, number>();
  return {
    add(kind, note) {
      const count = (counts.get(kind) ?? 0) + 1;
      counts.set(kind, count);
      if (count <= SHOWN) notes.push(note);
    },
    all() {
      const more = [...counts].filter(([, count]) => count > SHOWN);
      return [...notes, ...more.map(([kind, count]) => `and ${count - SHOWN} more that were ${kind}`)];
    },
  };
}
