import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import type { WriterName } from '../../../../src/formats/repository/keys.ts';
import {
  planRetention,
  RETENTION_FLOOR_MS,
  type RetentionOptions,
  type RetentionPolicy,
  type RetentionSnapshot,
} from '../../../../src/formats/repository/retention.ts';
import { codeOf, WRITER } from './repository-fixture.ts';

const HOUR = 3600 * 1000;
const DAY = 24 * HOUR;
const NOW = new Date('2026-06-15T12:00:00.000Z');
const options: RetentionOptions = { now: NOW, verifiers: false };

function snapshotAt(
  storageTime: Date | string,
  sequence: number,
  changes: Partial<RetentionSnapshot> = {},
): RetentionSnapshot {
  const time = new Date(storageTime);
  return {
    writer: WRITER,
    sequence,
    digest: digestOf(String(sequence)),
    writerTime: time,
    storageTime: time,
    tags: [],
    hold: false,
    verified: false,
    storedBytes: 1000,
    collapsed: false,
    ...changes,
  };
}
/** One every `everyMs`, the newest at `NOW - DAY`, oldest first. */
const every = (everyMs: number, count: number, changes: Partial<RetentionSnapshot> = {}) =>
  Array.from({ length: count }, (_, index) =>
    snapshotAt(new Date(NOW.getTime() - DAY - (count - 1 - index) * everyMs), index + 1, changes),
  );
const keptSequences = (
  snapshots: readonly RetentionSnapshot[],
  policy: RetentionPolicy,
  more: Partial<RetentionOptions> = {},
) =>
  planRetention(snapshots, { floorMs: 0, ...policy }, { ...options, ...more }).kept.map(
    ({ snapshot }) => snapshot.sequence,
  );

describe('slots', () => {
  test('last: the newest so many', () => {
    expect(keptSequences(every(HOUR, 10), { last: 3 })).toEqual([8, 9, 10]);
  });

  test.each<[keyof RetentionPolicy, string[], number[]]>([
    ['hourly', ['2026-06-01T10:00:00Z', '2026-06-01T10:59:59Z', '2026-06-01T11:00:00Z'], [2, 3]],
    ['daily', ['2026-06-01T00:00:00Z', '2026-06-01T23:59:59Z', '2026-06-02T00:00:00Z'], [2, 3]],
    // 2026-01-01 is a Thursday: its week began on 2025-12-29, a Monday.
    [
      'weekly',
      ['2025-12-28T23:59:59Z', '2025-12-29T00:00:00Z', '2026-01-04T23:59:59Z', '2026-01-05T00:00:00Z'],
      [3, 4],
    ],
    [
      'monthly',
      ['2026-01-31T23:59:59Z', '2026-02-01T00:00:00Z', '2026-02-28T00:00:00Z', '2026-03-01T00:00:00Z'],
      [3, 4],
    ],
    [
      'yearly',
      ['2024-12-31T23:59:59Z', '2025-01-01T00:00:00Z', '2025-12-31T00:00:00Z', '2026-01-01T00:00:00Z'],
      [3, 4],
    ],
  ])('%s: the newest of each, in UTC', (slot, times, kept) => {
    const snapshots = times.map((time, index) => snapshotAt(time, index + 1));
    expect(keptSequences(snapshots, { [slot]: 2 })).toEqual(kept);
  });

  test('are filled only by hours that have a snapshot', () => {
    const snapshots = [snapshotAt('2025-01-01T00:00:00Z', 1), snapshotAt('2026-01-01T00:00:00Z', 2)];
    expect(keptSequences(snapshots, { hourly: 2 })).toEqual([1, 2]);
  });

  test('of each writer are its own', () => {
    const other = every(DAY, 5).map((snapshot) => ({ ...snapshot, writer: 'other' as WriterName }));
    const plan = planRetention([...every(DAY, 5), ...other], { last: 2, floorMs: 0 }, options);
    expect(plan.kept.map(({ snapshot }) => `${snapshot.writer} ${snapshot.sequence}`)).toEqual([
      'db-1 4',
      'db-1 5',
      'other 4',
      'other 5',
    ]);
  });

  test('say why: every reason that fits', () => {
    const plan = planRetention(every(DAY, 3), { last: 1, daily: 2, floorMs: 0 }, options);
    expect(plan.kept.map(({ reasons }) => reasons)).toEqual([['daily'], ['last', 'daily', 'newest']]);
  });
});

