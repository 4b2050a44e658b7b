/** A build killed before every single change that it makes to the disk; the quick test draws some of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createInterruptedBuilds } from '../support/interrupted-builds.ts';

/** More changes than a build of the small project makes. */
const MOST_CALLS = 1000;
let builds: Awaited<ReturnType<typeof createInterruptedBuilds>>;
beforeAll(async () => {
  builds = await createInterruptedBuilds();
});
afterAll(() => builds?.publisher.dispose());

test.each(['nothing', 'earlier'] as const)('onto a medium with %s', async (holds) => {
  const outcomes = { former: 0, new: 0 };
  for (let call = 1; ; call += 1) {
    expect(call).toBeLessThan(MOST_CALLS);
    const outcome = await builds.killAt(holds, { call });
    if (outcome === undefined) break;
    outcomes[outcome.left] += 1;
  }
  expect(outcomes.former).toBeGreaterThan(20);
  expect(outcomes.new).toBeGreaterThan(2);
});
