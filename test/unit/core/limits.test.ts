import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLimiter } from '../../../src/core/limits.ts';

describe('limiter', () => {
  it('never runs more at once than it may, runs everything, in order, failures or not (property)', async () => {
    const jobs = fc.array(fc.record({ turns: fc.nat(5), fails: fc.boolean() }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), jobs, async (parallel, list) => {
        const limit = createLimiter(parallel);
        let running = 0;
        let most = 0;
        const started: number[] = [];
        const results = await Promise.allSettled(
          list.map(({ turns, fails }, at) =>
            limit(async () => {
              started.push(at);
              running += 1;
              most = Math.max(most, running);
              for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
              running -= 1;
              if (fails) throw new Error('failed');
              return at;
            }),
          ),
        );
        expect(most).toBeLessThanOrEqual(parallel);
        expect(most).toBe(Math.min(parallel, list.length, most));
        expect(started).toEqual(list.map((_, at) => at));
        expect(results.map(({ status }) => status)).toEqual(
          list.map(({ fails }) => (fails ? 'rejected' : 'fulfilled')),
        );
      }),
    );
  });

  it('uses all the places that it has', async () => {
    const limit = createLimiter(3);
    let running = 0;
    const all = Promise.withResolvers<void>();
    const job = () =>
      limit(async () => {
        running += 1;
        if (running === 3) all.resolve();
        await all.promise;
      });
    await Promise.all([job(), job(), job()]);
    expect(running).toBe(3);
  });
});
