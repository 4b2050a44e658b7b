import { expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import type { RunId } from '../../../../src/formats/repository/keys.ts';
import type { Snapshot } from '../../../../src/formats/repository/snapshot.ts';
import { createFormerRuns } from '../../../../src/usecases/backup/reuse.ts';

const runOf = (sequence: number) => `20260301T00000${sequence}Z-0123456789abcdef` as RunId;
const digest = (name: string) => digestOf(Buffer.from(name));

/** With a pack and an index of its own. */
function snapshot(sequence: number, full: boolean, number: number): Snapshot {
  const run = runOf(sequence);
  const packs = [{ number, digest: digest(`pack ${sequence}`), sizeBytes: 4096, runIndex: 0 }];
  const indexes = [{ run, key: `index/db-1/${run}.000000.age`, digest: digest(`index ${sequence}`), sizeBytes: 100 }];
  return { sequence, run, full, packs, indexes, runs: [] } as Partial<Snapshot> as Snapshot;
}

function formerOf(...newestFirst: readonly Snapshot[]) {
  const former = createFormerRuns();
  for (const one of newestFirst) former.add(one);
  return former;
}

test('what is older than the newest full run is not built upon', () => {
  const former = formerOf(snapshot(4, false, 3), snapshot(3, true, 2), snapshot(2, false, 1), snapshot(1, true, 0));
  expect(former.snapshots.map(({ sequence }) => sequence)).toEqual([4, 3]);
  expect([...former.packs]).toEqual([digest('pack 4'), digest('pack 3')]);
  expect([...former.indexes.keys()]).toEqual([runOf(4), runOf(3)]);
  expect(former.last).toBe(runOf(4));
});

test('numbers of packs go on after the highest of all, older ones too', () => {
  expect(formerOf(snapshot(2, true, 0), snapshot(1, true, 7)).nextPack).toBe(8);
});
