import { digestOf } from '../../core/digest.ts';
import { throwProblems } from '../../core/errors.ts';
import { KEY_PREFIXES, markKey, type RunId, type WriterName } from '../../formats/repository/keys.ts';
import { encodeMark, MARK_MAX_OBJECTS } from '../../formats/repository/mark.ts';
import {
  type ListedObject,
  MARK_WAIT_RUNS,
  type PruneKept,
  type PrunePlan,
  type PruneTotal,
  planPrune,
} from '../../formats/repository/prune-plan.ts';
import { readUnverifiedSnapshot, SNAPSHOT_MAX_BYTES, type Snapshot } from '../../formats/repository/snapshot.ts';
import { chainError } from '../../formats/repository/snapshot-chain.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import { isFinding, readChains } from './chains.ts';
import { LONGEST_RUN_MS } from './limits.ts';
import { listChains } from './listing.ts';
import { readMarks } from './marks.ts';
import { createNamedSet, type NamedSet } from './named-set.ts';
import { putOnce } from './objects.ts';
import type { OpenedRepository } from './open.ts';
import { requireRole } from './roles.ts';

export interface PruneRequest {
  /** A pruner's; a plan needs none. */
  readonly signer: SigningKey | undefined;
  readonly plan: boolean;
  /** Snapshots that are gone without a stub were looked after: what they named may go. */
  readonly acceptMissing: boolean;
}

export interface PruneReport {
  readonly marked: PruneTotal;
  readonly deleted: PruneTotal;
  readonly kept: Readonly<Record<PruneKept, PruneTotal>>;
  /** What no layout of a repository has; never touched. */
  readonly strangers: readonly string[];
  /** How long marks wait. */
  readonly waitMs: number;
  /** False for a plan. */
  readonly done: boolean;
}

export interface PruneOptions {
  readonly signal: AbortSignal;
  /** For tests. */
  readonly longestRunMs?: number;
}

/** Objects that are removed by one call. */
const REMOVE_BATCH = 1000;

/**
 * Marks what no snapshot names, and deletes what was marked long enough ago. Needs no key that decrypts.
 *
 * @throws UseCaseError ROLE_MISSING, PRUNE_REFUSED; FormatError SNAPSHOT_DROPPED, SNAPSHOTS_…
 */
export async function pruneRepository(
  repository: OpenedRepository,
  request: PruneRequest,
  { progress }: { readonly progress: Progress },
  options: PruneOptions,
): Promise<PruneReport> {
  const { store } = repository;
  const { signal, longestRunMs = LONGEST_RUN_MS } = options;
  const { signer } = request;
  const pruner = signer === undefined ? undefined : requireRole(repository.roster.document, 'pruners', signer);
  const { marks, unreadable } = await readMarks(repository, { signal });
  for (const { key, error } of unreadable) progress.warn(`${key} counts for nothing: ${error.code}`);
  // Listed before the snapshots are read: what a run writes and commits in between is named then.
  const listing = createListing();
  for (const kind of ['pack', 'index', 'contents', 'runKey'] as const) {
    for await (const object of store.list(KEY_PREFIXES[kind], { signal })) listing.add(object);
  }
  const named = await readNamed(repository, request, signal);
  const now = await store.now({ signal });
  const plan = planPrune({ ...named, listing: listing.objects(), marks, now, longestRunMs });
  if (named.unreadableSnapshots.length > 0) {
    progress.warn(
      `nothing is marked or deleted while nobody can tell what these name: ${named.unreadableSnapshots.join(', ')}`,
    );
  }
  if (!request.plan && signer !== undefined && pruner !== undefined) {
    await writeMarks(repository, plan, { signer, pruner: pruner as WriterName, now }, signal);
    await removeAll(repository, request, plan, signal);
  }
  return {
    marked: totalOf(plan.mark),
    deleted: totalOf(plan.delete),
    kept: plan.kept,
    strangers: plan.strangers,
    waitMs: MARK_WAIT_RUNS * longestRunMs,
    done: !request.plan,
  };
}

