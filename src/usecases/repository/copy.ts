import type { Digest } from '../../core/digest.ts';
import { type PortolanError, throwProblems } from '../../core/errors.ts';
import { orderedMap } from '../../core/ordered-map.ts';
import { decodeForgotten, FORGOTTEN_MAX_BYTES } from '../../formats/repository/forgotten.ts';
import {
  evidenceKey,
  forgottenKey,
  KEY_PREFIXES,
  parseRepositoryKey,
  REPOSITORY_KEY,
  type RepositoryId,
  type RunId,
  rosterKey,
  runKeyKey,
  snapshotKey,
} from '../../formats/repository/keys.ts';
import {
  decodeRepositoryDescription,
  REPOSITORY_DESCRIPTION_MAX_BYTES,
} from '../../formats/repository/repository-description.ts';
import { REWRAP_MAX_BYTES } from '../../formats/repository/rewrap.ts';
import { ROSTER_MAX_BYTES } from '../../formats/repository/roster.ts';
import { SNAPSHOT_MAX_BYTES, type Snapshot } from '../../formats/repository/snapshot.ts';
import { chainError } from '../../formats/repository/snapshot-chain.ts';
import { VERIFICATION_MAX_BYTES } from '../../formats/repository/verification.ts';
import type { ObjectStore } from '../../ports/object-store.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import { requireEmptyPlace } from '../storage/empty-place.ts';
import { isFinding, keysEverOf, readChain, readSnapshot, type SnapshotInfo } from './chains.ts';
import { readEvidence } from './evidence.ts';
import { type ListedChain, listChains } from './listing.ts';
import { type NamedObject, objectsOf } from './named-objects.ts';
import { getIfThere, isCode, putOnce, readAcceptable } from './objects.ts';
import type { OpenedRepository } from './open.ts';
import { readRewraps } from './rewraps.ts';

export interface CopyRepositoryReport {
  readonly repository: RepositoryId;
  readonly snapshots: number;
  readonly copiedSnapshots: number;
  readonly copiedObjects: number;
  readonly copiedBytes: number;
  /** What could not be copied, since it is damaged here. */
  readonly problems: readonly PortolanError[];
}

/** Objects under way at once: four packs are 64 MiB. */
const WIDTH = 4;

/**
 * Copies a repository, object by object and unchanged, to another storage; no key is needed. Each snapshot goes after all that it
 * names, so that the copy is a repository at every moment. What is there already is not copied again.
 *
 * @throws UseCaseError REPOSITORY_EXISTS, REPOSITORY_PLACE_NOT_EMPTY, STORE_NOT_CREATE_ONLY, STORE_NOT_FAITHFUL, OBJECT_CONFLICT
 */
