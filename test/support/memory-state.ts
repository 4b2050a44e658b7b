import { AdapterError } from '../../src/adapters/errors.ts';
import type { TargetState } from '../../src/ports/target-state.ts';
import type { RepositoryMemory } from '../../src/usecases/repository/checkpoints.ts';

export interface MemoryOfMachine extends RepositoryMemory {
  /** Another machine that remembers the same, and goes its own way. */
  fork(): MemoryOfMachine;
}

/** What a machine remembers of repositories, in memory: for tests that have hundreds of machines. */
export function createMachineMemory(documents: ReadonlyMap<string, Uint8Array> = new Map()): MemoryOfMachine {
  const kept = new Map(documents);
  const locked = new Set<string>();
  const stateAt = (place: string): TargetState => ({
    place,
    async list(prefix) {
      const names = [...kept.keys()].filter((key) => key.startsWith(`${place} ${prefix}`));
      return names.map((key) => key.slice(place.length + 1)).sort();
    },
    read: async (name) => kept.get(`${place} ${name}`),
    async write(name, bytes) {
      kept.set(`${place} ${name}`, Uint8Array.from(bytes));
    },
    remove: async (name) => kept.delete(`${place} ${name}`),
    async lock(holder) {
      if (locked.has(place)) throw new AdapterError('TARGET_LOCKED', `${place} is locked, and not by ${holder}`);
      locked.add(place);
      return {
        signal: new AbortController().signal,
        async [Symbol.asyncDispose]() {
          locked.delete(place);
        },
      };
    },
  });
  return {
    of: (id) => stateAt(id),
    ofWriter: (id, writer) => stateAt(`${id}/${writer}`),
    holder: 'a test',
    fork: () => createMachineMemory(kept),
  };
}
