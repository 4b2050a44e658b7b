import fc from 'fast-check';
import { test } from 'vitest';
import { playSteps, type Step, stepsOf } from '../support/repository-model.ts';

test('200 steps of any history leave the repository that a map of snapshots is', async () => {
  await fc.assert(fc.asyncProperty(stepsOf(200), playSteps), { numRuns: 1, endOnFailure: true });
});

// Long histories of the soak suite found it: the copy keeps what was forgotten, and lacks its keys. One stub tells of both snapshots.
test('keys that were sealed again for snapshots that were forgotten since are missing in a copy, which is as it should be', async () => {
  const run = { kind: 'run', writer: 0, full: true, hold: false, minutes: 0, pruned: false, crash: undefined } as const;
  const later: Step = { kind: 'time passes', minutes: 200 };
  const prune: Step = { kind: 'prune', crash: undefined };
  await playSteps([
    { ...run, change: 1 },
    { ...run, change: 2 },
    { kind: 'copy', crash: undefined },
    { kind: 'add reader', crash: undefined },
    { kind: 'rewrap', crash: undefined },
    { ...run, change: 3 },
    later,
    { kind: 'forget', last: 1, accepted: true, crash: undefined },
    ...[prune, later, prune, later, prune],
    { kind: 'copy', crash: undefined },
  ]);
});
