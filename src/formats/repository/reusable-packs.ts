/**
 * Which packs of former runs a run may use again (docs/format-repository.md, "Reuse"). A pack is reused only if
 *
 * - a live snapshot whose chain verified names it;
 * - the index of its run was read, and is this writer's, or another writer's that a verifier confirmed;
 * - the storage lists it with the right size;
 * - no mark names it;
 * - its run's key is sealed to every recipient of the run that begins;
 * - the last run of this writer used at least a quarter of it;
 * - its run, and the run of the snapshot that names it, went by the newest epoch of the roster that says `fresh`, or a later one.
 *
 * Else its chunks are written afresh. After `fullEveryMs` without a full run nothing is reused: it bounds rot that a writer,
 * which cannot read, does not see.
 */
import type { Digest } from '../../core/digest.ts';
import type { RunId, WriterName } from './keys.ts';
import type { Snapshot, SnapshotPack, SnapshotRun } from './snapshot.ts';

/** A pack of which the last run used less is written anew. */
const COMPACTION_RATIO = 0.25;

export interface ReuseInput {
  readonly writer: WriterName;
  /** Live, their chains verified; of all writers. */
  readonly snapshots: readonly ReuseSnapshot[];
  /** What the indexes that could be read say: those of this writer, and those of others that a verifier confirmed. By run. */
  readonly indexed: (run: RunId) => boolean;
  /** Size of the pack by the storage's listing. */
  readonly listedBytes: (pack: Digest) => number | undefined;
  readonly isMarked: (pack: Digest) => boolean;
  /** Of the run that begins. */
  readonly recipients: readonly string[];
  /** Whom the key of a run was sealed to again, by signed rewraps whose key files are there: one list for each. */
  readonly rewrapped: (run: RunId) => readonly (readonly string[])[];
  /** The newest epoch that says `fresh`; 0: none does. */
  readonly freshEpoch: number;
  /** Bytes of the pack that the last run of this writer used; `undefined` when it did not name the pack. */
  readonly lastUsedBytes: (pack: Digest) => number | undefined;
  /** When the run begins, by the storage's clock. */
  readonly now: Date;
  readonly fullEveryMs?: number | undefined;
  /** Reuse nothing. */
  readonly fresh?: boolean | undefined;
}

export interface ReuseSnapshot
  extends Pick<Snapshot, 'writer' | 'sequence' | 'epoch' | 'storageTime' | 'full' | 'packs' | 'runs'> {}

export type NotReused =
  | 'not-indexed'
  | 'missing'
  | 'wrong-size'
  | 'marked'
  | 'other-recipients'
  | 'earlier-epoch'
  | 'hardly-used';

export interface ReusePlan {
  /** Nothing is reused: asked for, the first run of this writer, its last full one is too long ago, or the roster wants it. */
  readonly full: false | 'fresh' | 'first' | 'due' | 'roster';
  readonly packs: ReadonlyMap<Digest, ReusablePack>;
  /** How many packs were refused, and why: each for the first reason that fits. */
  readonly refused: ReadonlyMap<NotReused, number>;
}

export interface ReusablePack {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Its number in this writer's newest snapshot that names it; `undefined` for another writer's. */
  readonly number: number | undefined;
  readonly run: SnapshotRun;
}

export function reusablePacks(input: ReuseInput): ReusePlan {
  const full = fullReason(input);
  const packs = new Map<Digest, ReusablePack>();
  const refused = new Map<NotReused, number>();
  if (full !== false) return { full, packs, refused };
  const sealedToAll = new Map<RunId, boolean>();
  const isSealedToAll = (run: SnapshotRun) => {
    let known = sealedToAll.get(run.run);
    if (known === undefined) {
      known = [run.recipients, ...input.rewrapped(run.run)].some((sealedTo) => includesAll(sealedTo, input.recipients));
      sealedToAll.set(run.run, known);
    }
    return known;
  };
  const seen = new Set<Digest>();
  for (const { writer, packs: named, runs } of ownFirst(input.writer, sinceFresh(input))) {
    for (const pack of named) {
      if (seen.has(pack.digest)) continue;
      seen.add(pack.digest);
      const run = runs[pack.runIndex] as SnapshotRun;
      const reason = refusal(pack, run, input, isSealedToAll);
      if (reason !== undefined) {
        refused.set(reason, (refused.get(reason) ?? 0) + 1);
        continue;
      }
      const { digest, sizeBytes } = pack;
      packs.set(digest, { digest, sizeBytes, number: writer === input.writer ? pack.number : undefined, run });
    }
  }
  return { full, packs, refused };
}

function refusal(
  pack: SnapshotPack,
  run: SnapshotRun,
  input: ReuseInput,
  isSealedToAll: (run: SnapshotRun) => boolean,
): NotReused | undefined {
  if (!input.indexed(run.run)) return 'not-indexed';
  const listed = input.listedBytes(pack.digest);
  if (listed === undefined) return 'missing';
  if (listed !== pack.sizeBytes) return 'wrong-size';
  if (input.isMarked(pack.digest)) return 'marked';
  if (!isSealedToAll(run)) return 'other-recipients';
  if (run.epoch < input.freshEpoch) return 'earlier-epoch';
  const used = input.lastUsedBytes(pack.digest);
  return used !== undefined && used < pack.sizeBytes * COMPACTION_RATIO ? 'hardly-used' : undefined;
}

function fullReason(input: ReuseInput): ReusePlan['full'] {
  const { writer, snapshots, now, fullEveryMs, fresh } = input;
  if (fresh === true) return 'fresh';
  if (snapshots.length === 0) return 'first';
  if (sinceFresh(input).length === 0) return 'roster';
  if (fullEveryMs === undefined) return false;
  const fullTimes = snapshots
    .filter((snapshot) => snapshot.writer === writer && snapshot.full)
    .map(({ storageTime }) => Date.parse(storageTime));
  return now.getTime() - Math.max(Number.NEGATIVE_INFINITY, ...fullTimes) >= fullEveryMs ? 'due' : false;
}

/** A snapshot of an epoch before names only packs of runs from before; the epoch of a run itself goes up when its key is sealed again. */
function sinceFresh({ snapshots, freshEpoch }: ReuseInput): readonly ReuseSnapshot[] {
  return snapshots.filter(({ epoch }) => epoch >= freshEpoch);
}

/** This writer's snapshots, newest first, then the others'. */
function ownFirst(writer: WriterName, snapshots: readonly ReuseSnapshot[]): readonly ReuseSnapshot[] {
  return snapshots.toSorted(
    (a, b) => Number(b.writer === writer) - Number(a.writer === writer) || b.sequence - a.sequence,
  );
}

function includesAll(sealedTo: readonly string[], recipients: readonly string[]): boolean {
  return recipients.every((recipient) => sealedTo.includes(recipient));
}
