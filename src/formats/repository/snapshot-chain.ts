/**
 * The chain of a writer's snapshots (docs/format-repository.md, "Chains"): sequences from 1 without a gap, each naming the digest
 * of the one before; forgotten ones are held by stubs. What the storage dropped, rolled back, swapped or forked shows here:
 * within the chain, against a checkpoint, and against what other writers' snapshots say they saw.
 */
import type { Digest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import { snapshotKey, type WriterName } from './keys.ts';
import type { SnapshotHead } from './snapshot.ts';

/** A snapshot that verified: right signature, right name. */
export interface ChainLink {
  readonly sequence: number;
  readonly digest: Digest;
  readonly previous: Digest | null;
}

export interface ChainInput {
  readonly writer: WriterName;
  readonly snapshots: readonly ChainLink[];
  /** Of all stubs. */
  readonly forgotten: readonly ChainLink[];
  /** Sequences under which something lies that did not verify. It is named by whoever read it, and is not missing here. */
  readonly unreadable?: readonly number[];
  readonly checkpoint?: SnapshotHead | undefined;
  /** What snapshots of other writers say of this one. */
  readonly heads?: readonly SeenHead[];
}

export interface SeenHead extends SnapshotHead {
  /** Which writer saw it. */
  readonly by: WriterName;
}

export type ChainFindingCode = 'SNAPSHOT_DROPPED' | 'SNAPSHOTS_ROLLED_BACK' | 'SNAPSHOTS_FORKED';

export interface ChainFinding {
  readonly code: ChainFindingCode;
  readonly writer: WriterName;
  readonly sequence: number;
  /** Of a gap of several: the last that is gone. */
  readonly last?: number;
  /** What the finding is held against, for people. */
  readonly because: string;
  readonly expected?: Digest | number;
  readonly found?: Digest | number;
}

export interface VerifiedChain {
  /** The newest, forgotten ones among them; `undefined` for an empty chain. */
  readonly head: SnapshotHead | undefined;
  /** Ordered by sequence. None: the chain is whole, as far as anybody can tell. */
  readonly findings: readonly ChainFinding[];
}

export function verifyWriterChain(input: ChainInput): VerifiedChain {
  const { writer, snapshots, forgotten } = input;
  const unreadable = new Set(input.unreadable);
  const findings: ChainFinding[] = [];
  const links = new Map<number, ChainLink>();
  for (const link of [...snapshots, ...forgotten]) {
    const known = links.get(link.sequence);
    // A snapshot beside its stub was about to be deleted: the same digest. Anything else are two for one sequence.
    if (known !== undefined && (known.digest !== link.digest || known.previous !== link.previous)) {
      findings.push(forked(writer, link.sequence, 'two snapshots have this sequence', known.digest, link.digest));
    }
    if (known === undefined) links.set(link.sequence, link);
  }
  const sequences = [...links.keys()].sort((a, b) => a - b);
  const highest = sequences.at(-1) ?? 0;
  findings.push(...gaps(writer, [...sequences, ...[...unreadable].filter((sequence) => sequence < highest)], links));
  for (const sequence of sequences) {
    const link = links.get(sequence) as ChainLink;
    const before = links.get(sequence - 1);
    if (before === undefined || link.previous === before.digest) continue;
    const because = `snapshot ${sequence} follows another snapshot ${sequence - 1}`;
    findings.push(forked(writer, sequence - 1, because, link.previous ?? undefined, before.digest));
  }
  for (const { sequence, digest, because } of claimsOf(input)) {
    const link = links.get(sequence);
    if (sequence > highest && !unreadable.has(sequence)) {
      findings.push({
        code: 'SNAPSHOTS_ROLLED_BACK',
        writer,
        sequence,
        because,
        expected: sequence,
        found: highest,
      });
    } else if (link !== undefined && link.digest !== digest) {
      findings.push(forked(writer, sequence, because, digest, link.digest));
    }
  }
  // What nobody signed makes the chain no longer: whoever may create objects could else end it.
  const newest = links.get(highest);
  return {
    head: newest === undefined ? undefined : { sequence: newest.sequence, digest: newest.digest },
    findings: findings.toSorted((a, b) => a.sequence - b.sequence),
  };
}

/** For a restore, which stops at what a check lists. */
export function chainError({ code, writer, sequence, last, because, expected, found }: ChainFinding): FormatError {
  const message = {
    SNAPSHOT_DROPPED:
      last === undefined
        ? `snapshot ${sequence} of ${writer} is gone without a stub`
        : `snapshots ${sequence} to ${last} of ${writer} are gone without a stub`,
    SNAPSHOTS_ROLLED_BACK: `snapshots of ${writer} that were seen are gone`,
    SNAPSHOTS_FORKED: `there is more than one snapshot ${sequence} of ${writer}`,
  }[code];
  return new FormatError(code, `${message}: ${because}`, {
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    at: { file: snapshotKey(writer, sequence) },
    hint: HINTS[code],
  });
}

const HINTS: Readonly<Record<ChainFindingCode, string>> = {
  SNAPSHOT_DROPPED:
    'Bring it back from another copy, or from a version that the storage keeps. If it is lost for good, `backup forget` and `backup prune` go on with --accept-missing.',
  SNAPSHOTS_ROLLED_BACK:
    'The storage shows an older state than was seen: find out who put it back, and bring the later objects from another copy.',
  SNAPSHOTS_FORKED:
    'There are two histories: somebody put back an older state and went on. Compare with another copy before you trust either.',
};

/** The newest thing that each of the others saw of this writer, and the checkpoint. */
function claimsOf({ checkpoint, heads = [] }: ChainInput): (SnapshotHead & { readonly because: string })[] {
  const seen = heads.map(({ by, ...head }) => ({ ...head, because: `${by} saw it` }));
  return checkpoint === undefined ? seen : [{ ...checkpoint, because: 'the checkpoint names it' }, ...seen];
}

/** One finding for each gap: a writer that skips a million sequences must not make a million of them. */
function gaps(writer: WriterName, there: readonly number[], links: ReadonlyMap<number, ChainLink>): ChainFinding[] {
  const findings: ChainFinding[] = [];
  let before = 0;
  for (const sequence of there.toSorted((a, b) => a - b)) {
    const [first, last] = [before + 1, sequence - 1];
    before = sequence;
    if (first > last) continue;
    const expected = links.get(sequence)?.previous ?? undefined;
    const because = 'later snapshots of the chain are there';
    const gap = { code: 'SNAPSHOT_DROPPED', writer, sequence: first, because } as const;
    if (last > first) findings.push({ ...gap, last });
    else findings.push(expected === undefined ? gap : { ...gap, expected });
  }
  return findings;
}

function forked(
  writer: WriterName,
  sequence: number,
  because: string,
  expected: Digest | undefined,
  found: Digest,
): ChainFinding {
  return {
    code: 'SNAPSHOTS_FORKED',
    writer,
    sequence,
    because,
    ...(expected === undefined ? {} : { expected }),
    found,
  };
}
