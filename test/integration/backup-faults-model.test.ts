import fc from 'fast-check';
import { test } from 'vitest';
import { playSteps, stepsOf } from '../support/repository-model.ts';

test('200 steps of any history leave the repository that a map of snapshots is', async () => {
  await fc.assert(fc.asyncProperty(stepsOf(200), playSteps), { numRuns: 1, endOnFailure: true });
});
