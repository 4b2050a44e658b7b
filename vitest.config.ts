import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// scripts/test chooses and prints a seed; PORTOLAN_SEED repeats a run: the order of tests and every property's values.
const seed = Number(process.env.PORTOLAN_SEED ?? Math.floor(Math.random() * 0x7fff_ffff));

const SECOND_MS = 1000;

function project(
  name: string,
  timeoutMs: number,
  extra: { readonly globalSetup?: string[]; readonly fileParallelism?: boolean } = {},
) {
  return {
    extends: true as const,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      testTimeout: timeoutMs,
      hookTimeout: timeoutMs,
      ...extra,
    },
  };
}

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: Math.max(2, availableParallelism()),
    sequence: { shuffle: { files: true, tests: true }, seed },
    setupFiles: ['test/setup/seed.ts'],
    env: { PORTOLAN_SEED: String(seed) },
    restoreMocks: true,
    projects: [
      project('unit', 60 * SECOND_MS),
      project('integration', 300 * SECOND_MS, { globalSetup: ['test/setup/peers.ts'] }),
      // One node for all: a test that holds one of its parts holds it for every other.
      project('cluster', 600 * SECOND_MS, { globalSetup: ['test/setup/cluster.ts'], fileParallelism: false }),
      project('soak', 3600 * SECOND_MS, { globalSetup: ['test/setup/peers.ts'] }),
    ],
  },
});