export async function copyRepository(
  repository: OpenedRepository,
  target: ObjectStore,
  { progress, now }: { readonly progress: Progress; readonly now: () => number },
  options: { readonly signal: AbortSignal },
): Promise<CopyRepositoryReport> {
  const { store, id } = repository;
  const { signal } = options;
  throwProblems(repository.problems);
  await requireTarget(target, id, now, signal);
  const totals = { objects: 0, bytes: 0 };
  const count = (bytes: number) => {
    totals.objects += 1;
    totals.bytes += bytes;
  };
  const verbatim: Verbatim = (key, maxBytes, proof) =>
    copyDocument(store, target, key, maxBytes, { ...proof, count, signal });
  // What was read wrongly once must not stand in the copy for ever: nothing is overwritten there.
  await verbatim(REPOSITORY_KEY, REPOSITORY_DESCRIPTION_MAX_BYTES, { accept: decodeRepositoryDescription });
  for (const { document, digest } of repository.rosters) {
    await verbatim(rosterKey(document.epoch), ROSTER_MAX_BYTES, { expected: digest });
  }
  const problems: PortolanError[] = [];
  await copyEvidence(repository, target, problems, count, signal);
  const there = await listThere(target, signal);
  const listed = await listChains(store, { signal });
  const before = new Set((await listChains(target, { signal })).flatMap((chain) => chain.snapshots.map(keyOf)));
  const runs = new Set<RunId>();
  const task = progress.task('copying');
  let snapshots = 0;
  let copiedSnapshots = 0;
  try {
    for (const chain of listed) {
      const read = await readChain(repository, chain, { signal });
      problems.push(...read.unreadable.map(({ error }) => error), ...read.findings.map((one) => chainError(one)));
      const unreadable = new Set(read.unreadable.map(({ key }) => key));
      await copyStubs(repository, chain, unreadable, verbatim);
      for (const info of read.snapshots) {
        snapshots += 1;
        const key = snapshotKey(info.writer, info.sequence);
        try {
          const { document } = await readSnapshot(
            repository,
            info.writer,
            { ...info, key },
            { expected: info.digest, signal },
          );
          await copyNamed(
            store,
            target,
            document,
            there,
            (bytes) => {
              count(bytes);
              task.advance(bytes);
            },
            signal,
          );
          for (const { run } of document.runs) runs.add(run);
          if (!before.has(key)) copiedSnapshots += 1;
          await copySnapshot(repository, target, info, count, signal);
        } catch (error) {
          if (!isFinding(error)) throw error;
          problems.push(damaged(info, error));
        }
      }
    }
    await copyRest(repository, target, runs, verbatim, count, signal);
  } finally {
    task.done();
  }
  return {
    repository: id,
    snapshots,
    copiedSnapshots,
    copiedObjects: totals.objects,
    copiedBytes: totals.bytes,
    problems,
  };
}

function keyOf({ entry }: ListedChain['snapshots'][number]): string {
  return entry.key;
}

/** An empty place, or a copy of the same repository. */
async function requireTarget(
  target: ObjectStore,
  id: RepositoryId,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  const bytes = await getIfThere(target, REPOSITORY_KEY, REPOSITORY_DESCRIPTION_MAX_BYTES, { signal });
  if (bytes !== undefined) {
    const found = decodeRepositoryDescription(bytes).repository;
    if (found === id) return;
    throw new UseCaseError('REPOSITORY_EXISTS', `${target.place} holds another repository`, {
      expected: id,
      found,
      hint: 'Choose an empty place for the copy.',
    });
  }
  await requireEmptyPlace(target, { now, signal });
}

/** Keys and sizes of what the target has; of documents only that they are there. */
async function listThere(target: ObjectStore, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
  const there = new Map<string, number>();
  for (const kind of ['pack', 'index', 'contents', 'runKey'] as const) {
    for await (const { key, sizeBytes } of target.list(KEY_PREFIXES[kind], { signal })) there.set(key, sizeBytes);
  }
  return there;
}

async function copyNamed(
  store: ObjectStore,
  target: ObjectStore,
  snapshot: Snapshot,
  there: ReadonlyMap<string, number>,
  count: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const missing = [...objectsOf(snapshot)].filter(({ key, sizeBytes }) => there.get(key) !== sizeBytes);
  const sealed = new Map(snapshot.runs.map((run) => [runKeyKey(run.run, run.epoch), run.sealed]));
  const copies = orderedMap(missing, WIDTH, async (object: NamedObject) => {
    const { key, digest, sizeBytes } = object;
    const own = sealed.get(key);
    const bytes =
      own === undefined
        ? await store.get(key, { maxBytes: sizeBytes, expected: { digest, sizeBytes }, signal })
        : Buffer.from(own, 'base64');
    return (await putOnce(target, key, bytes, { signal })) === 'created' ? bytes.length : 0;
  });
  for await (const bytes of copies) if (bytes > 0) count(bytes);
}

