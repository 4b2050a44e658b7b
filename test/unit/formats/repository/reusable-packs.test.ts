import { describe, expect, test } from 'vitest';
import { type Digest, digestOf } from '../../../../src/core/digest.ts';
import type { RunId, WriterName } from '../../../../src/formats/repository/keys.ts';
import {
  type ReuseInput,
  type ReuseSnapshot,
  reusablePacks,
} from '../../../../src/formats/repository/reusable-packs.ts';
import { OTHER_RUN, RUN, sampleSnapshot, TIME, WRITER } from './repository-fixture.ts';

const OTHER_WRITER = 'other' as WriterName;
const [one, two, three] = ['one', 'two', 'three'].map((text) => digestOf(text)) as [Digest, Digest, Digest];
const runOf = (run: RunId, recipients = ['ann', 'ben']) => ({ run, recipient: 'r', epoch: 1, recipients, sealed: '' });
const own: ReuseSnapshot = sampleSnapshot({
  runs: [runOf(RUN)],
  packs: [
    { number: 4, digest: one, sizeBytes: 1000, runIndex: 0 },
    { number: 5, digest: two, sizeBytes: 1000, runIndex: 0 },
  ],
});
const others: ReuseSnapshot = sampleSnapshot({
  writer: OTHER_WRITER,
  run: OTHER_RUN,
  runs: [runOf(OTHER_RUN)],
  packs: [
    { number: 9, digest: two, sizeBytes: 1000, runIndex: 0 },
    { number: 10, digest: three, sizeBytes: 1000, runIndex: 0 },
  ],
});
const input: ReuseInput = {
  writer: WRITER,
  snapshots: [others, own],
  indexed: () => true,
  listedBytes: () => 1000,
  isMarked: () => false,
  recipients: ['ben'],
  freshEpoch: 0,
  rewrapped: () => [],
  lastUsedBytes: () => undefined,
  now: new Date(Date.parse(TIME) + 1000),
};
const plan = (changes: Partial<ReuseInput>) => {
  const { full, packs, refused } = reusablePacks({ ...input, ...changes });
  return { full, packs: [...packs.keys()], refused: Object.fromEntries(refused) };
};

describe('packs of former runs', () => {
  test('are reused when nothing speaks against it, with the numbers that this writer gave them', () => {
    const { packs, full } = reusablePacks(input);
    expect(full).toBe(false);
    expect([...packs.values()].map(({ digest, number, run }) => [digest, number, run.run])).toEqual([
      [one, 4, RUN],
      [two, 5, RUN],
      [three, undefined, OTHER_RUN],
    ]);
  });

  test('are named by their number in the newest snapshot', () => {
    const later = { ...own, sequence: 2, packs: [{ number: 44, digest: one, sizeBytes: 1000, runIndex: 0 }] };
    expect(reusablePacks({ ...input, snapshots: [own, later] }).packs.get(one)?.number).toBe(44);
  });

  test.each<[string, Partial<ReuseInput>]>([
    ['not-indexed', { indexed: (run) => run !== RUN }],
    ['missing', { listedBytes: (pack) => (pack === three ? 1000 : undefined) }],
    ['wrong-size', { listedBytes: (pack) => (pack === three ? 1000 : 999) }],
    ['marked', { isMarked: (pack) => pack !== three }],
    ['hardly-used', { lastUsedBytes: (pack) => (pack === three ? 250 : 249) }],
    ['other-recipients', { snapshots: [{ ...own, runs: [runOf(RUN, ['ann'])] }, others] }],
  ])('are not reused when %s', (reason, changes) => {
    expect(plan(changes)).toEqual({ full: false, packs: [three], refused: { [reason]: 2 } });
  });

  test('are reused once their run’s key was sealed again to everybody who is present', () => {
    const recipients = ['ben', 'cleo'];
    expect(plan({ recipients }).refused).toEqual({ 'other-recipients': 3 });
    expect(plan({ recipients, rewrapped: (run) => (run === RUN ? [['cleo', 'ben']] : []) }).packs).toEqual([one, two]);
    // Two lists do not add up: each is one file, and nobody knows what became of the other one.
    expect(plan({ recipients, rewrapped: () => [['cleo']] }).packs).toEqual([]);
  });

  test('are not reused once the roster wants everything afresh, not even when their run’s key was sealed again', () => {
    const later = { ...own, sequence: 2, epoch: 2 };
    expect(plan({ freshEpoch: 2 })).toEqual({ full: 'roster', packs: [], refused: {} });
    // Somebody names an old pack in a new snapshot: the run of the pack decides.
    expect(plan({ freshEpoch: 2, snapshots: [later, others] })).toEqual({
      full: false,
      packs: [],
      refused: { 'earlier-epoch': 2 },
    });
    const again = { ...own, runs: [{ ...runOf(RUN), epoch: 2 }] };
    expect(plan({ freshEpoch: 2, snapshots: [again] }).full).toBe('roster');
    const since = { ...later, runs: [{ ...runOf(RUN), epoch: 2 }] };
    expect(plan({ freshEpoch: 2, snapshots: [since, others] })).toEqual({
      full: false,
      packs: [one, two],
      refused: {},
    });
  });

  test('are not reused at all by a run that is to be full', () => {
    expect(plan({ fresh: true })).toEqual({ full: 'fresh', packs: [], refused: {} });
    expect(plan({ snapshots: [] })).toEqual({ full: 'first', packs: [], refused: {} });
    expect(plan({ fullEveryMs: 1001 }).full).toBe(false);
    expect(plan({ fullEveryMs: 1000 })).toEqual({ full: 'due', packs: [], refused: {} });
    expect(plan({ fullEveryMs: 1001, snapshots: [{ ...own, full: false }, others] }).full).toBe('due');
  });
});