describe('kept besides', () => {
  test('what is within, tagged, on hold, or the newest', () => {
    const snapshots = every(DAY, 6).map((snapshot) => ({
      ...snapshot,
      tags: snapshot.sequence === 1 ? ['release'] : ['nightly'],
      hold: snapshot.sequence === 2,
    }));
    expect(keptSequences(snapshots, { withinMs: 2 * DAY, tags: ['release'] })).toEqual([1, 2, 5, 6]);
    expect(keptSequences(snapshots, { tags: ['none'] })).toEqual([2, 6]);
  });

  test('what is younger than the floor', () => {
    expect(keptSequences(every(DAY, 6), { last: 1, floorMs: 3 * DAY + 1 })).toEqual([4, 5, 6]);
    const young = [5, 4, 3, 2, 1].map((hours, index) => snapshotAt(new Date(NOW.getTime() - hours * HOUR), index + 1));
    expect(planRetention(young, { last: 1 }, options).forgotten).toEqual([]);
    expect(RETENTION_FLOOR_MS).toBe(DAY);
  });
});

describe('with verifiers', () => {
  const verified = (...sequences: number[]) =>
    every(DAY, 8).map((snapshot) => ({ ...snapshot, verified: sequences.includes(snapshot.sequence) }));

  test('only snapshots that one found good fill slots, and what is newer waits', () => {
    expect(keptSequences(verified(2, 4), { last: 1 }, { verifiers: true })).toEqual([4, 5, 6, 7, 8]);
    expect(keptSequences(verified(2, 4), { last: 2 }, { verifiers: true })).toEqual([2, 4, 5, 6, 7, 8]);
  });

  test('nothing is forgotten as long as none was found good', () => {
    expect(keptSequences(verified(), { last: 1 }, { verifiers: true })).toHaveLength(8);
  });
});

describe('a chain is held', () => {
  const plan = (snapshots: readonly RetentionSnapshot[], more: Partial<RetentionOptions> = {}, perDay?: number) =>
    planRetention(
      snapshots,
      { last: 1, floorMs: 0, ...(perDay === undefined ? {} : { perDay }) },
      { ...options, ...more },
    );

  test('when it has more snapshots than scheduled', () => {
    expect(plan(every(DAY, 5), {}, 1)).toMatchObject({ held: [] });
    expect(plan(every(6 * HOUR, 9), {}, 4)).toMatchObject({ held: [] });
    const hurried = plan(every(6 * HOUR, 9), {}, 3);
    expect(hurried.held).toEqual([{ writer: WRITER, reason: 'more-than-scheduled', sequences: [4, 5, 6, 7, 8, 9] }]);
    expect(hurried.forgotten).toEqual([]);
    expect(plan(every(6 * HOUR, 9), { accept: ['more-than-scheduled'] }, 3).forgotten).toHaveLength(8);
  });

  test.each<[string, number, number]>([
    ['ahead', HOUR, 0],
    ['behind', -HOUR, 0],
  ])('when the writer’s clock is %s', (_, writerMs) => {
    const [first, second, third] = every(DAY, 3) as [RetentionSnapshot, RetentionSnapshot, RetentionSnapshot];
    const wrong = { ...second, writerTime: new Date(second.storageTime.getTime() + writerMs) };
    expect(plan([first, wrong, third])).toMatchObject({
      forgotten: [],
      held: [{ reason: 'clocks-disagree', sequences: [2] }],
    });
  });

  test('when the storage’s clock went back, or is ahead of itself', () => {
    const [first, second] = every(DAY, 2) as [RetentionSnapshot, RetentionSnapshot];
    expect(
      plan([
        { ...second, sequence: 1 },
        { ...first, sequence: 2 },
      ]).held,
    ).toMatchObject([{ reason: 'clocks-disagree', sequences: [2] }]);
    expect(plan([first, snapshotAt(new Date(NOW.getTime() + HOUR), 2)]).held).toMatchObject([
      { reason: 'clocks-disagree' },
    ]);
  });

  test('when it suddenly holds far less, by its packs or by what the writer says', () => {
    const [first, second, third] = every(DAY, 3) as [RetentionSnapshot, RetentionSnapshot, RetentionSnapshot];
    expect(plan([first, { ...second, storedBytes: 199 }, third]).held).toMatchObject([
      { reason: 'collapsed', sequences: [2] },
    ]);
    expect(plan([first, { ...second, storedBytes: 200 }, third]).held).toEqual([]);
    expect(plan([first, second, { ...third, collapsed: true }]).forgotten).toEqual([]);
  });

  test('alone: the other writers’ chains go on', () => {
    const other = every(DAY, 5).map((snapshot) => ({ ...snapshot, writer: 'other' as WriterName }));
    const hurried = plan([...every(HOUR, 30), ...other], {}, 1);
    expect(hurried.held.map(({ writer }) => writer)).toEqual([WRITER]);
    expect(hurried.forgotten.map(({ writer, sequence }) => `${writer} ${sequence}`)).toEqual([
      'other 1',
      'other 2',
      'other 3',
      'other 4',
    ]);
  });
});

