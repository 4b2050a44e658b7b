import { expect, test } from 'vitest';
import { runLanes } from '../../../../../src/usecases/backup/postgres/lanes.ts';

const { signal } = new AbortController();
const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

test('so many at a time, made only when their turn comes, all of them', async () => {
  let running = 0;
  let most = 0;
  let made = 0;
  let done = 0;
  function* jobs() {
    for (let index = 0; index < 50; index += 1) {
      made += 1;
      expect(made - done).toBeLessThanOrEqual(3);
      yield async () => {
        running += 1;
        most = Math.max(most, running);
        await tick();
        running -= 1;
        done += 1;
      };
    }
  }
  await runLanes(jobs(), 3, { signal, onFailure: () => {} });
  expect({ done, most }).toEqual({ done: 50, most: 3 });
});

test('the first failure is told at once and thrown at the end; nothing starts after it, what runs is waited for', async () => {
  const started: number[] = [];
  const told: unknown[] = [];
  let ended = false;
  const failure = new Error('first');
  const jobs = [
    async () => {
      started.push(0);
      await tick();
      throw failure;
    },
    async () => {
      started.push(1);
      for (let round = 0; told.length === 0 && round < 100; round += 1) await tick();
      await tick();
      ended = true;
      throw new Error('second');
    },
    async () => {
      started.push(2);
    },
  ];
  await expect(runLanes(jobs, 2, { signal, onFailure: (cause) => told.push(cause) })).rejects.toBe(failure);
  expect({ started, ended, first: told[0] }).toEqual({ started: [0, 1], ended: true, first: failure });
});

test('an interruption starts nothing more', async () => {
  const stop = new AbortController();
  let started = 0;
  const job = async () => {
    started += 1;
    stop.abort(new Error('stop'));
  };
  await expect(runLanes([job, job, job], 1, { signal: stop.signal, onFailure: () => {} })).rejects.toThrow('stop');
  expect(started).toBe(1);
});
