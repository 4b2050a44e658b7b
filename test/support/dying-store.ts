import type { ObjectStore } from '../../src/ports/object-store.ts';

/** As if the process had been killed: nothing catches it, and nothing works afterwards. */
export class Killed extends Error {}

export interface DyingStore extends ObjectStore {
  /** Calls that changed something, or would have. */
  readonly changes: number;
}

/**
 * A store whose process dies at the N-th call that changes something (from 1), `before` or `after` the change is made.
 */
export function dyingStore(store: ObjectStore, at: number, when: 'before' | 'after'): DyingStore {
  let changes = 0;
  let isDead = false;
  const requireAlive = () => {
    if (isDead) throw new Killed('the process is dead');
  };
  const change = async <T>(work: () => Promise<T>): Promise<T> => {
    requireAlive();
    changes += 1;
    if (changes !== at) return await work();
    isDead = true;
    if (when === 'after') await work();
    throw new Killed(`killed ${when} change ${at}`);
  };
  return {
    ...store,
    place: store.place,
    get changes() {
      return changes;
    },
    put: (...args) => change(() => store.put(...args)),
    remove: (...args) => change(() => store.remove(...args)),
    async get(...args) {
      requireAlive();
      return await store.get(...args);
    },
    async stat(...args) {
      requireAlive();
      return await store.stat(...args);
    },
    async getRange(...args) {
      requireAlive();
      return await store.getRange(...args);
    },
    async *list(...args) {
      requireAlive();
      yield* store.list(...args);
    },
  };
}