async function copySnapshot(
  { store }: OpenedRepository,
  target: ObjectStore,
  { writer, sequence, digest }: SnapshotInfo,
  count: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const key = snapshotKey(writer, sequence);
  const found = await store.stat(key, { signal });
  const expected = found === undefined ? {} : { expected: { digest, sizeBytes: found.sizeBytes } };
  const bytes = await store.get(key, { maxBytes: SNAPSHOT_MAX_BYTES, ...expected, signal });
  if ((await putOnce(target, key, bytes, { signal })) === 'created') count(bytes.length);
}

/** Why readers are on the roster. A few kilobytes of each. */
async function copyEvidence(
  repository: OpenedRepository,
  target: ObjectStore,
  problems: PortolanError[],
  count: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { published, unreadable } = await readEvidence(repository, { signal });
  problems.push(...unreadable.map(({ error }) => error));
  for (const [digest, bytes] of published) {
    if ((await putOnce(target, evidenceKey(digest), bytes, { signal })) === 'created') count(bytes.length);
  }
}

/** By which an object shows that it is the right one. */
interface Proof {
  readonly expected?: Digest;
  readonly accept?: (bytes: Uint8Array) => unknown;
}

type Verbatim = (key: string, maxBytes: number, proof?: Proof) => Promise<void>;

async function copyDocument(
  store: ObjectStore,
  target: ObjectStore,
  key: string,
  maxBytes: number,
  {
    expected,
    accept,
    count,
    signal,
  }: Proof & { readonly count: (bytes: number) => void; readonly signal: AbortSignal },
): Promise<void> {
  const bytes = await readAcceptable(store, key, maxBytes, { expected, signal }, (found) => {
    accept?.(found);
    return found;
  }).catch((error) => {
    if (isCode(error, 'OBJECT_MISSING')) return undefined;
    throw error;
  });
  if (bytes !== undefined && (await putOnce(target, key, bytes, { signal })) === 'created') count(bytes.length);
}

async function copyStubs(
  repository: OpenedRepository,
  { writer, forgotten }: ListedChain,
  unreadable: ReadonlySet<string>,
  verbatim: Verbatim,
): Promise<void> {
  const keys = keysEverOf(repository, 'pruners');
  for (const { sequence } of forgotten) {
    const key = forgottenKey(writer, sequence);
    const accept = (bytes: Uint8Array) => decodeForgotten(bytes, { keys, repository: repository.id, writer, sequence });
    if (!unreadable.has(key)) await verbatim(key, FORGOTTEN_MAX_BYTES, { accept });
  }
}

/** Keys of live runs that were sealed again, and what verifiers said. Marks are the pruner's of each storage. */
async function copyRest(
  repository: OpenedRepository,
  target: ObjectStore,
  runs: ReadonlySet<RunId>,
  verbatim: Verbatim,
  count: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { store } = repository;
  const rewraps = await readRewraps(repository, runs, { signal });
  for (const run of runs) {
    for (const { epoch, sealed } of rewraps.of(run)) {
      const bytes = Buffer.from(sealed, 'base64');
      if ((await putOnce(target, runKeyKey(run, epoch), bytes, { signal })) === 'created') count(bytes.length);
    }
  }
  for await (const { key } of store.list(KEY_PREFIXES.rewrap, { signal })) {
    const parsed = parseRepositoryKey(key);
    if (parsed?.kind === 'rewrap') await verbatim(key, REWRAP_MAX_BYTES, { expected: parsed.digest });
  }
  for await (const { key } of store.list(KEY_PREFIXES.verification, { signal })) {
    if (parseRepositoryKey(key)?.kind === 'verification') await verbatim(key, VERIFICATION_MAX_BYTES);
  }
}

function damaged({ writer, sequence }: SnapshotInfo, error: PortolanError): UseCaseError {
  return new UseCaseError('SOURCE_SNAPSHOT_DAMAGED', `${writer}/${sequence} was not copied: it is damaged here`, {
    cause: error,
    at: { file: snapshotKey(writer, sequence) },
    hint: 'Run `portolan backup check --read-data 100%`. The other snapshots were copied.',
  });
}
