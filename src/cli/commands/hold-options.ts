import { flag, integer, list } from '../arguments.ts';
import { UsageError } from '../errors.ts';

/** Options of commands that tell which chains are held (src/formats/repository/retention.ts). */

/** Written out: a command's options load nothing. */
const HOLDS = ['more-than-scheduled', 'clocks-disagree', 'collapsed'] as const;

export const perDayOption = integer({
  value: 'N',
  minimum: 1,
  description: 'how many snapshots a writer makes in a day: with more, its chain is held',
});

export const copiedOption = flag({
  description: 'the repository is a copy: go by the times that snapshots say of themselves',
});

/** `what` is done with a chain that is held. */
export function acceptOption(what: string) {
  return list({
    value: 'REASON',
    complete: [...HOLDS],
    description: `${what}: ${HOLDS.join(', ')}; repeatable`,
  });
}

/** @throws UsageError USAGE */
export function holdReasonsOf(given: readonly string[]): readonly (typeof HOLDS)[number][] {
  return given.map((reason) => {
    const known = HOLDS.find((hold) => hold === reason);
    if (known !== undefined) return known;
    throw new UsageError('USAGE', '--accept: not a reason for holding a chain', {
      expected: HOLDS.join(', '),
      found: reason,
    });
  });
}
