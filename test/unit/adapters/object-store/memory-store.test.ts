import { describe } from 'vitest';
import { createMemoryStore } from '../../../support/memory-store.ts';
import { objectStoreSuite } from '../../../support/object-store-suite.ts';

describe.each([false, true])('memory, keeping versions: %s', (keepsVersions) => {
  objectStoreSuite({
    async open() {
      const store = createMemoryStore({ keepsVersions });
      return { store, again: async () => store };
    },
  });
});
