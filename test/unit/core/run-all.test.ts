import { expect, test } from 'vitest';
import { runAll } from '../../../src/core/run-all.ts';

test('runs so many at a time, each once, in their order', async () => {
  let running = 0;
  let most = 0;
  const started: number[] = [];
  const work = Array.from({ length: 10 }, (_, number) => async () => {
    started.push(number);
    running += 1;
    most = Math.max(most, running);
    await new Promise(setImmediate);
    running -= 1;
  });
  await runAll(work, 3);
  expect(started).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(most).toBe(3);
});

test('after a failure none starts, and those that run are waited for', async () => {
  const failure = new Error('broken');
  const ended: string[] = [];
  const slow = async () => {
    await new Promise(setImmediate);
    ended.push('slow');
  };
  const never = async () => void ended.push('never');
  const failing = async () => {
    throw failure;
  };
  await expect(runAll([slow, failing, never, never], 2)).rejects.toBe(failure);
  expect(ended).toEqual(['slow']);
});

test('an abort starts none', async () => {
  const reason = new Error('stopped');
  const never = async () => {
    throw new Error('it ran');
  };
  await expect(runAll([never], 2, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
