/**
 * What a pruner marks and deletes (docs/format-repository.md, "Prune"): objects of runs that no snapshot names. No key is needed.
 *
 *     named by a snapshot                                   kept, marked or not
 *     not named, younger than the longest run               kept: its run may still commit it
 *     not named, older, not marked since it was created     marked
 *     marked for less than twice the longest run            kept: a run that read the marks before may still commit it
 *     marked for longer                                     deleted
 *
 * Rosters, evidence, snapshots and what verifiers signed are never pruned. All times are the storage's. A run reads the marks again before it commits, and gives up when they name what it uses.
 */
import { parseRepositoryKey, type RunId } from './keys.ts';

export interface PruneInput {
  /**
   * Keys of packs, indexes, contents that a live snapshot names (`namedObjects`), of all writers. Snapshots that do not
   * verify count as well: what they name is kept.
   */
  readonly named: Pick<ReadonlySet<string>, 'has'>;
  /** Runs that a live snapshot names: their key files are kept. */
  readonly runs: ReadonlySet<RunId>;
  /** Of what cannot be read at all nobody knows what it names: with one of these nothing is marked or deleted. */
  readonly unreadableSnapshots: readonly string[];
  /** The storage's listing of packs/, index/, contents/ and runs/. */
  readonly listing: Iterable<ListedObject>;
  readonly marks: readonly StoredMark[];
  readonly now: Date;
  readonly longestRunMs: number;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modified: Date;
}

export interface StoredMark {
  readonly key: string;
  /** When the storage says that it was created. */
  readonly modified: Date;
  readonly objects: readonly string[];
}

export type PruneKept = 'named' | 'young' | 'waiting' | 'unreadable-snapshots';

export interface PrunePlan {
  readonly mark: readonly ListedObject[];
  readonly delete: readonly ListedObject[];
  readonly kept: Readonly<Record<PruneKept, PruneTotal>>;
  /** Marks of which every object is gone already or named by a snapshot: nobody needs them any more. */
  readonly spentMarks: readonly string[];
  /** What is no object of a repository's layout: never touched. */
  readonly strangers: readonly string[];
}

export interface PruneTotal {
  readonly objects: number;
  readonly sizeBytes: number;
}

/** How long a mark waits, in longest runs. */
export const MARK_WAIT_RUNS = 2;

/** The keys that snapshots name, and their runs; feed it one snapshot after the other. */
export function namedObjects(
  snapshots: Iterable<{
    readonly packs: readonly { readonly digest: string }[];
    readonly indexes: readonly { readonly key: string }[];
    readonly contents: readonly { readonly key: string }[];
    readonly runs: readonly { readonly run: RunId }[];
  }>,
  into: { readonly named: Set<string>; readonly runs: Set<RunId> } = { named: new Set(), runs: new Set() },
): { readonly named: Set<string>; readonly runs: Set<RunId> } {
  for (const { packs, indexes, contents, runs } of snapshots) {
    for (const { digest } of packs) into.named.add(`packs/${digest.slice(7, 9)}/${digest.slice(7)}`);
    for (const { key } of [...indexes, ...contents]) into.named.add(key);
    for (const { run } of runs) into.runs.add(run);
  }
  return into;
}

export function planPrune(input: PruneInput): PrunePlan {
  const { now, longestRunMs, unreadableSnapshots } = input;
  const markTimes = timesOfMarks(input.marks);
  const mark: ListedObject[] = [];
  const gone: ListedObject[] = [];
  const strangers: string[] = [];
  const left = new Set<string>();
  const totals: Record<PruneKept, { objects: number; sizeBytes: number }> = {
    named: { objects: 0, sizeBytes: 0 },
    young: { objects: 0, sizeBytes: 0 },
    waiting: { objects: 0, sizeBytes: 0 },
    'unreadable-snapshots': { objects: 0, sizeBytes: 0 },
  };
  const keep = (why: PruneKept, object: ListedObject) => {
    totals[why].objects += 1;
    totals[why].sizeBytes += object.sizeBytes;
    // A mark of what is named was made of a listing that left something out: as long as it stays, nothing builds on that.
    if (why !== 'named') left.add(object.key);
  };
  for (const object of input.listing) {
    const { key, modified } = object;
    const parsed = parseRepositoryKey(key);
    // An object that is younger than a mark is not the one that was marked.
    const marked = markTimes.get(key)?.find((time) => time >= modified.getTime());
    if (parsed?.kind === 'runKey' ? input.runs.has(parsed.run) : input.named.has(key)) keep('named', object);
    else if (parsed === undefined) strangers.push(key);
    else if (!isPrunable(parsed.kind)) keep('named', object);
    else if (unreadableSnapshots.length > 0) keep('unreadable-snapshots', object);
    else if (now.getTime() - modified.getTime() < longestRunMs) keep('young', object);
    else if (marked === undefined) mark.push(object);
    else if (now.getTime() - marked < MARK_WAIT_RUNS * longestRunMs) keep('waiting', object);
    else gone.push(object);
  }
  // Those that this plan deletes count as well: deleting may stop half-way, and they must not lose their mark then.
  for (const { key } of [...mark, ...gone]) left.add(key);
  const spentMarks = input.marks.filter(({ objects }) => !objects.some((key) => left.has(key))).map(({ key }) => key);
  return {
    mark,
    delete: gone,
    kept: totals,
    spentMarks,
    strangers,
  };
}

function isPrunable(kind: string): boolean {
  return kind === 'pack' || kind === 'index' || kind === 'contents' || kind === 'runKey';
}

/** By object: when the marks that name it were created, ms since 1970, ascending. */
function timesOfMarks(marks: readonly StoredMark[]): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const { modified, objects } of marks.toSorted((a, b) => a.modified.getTime() - b.modified.getTime())) {
    for (const key of objects) {
      const known = times.get(key);
      if (known === undefined) times.set(key, [modified.getTime()]);
      else known.push(modified.getTime());
    }
  }
  return times;
}
