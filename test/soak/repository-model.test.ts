/** Long histories of repositories: many writers, readers, clocks and crashes, against a map of snapshots. */
import fc from 'fast-check';
import { test } from 'vitest';
import { playSteps, stepsOf } from '../support/repository-model.ts';

test('2,000 steps of any history', async () => {
  await fc.assert(fc.asyncProperty(stepsOf(2000), playSteps), { numRuns: 1, endOnFailure: true });
});

test('short histories, which say more clearly what went wrong', async () => {
  await fc.assert(fc.asyncProperty(stepsOf(40), playSteps), { numRuns: 20 });
});
