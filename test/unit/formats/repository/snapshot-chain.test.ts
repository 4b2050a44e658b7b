import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import type { WriterName } from '../../../../src/formats/repository/keys.ts';
import {
  type ChainInput,
  type ChainLink,
  chainError,
  verifyWriterChain,
} from '../../../../src/formats/repository/snapshot-chain.ts';
import { WRITER } from './repository-fixture.ts';

/** A chain of `length` snapshots; `label` tells forks apart. */
function chainOf(length: number, label = '', after: ChainLink[] = []): ChainLink[] {
  const links = [...after];
  for (let sequence = links.length + 1; sequence <= length; sequence += 1) {
    links.push({ sequence, digest: digestOf(`${sequence} ${label}`), previous: links.at(-1)?.digest ?? null });
  }
  return links;
}
const chain = chainOf(6);
const at = (sequence: number): ChainLink => chain[sequence - 1] as ChainLink;
const headAt = (sequence: number) => ({ sequence, digest: at(sequence).digest });
const verify = (input: Partial<ChainInput>) =>
  verifyWriterChain({ writer: WRITER, snapshots: chain, forgotten: [], ...input });
const found = (input: Partial<ChainInput>) => verify(input).findings.map(({ code, sequence }) => `${code} ${sequence}`);
const without = (...sequences: number[]) => chain.filter(({ sequence }) => !sequences.includes(sequence));
const other = 'other' as WriterName;

describe('a chain of snapshots', () => {
  test('that is whole has a head and no findings', () => {
    expect(verify({ checkpoint: headAt(6), heads: [{ by: other, ...headAt(3) }] })).toEqual({
      head: headAt(6),
      findings: [],
    });
    expect(verify({ snapshots: [] })).toEqual({ head: undefined, findings: [] });
    expect(found({ snapshots: chain.toReversed() })).toEqual([]);
  });

  test('whose gaps are filled by stubs is whole, also while a snapshot lies beside its stub', () => {
    fc.assert(
      fc.property(fc.subarray(chain), fc.subarray(chain), (gone, deleting) => {
        const snapshots = chain.filter((link) => !gone.includes(link));
        const input = {
          snapshots,
          forgotten: [...gone, ...deleting.filter((link) => !gone.includes(link))],
          checkpoint: headAt(6),
        };
        expect(verify(input)).toEqual({ head: headAt(6), findings: [] });
      }),
    );
  });

  test('of which any snapshot is gone without a stub shows it', () => {
    for (const sequence of [1, 2, 3, 4, 5])
      expect(found({ snapshots: without(sequence) })).toEqual([`SNAPSHOT_DROPPED ${sequence}`]);
    expect(verify({ snapshots: without(2, 3, 5) }).findings).toMatchObject([
      { code: 'SNAPSHOT_DROPPED', sequence: 2, last: 3 },
      { code: 'SNAPSHOT_DROPPED', sequence: 5, expected: at(5).digest },
    ]);
  });

  test('of which the writer skips almost all has one finding for them, and soon', () => {
    const far = { sequence: 99_999_999, digest: digestOf('far'), previous: digestOf('before') };
    const { findings } = verify({ snapshots: [...chain, far] });
    expect(findings).toMatchObject([{ code: 'SNAPSHOT_DROPPED', sequence: 7, last: 99_999_998 }]);
    expect(findings.map(chainError)[0]?.message).toContain('snapshots 7 to 99999998 of db-1 are gone');
  });

  test('is not made longer by what nobody signed', () => {
    expect(verify({ unreadable: [99_999_999], checkpoint: headAt(6) })).toEqual({ head: headAt(6), findings: [] });
    expect(found({ snapshots: chainOf(4), unreadable: [9], checkpoint: headAt(6) })).toEqual([
      'SNAPSHOTS_ROLLED_BACK 6',
    ]);
  });

  test('whose end is gone shows it against the checkpoint, and against what others saw', () => {
    expect(found({ snapshots: chainOf(4) })).toEqual([]);
    expect(found({ snapshots: chainOf(4), checkpoint: headAt(6) })).toEqual(['SNAPSHOTS_ROLLED_BACK 6']);
    expect(found({ snapshots: chainOf(4), heads: [{ by: other, ...headAt(5) }] })).toEqual(['SNAPSHOTS_ROLLED_BACK 5']);
    expect(found({ snapshots: [], checkpoint: headAt(1) })).toEqual(['SNAPSHOTS_ROLLED_BACK 1']);
  });

  test('that was forked shows where', () => {
    const fork = chainOf(6, 'fork', chainOf(3));
    expect(found({ snapshots: fork })).toEqual([]);
    expect(found({ snapshots: fork, checkpoint: headAt(5) })).toEqual(['SNAPSHOTS_FORKED 5']);
    expect(found({ snapshots: fork, heads: [{ by: other, ...headAt(4) }] })).toEqual(['SNAPSHOTS_FORKED 4']);
    expect(found({ snapshots: [...chain, fork[4] as ChainLink] })).toEqual(['SNAPSHOTS_FORKED 5']);
    expect(found({ snapshots: [...chain.slice(0, 4), ...fork.slice(4)] })).toEqual(['SNAPSHOTS_FORKED 4']);
    expect(found({ forgotten: [fork[4] as ChainLink] })).toEqual(['SNAPSHOTS_FORKED 5']);
  });

  test('with something unreadable in it is not called dropped there, and not rolled back', () => {
    expect(found({ snapshots: without(3), unreadable: [3] })).toEqual([]);
    expect(found({ snapshots: chainOf(5), unreadable: [6], checkpoint: headAt(6) })).toEqual([]);
  });

  test('never looks whole when one link was exchanged', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.boolean(), (sequence, isPrevious) => {
        const link = at(sequence);
        const exchanged = isPrevious ? { ...link, previous: digestOf('x') } : { ...link, digest: digestOf('x') };
        const snapshots = chain.map((one) => (one === link ? exchanged : one));
        const findings = found({ snapshots, checkpoint: headAt(6) });
        if (isPrevious && sequence === 1) return;
        expect(findings.length).toBeGreaterThan(0);
      }),
    );
  });

  test('gives errors that name the object', () => {
    const { findings } = verify({ snapshots: without(2) });
    const errors = findings.map(chainError);
    expect(errors[0]).toBeInstanceOf(FormatError);
    expect(errors[0]).toMatchObject({
      code: 'SNAPSHOT_DROPPED',
      expected: at(2).digest,
      at: { file: 'snapshots/db-1/00000002.json' },
    });
  });
});
