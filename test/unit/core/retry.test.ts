import { describe, expect, it } from 'vitest';
import { backoffMs, pause, retry } from '../../../src/core/retry.ts';

const POLICY = { attempts: 4, baseDelayMs: 1, maxDelayMs: 3 };
const again = () => ({});

describe('retry', () => {
  it('ends with the first success, and counts attempts from 1', async () => {
    const seen: number[] = [];
    const result = await retry(
      async (attempt) => {
        seen.push(attempt);
        if (attempt < 3) throw new Error('not yet');
        return 'done';
      },
      POLICY,
      again,
    );
    expect(result).toBe('done');
    expect(seen).toEqual([1, 2, 3]);
  });

  it('throws the last failure as it is when the attempts are used up', async () => {
    let count = 0;
    const failures: Error[] = [];
    const work = retry(
      async () => {
        count += 1;
        failures.push(new Error(String(count)));
        throw failures.at(-1);
      },
      POLICY,
      again,
    );
    await expect(work).rejects.toBe(await work.catch(() => failures[3]));
    expect(count).toBe(POLICY.attempts);
  });

  it('gives up at once when it is told to', async () => {
    let count = 0;
    const work = async () => {
      count += 1;
      throw new Error('final');
    };
    await expect(retry(work, POLICY, () => 'give-up')).rejects.toThrow('final');
    expect(count).toBe(1);
  });

  it('ends a wait when the signal is aborted, with its reason', async () => {
    const stop = new AbortController();
    const reason = new Error('stop');
    const work = retry(
      async () => {
        setTimeout(() => stop.abort(reason), 5);
        throw new Error('again');
      },
      { ...POLICY, baseDelayMs: 600_000, maxDelayMs: 600_000 },
      again,
      { signal: stop.signal },
    );
    await expect(work).rejects.toBe(reason);
    await expect(pause(600_000, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('waits longer each time, within the bounds', () => {
    for (let attempt = 1; attempt < 2000; attempt += 1) {
      const delay = backoffMs(attempt, { attempts: 1, baseDelayMs: 100, maxDelayMs: 1000 });
      const whole = Math.min(100 * 2 ** (attempt - 1), 1000);
      expect(delay).toBeGreaterThanOrEqual(whole / 2);
      expect(delay).toBeLessThanOrEqual(whole);
    }
  });
});
