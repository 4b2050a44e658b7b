import { digestOf } from '../../core/digest.ts';
import { runKeyKey, snapshotKey } from '../../formats/repository/keys.ts';
import { namedObjects } from '../../formats/repository/prune-plan.ts';
import {
  encodeSnapshot,
  SNAPSHOT_MAX_BYTES,
  type Snapshot,
  type SnapshotHead,
} from '../../formats/repository/snapshot.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import { UseCaseError } from '../errors.ts';
import { markedKeys, readMarks } from '../repository/marks.ts';
import { getIfThere } from '../repository/objects.ts';
import type { OpenedRepository } from '../repository/open.ts';

export interface CommitRequest {
  readonly repository: OpenedRepository;
  readonly signer: SigningKey;
  /** All of it but when the storage says that it is. */
  readonly snapshot: Omit<Snapshot, 'storageTime'>;
  /** When the run began, by the storage's clock. */
  readonly storageStarted: Date;
  readonly longestRunMs: number;
  readonly signal: AbortSignal;
}

/**
 * Writes the snapshot, which commits the run: after it was made sure that nobody is going to delete what it names.
 *
 * @throws UseCaseError RUN_TOO_LONG, PACKS_MARKED, WRITER_FORKED
 */
export async function commitSnapshot(request: CommitRequest): Promise<SnapshotHead & { readonly storageTime: Date }> {
  const { repository, signer, snapshot, storageStarted, longestRunMs, signal } = request;
  const { store } = repository;
  await requireUnmarked(repository, snapshot, signal);
  const storageTime = await store.now({ signal });
  const tookMs = storageTime.getTime() - storageStarted.getTime();
  if (tookMs > longestRunMs) throw tooLong(tookMs, longestRunMs);
  const bytes = encodeSnapshot({ ...snapshot, storageTime: storageTime.toISOString() }, signer);
  const { sequence, writer } = snapshot;
  const key = snapshotKey(writer, sequence);
  const head = { sequence, digest: digestOf(bytes), storageTime };
  let failure: unknown;
  try {
    if ((await store.put(key, bytes, { signal })) === 'created') return head;
  } catch (error) {
    // The answer may have been lost, not the object. After an interruption the next run finds out.
    if (signal.aborted) throw error;
    failure = error;
  }
  const found = await getIfThere(store, key, SNAPSHOT_MAX_BYTES, { signal }).catch((error) => {
    throw failure ?? error;
  });
  if (found !== undefined && digestOf(found) === head.digest) return head;
  if (found === undefined && failure !== undefined) throw failure;
  throw new UseCaseError('WRITER_FORKED', `another run of the writer ${writer} wrote snapshot ${sequence} meanwhile`, {
    expected: head.digest,
    found: found === undefined ? 'nothing any more' : digestOf(found),
    at: { file: key },
    hint: 'Run the command again: it goes on after the other one. If two machines back up, approve a writer for each.',
  });
}

/** A pruner marks what no snapshot names, and this run may name it since. */
async function requireUnmarked(
  repository: OpenedRepository,
  snapshot: Omit<Snapshot, 'storageTime'>,
  signal: AbortSignal,
): Promise<void> {
  const { marks } = await readMarks(repository, { signal });
  if (marks.length === 0) return;
  const marked = markedKeys(marks);
  const { named } = namedObjects([snapshot]);
  const runKeys = snapshot.runs.map(({ run, epoch }) => runKeyKey(run, epoch));
  const clash = [...named, ...runKeys].filter((key) => marked.has(key));
  if (clash.length === 0) return;
  throw new UseCaseError('PACKS_MARKED', `a pruner is going to delete what this run builds on`, {
    found: `${clash.length} objects, such as ${clash[0]}`,
    hint: 'Run the command again: it writes afresh what was marked. Nothing was lost.',
  });
}

function tooLong(tookMs: number, longestRunMs: number): UseCaseError {
  const hours = (ms: number) => `${(ms / 3_600_000).toFixed(1)} h`;
  return new UseCaseError('RUN_TOO_LONG', 'the run took too long: what it wrote may be pruned already', {
    expected: `at most ${hours(longestRunMs)}`,
    found: hours(tookMs),
    hint: 'Back up fewer databases or folders in one run, each with a writer of its own, or use a quicker storage.',
  });
}