describe('for any snapshots and policy', () => {
  const count = fc.option(fc.nat(5), { nil: undefined });
  const anyPolicy = fc
    .record({
      last: count,
      hourly: count,
      daily: count,
      weekly: count,
      monthly: count,
      yearly: count,
      withinMs: fc.nat(20 * DAY),
      floorMs: fc.nat(3 * DAY),
    })
    .map((policy) => JSON.parse(JSON.stringify(policy)) as RetentionPolicy);
  const anySnapshots = fc
    .array(
      fc.record({ gapMs: fc.integer({ min: 60_000, max: 40 * DAY }), verified: fc.boolean(), hold: fc.boolean() }),
      { maxLength: 40 },
    )
    .map((steps) => {
      let timeMs = NOW.getTime();
      return steps
        .map(({ gapMs, verified, hold }) => {
          timeMs -= gapMs;
          return { time: new Date(timeMs), verified, hold };
        })
        .toReversed()
        .map(({ time, ...flags }, index) => snapshotAt(time, index + 1, flags));
    });
  const sequences = (snapshots: readonly RetentionSnapshot[]) => snapshots.map(({ sequence }) => sequence);

  test('every snapshot is kept for a reason or forgotten, never the newest or a young one', () => {
    fc.assert(
      fc.property(anySnapshots, anyPolicy, fc.boolean(), (snapshots, policy, verifiers) => {
        const { kept, forgotten, held } = planRetention(snapshots, policy, { now: NOW, verifiers });
        expect(held).toEqual([]);
        expect(
          [...sequences(kept.map(({ snapshot }) => snapshot)), ...sequences(forgotten)].sort((a, b) => a - b),
        ).toEqual(sequences(snapshots));
        expect(kept.every(({ reasons }) => reasons.length > 0)).toBe(true);
        for (const snapshot of forgotten) {
          expect(NOW.getTime() - snapshot.storageTime.getTime()).toBeGreaterThanOrEqual(policy.floorMs ?? 0);
          expect(snapshot.hold).toBe(false);
          expect(snapshot.sequence).not.toBe(snapshots.length);
        }
      }),
    );
  });

  test('what is kept is kept again when the rest is gone', () => {
    fc.assert(
      fc.property(anySnapshots, anyPolicy, fc.boolean(), (snapshots, policy, verifiers) => {
        const now = { now: NOW, verifiers };
        const kept = planRetention(snapshots, policy, now).kept.map(({ snapshot }) => snapshot);
        expect(planRetention(kept, policy, now).forgotten).toEqual([]);
      }),
    );
  });

  test('whoever keeps more of one kind forgets nothing that was kept before', () => {
    const slot = fc.constantFrom(
      'last' as const,
      'hourly' as const,
      'daily' as const,
      'weekly' as const,
      'monthly' as const,
      'yearly' as const,
    );
    fc.assert(
      fc.property(anySnapshots, anyPolicy, slot, (snapshots, policy, more) => {
        const before = sequences(planRetention(snapshots, policy, options).forgotten);
        const after = sequences(
          planRetention(snapshots, { ...policy, [more]: (policy[more] ?? 0) + 1 }, options).forgotten,
        );
        expect(before).toEqual(expect.arrayContaining(after));
      }),
    );
  });

  test('a hostile writer’s snapshots, which no verifier found good, take none away that one did', () => {
    fc.assert(
      fc.property(anySnapshots, anyPolicy, fc.nat(30), (snapshots, policy, flood) => {
        const now = { now: NOW, verifiers: true };
        const good = (plan: ReturnType<typeof planRetention>) =>
          sequences(plan.forgotten.filter(({ verified }) => verified));
        const more = Array.from({ length: flood }, (_, index) => snapshotAt(NOW, snapshots.length + index + 1));
        const before = good(planRetention(snapshots, policy, now));
        // The newest is kept whatever it is; with the flood it is one among others.
        const after = good(planRetention([...snapshots, ...more], policy, now));
        expect(before).toEqual(expect.arrayContaining(after.filter((sequence) => sequence !== snapshots.length)));
        expect(after).not.toContain(snapshots.findLast(({ verified }) => verified)?.sequence);
      }),
    );
  });
});

test('a policy that keeps nothing, or has numbers that are none, is refused', () => {
  for (const policy of [
    {},
    { last: 0 },
    { last: -1 },
    { daily: 1.5 },
    { last: 1, perDay: 0 },
    { last: 1, floorMs: -1 },
    { last: 1, withinMs: Number.NaN },
  ]) {
    expect(
      codeOf(() => planRetention([], policy, options)),
      JSON.stringify(policy),
    ).toBe('RETENTION_INVALID');
  }
});
