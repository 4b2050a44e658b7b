import { afterAll, describe, expect, test } from 'vitest';
import { createWorkerPool, type WorkerPool, type WorkerTask } from '../../../src/core/worker-pool.ts';
import type { TestRequest } from './worker-pool.worker.ts';

class Lost extends Error {}
class Closed extends Error {}
class Failed extends Error {}

function testPool(workers: number, idleMs?: number): WorkerPool<TestRequest, number> {
  const pool = createWorkerPool<TestRequest, number>({
    url: new URL('./worker-pool.worker.ts', import.meta.url),
    workers,
    decodeFailure: (failure) => new Failed(String(failure)),
    lost: (cause) => new Lost('lost', { cause }),
    closed: () => new Closed(),
    ...(idleMs === undefined ? {} : { idleMs }),
  });
  afterAll(() => pool.close());
  return pool;
}

function task(request: TestRequest, more: Partial<WorkerTask<TestRequest>> = {}): WorkerTask<TestRequest> {
  return { prepare: () => request, ...more };
}

describe('worker pool', () => {
  test('jobs start in the order in which they were asked for, however long their preparation takes', async () => {
    const pool = testPool(1);
    const order: number[] = [];
    const delays = [30, 0, 20, 0, 10];
    await Promise.all(
      delays.map(async (delay, value) => {
        const prepare = async (): Promise<TestRequest> => {
          await new Promise((resolve) => setTimeout(resolve, delay));
          return { act: 'answer', value };
        };
        order.push(await pool.run({ prepare }));
      }),
    );
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });

  test('a worker that is idle too long ends, and the next job gets a new one', async () => {
    const pool = testPool(1, 1);
    const first = await pool.run(task({ act: 'thread', value: 0 }));
    await expect.poll(() => pool.run(task({ act: 'thread', value: 0 }))).not.toBe(first);
  });

  test('only the jobs at the head of the line are prepared', async () => {
    const pool = testPool(1);
    let prepared = 0;
    let most = 0;
    let done = 0;
    await Promise.all(
      Array.from({ length: 20 }, async (_, value) => {
        const prepare = (): TestRequest => {
          prepared += 1;
          most = Math.max(most, prepared - done);
          return { act: 'answer', value };
        };
        await pool.run({ prepare });
        done += 1;
      }),
    );
    expect(prepared).toBe(20);
    expect(most).toBeLessThanOrEqual(4);
  });

  test('a failure in the worker, or in the preparation, rejects that job alone', async () => {
    const pool = testPool(2);
    const results = await Promise.allSettled([
      pool.run(task({ act: 'answer', value: 1 })),
      pool.run(task({ act: 'fail', value: 2 })),
      pool.run({
        prepare: () => {
          throw new RangeError('not prepared');
        },
      }),
      pool.run(task({ act: 'answer', value: 4 })),
    ]);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: expect.any(Failed) });
    expect(results[2]).toMatchObject({ reason: expect.any(RangeError) });
  });

  test('a worker that dies rejects its job and is replaced', async () => {
    const pool = testPool(1);
    for (const act of ['exit', 'crash'] as const) {
      await expect(pool.run(task({ act, value: 0 }))).rejects.toBeInstanceOf(Lost);
      expect(await pool.run(task({ act: 'answer', value: 7 }))).toBe(7);
    }
  });

  test('only a job that had begun to change the world is cleaned up after, before it rejects', async () => {
    const pool = testPool(1);
    const cleaned: string[] = [];
    const cleanUp = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      cleaned.push('done');
    };
    await expect(pool.run(task({ act: 'exit', value: 0 }, { cleanUp }))).rejects.toBeInstanceOf(Lost);
    expect(cleaned).toEqual([]);
    await expect(pool.run(task({ act: 'claim-and-exit', value: 0 }, { cleanUp }))).rejects.toBeInstanceOf(Lost);
    expect(cleaned).toEqual(['done']);
  });

  test('a module that does not load rejects the job and does not hang', async () => {
    const pool = createWorkerPool<TestRequest, number>({
      url: new URL('./no-such-module.ts', import.meta.url),
      workers: 1,
      decodeFailure: () => new Failed(),
      lost: () => new Lost(),
      closed: () => new Closed(),
    });
    await expect(pool.run(task({ act: 'answer', value: 1 }))).rejects.toBeInstanceOf(Lost);
    await pool.close();
  });

  test('an abort reaches a job that runs, and close ends one', async () => {
    const pool = testPool(1);
    const controller = new AbortController();
    const onBytes = () => controller.abort();
    const endless = task({ act: 'loop', value: 0 }, { signal: controller.signal, onBytes });
    await expect(pool.run(endless)).rejects.toMatchObject({ name: 'AbortError' });

    const { promise: started, resolve: start } = Promise.withResolvers<void>();
    const running = pool.run(task({ act: 'loop', value: 0 }, { onBytes: () => start() }));
    const end = expect(running).rejects.toBeInstanceOf(Closed);
    await started;
    await pool.close();
    await end;
    await expect(pool.run(task({ act: 'answer', value: 1 }))).rejects.toBeInstanceOf(Closed);
  });
});