interface Named {
  readonly named: NamedSet;
  readonly runs: ReadonlySet<RunId>;
  readonly unreadableSnapshots: readonly string[];
}

/** What all snapshots name, those too that do not verify. */
async function readNamed(repository: OpenedRepository, request: PruneRequest, signal: AbortSignal): Promise<Named> {
  const named = createNamedSet();
  const runs = new Set<RunId>();
  const add = (snapshot: Snapshot) => {
    named.addSnapshot(snapshot);
    for (const { run } of snapshot.runs) runs.add(run);
  };
  const unreadableSnapshots: string[] = [];
  const listed = await listChains(repository.store, { signal });
  const chains = await readChains(repository, listed, {
    signal,
    visit: add,
  });
  const findings = chains.flatMap((chain) => chain.findings);
  if (!request.acceptMissing) throwProblems(findings.map((finding) => chainError(finding)));
  const snapshots = new Set(listed.flatMap((chain) => chain.snapshots.map(({ entry }) => entry.key)));
  for (const { key } of chains.flatMap((chain) => chain.unreadable)) {
    if (!snapshots.has(key)) continue;
    try {
      const bytes = await repository.store.get(key, { maxBytes: SNAPSHOT_MAX_BYTES, signal });
      add(readUnverifiedSnapshot(bytes, key).document);
    } catch (error) {
      if (!isFinding(error)) throw error;
      unreadableSnapshots.push(key);
    }
  }
  return { named, runs, unreadableSnapshots };
}

/** Objects as they were listed, without an object for each: of a repository with a million chunks these would take 10 MiB. */
function createListing(): { add(object: ListedObject): void; objects(): Iterable<ListedObject> } {
  const keys: string[] = [];
  const sizesBytes: number[] = [];
  const timesMs: number[] = [];
  return {
    add({ key, sizeBytes, modified }) {
      keys.push(key);
      sizesBytes.push(sizeBytes);
      timesMs.push(modified.getTime());
    },
    *objects() {
      for (const [index, key] of keys.entries()) {
        const modified = new Date(timesMs[index] as number);
        yield { key, sizeBytes: sizesBytes[index] as number, modified };
      }
    },
  };
}

async function writeMarks(
  { store, id }: OpenedRepository,
  { mark }: PrunePlan,
  { signer, pruner, now }: { readonly signer: SigningKey; readonly pruner: WriterName; readonly now: Date },
  signal: AbortSignal,
): Promise<void> {
  const keys = mark.map(({ key }) => key).sort();
  for (let at = 0; at < keys.length; at += MARK_MAX_OBJECTS) {
    const objects = keys.slice(at, at + MARK_MAX_OBJECTS);
    const time = now.toISOString();
    const bytes = encodeMark({ version: 1, repository: id, pruner, time, objects }, signer);
    await putOnce(store, markKey(now, digestOf(bytes)), bytes, { signal });
  }
}

/** Looks again before it deletes: a snapshot that came since then may name what was about to go. */
async function removeAll(
  repository: OpenedRepository,
  request: PruneRequest,
  plan: PrunePlan,
  signal: AbortSignal,
): Promise<void> {
  const { store } = repository;
  if (plan.delete.length > 0) {
    const { named, unreadableSnapshots } = await readNamed(repository, request, signal);
    const clash = plan.delete.find(({ key }) => named.has(key));
    if (clash !== undefined || unreadableSnapshots.length > 0) {
      throw new UseCaseError('PRUNE_REFUSED', 'a snapshot came meanwhile that names what was to be deleted', {
        ...(clash === undefined ? {} : { at: { file: clash.key } }),
        hint: 'Run the command again. If it happens again, a writer reuses what is marked: run `portolan backup check`.',
      });
    }
  }
  const keys = plan.delete.map(({ key }) => key);
  for (let at = 0; at < keys.length; at += REMOVE_BATCH)
    await store.remove(keys.slice(at, at + REMOVE_BATCH), { signal });
  await store.remove(plan.spentMarks, { signal });
}

function totalOf(objects: readonly ListedObject[]): PruneTotal {
  return { objects: objects.length, sizeBytes: objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}
