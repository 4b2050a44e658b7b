import {
  advanceCheckpoint,
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../formats/repository/checkpoint.ts';
import type { RepositoryId, WriterName } from '../../formats/repository/keys.ts';
import type { SnapshotHead } from '../../formats/repository/snapshot.ts';
import type { TargetState } from '../../ports/target-state.ts';
import type { OpenedRepository } from './open.ts';

const DOCUMENT = 'checkpoint';

/** How long another process that writes the same checkpoint is waited for: it does so in milliseconds. */
const LOCK_WAIT_MS = 60_000;

/** What this machine remembers of repositories, outside of any storage. */
export interface RepositoryMemory {
  /** Of a repository. */
  readonly of: (id: RepositoryId) => TargetState;
  /** Held by a run of a writer from its start to its end. */
  readonly ofWriter: (id: RepositoryId, writer: WriterName) => TargetState;
  /** Who works, for whoever waits. */
  readonly holder: string;
}

interface Options {
  readonly signal?: AbortSignal;
}

/** @throws FormatError CHECKPOINT_INVALID, REPOSITORY_MISMATCH */
export async function readCheckpoint(
  memory: RepositoryMemory,
  id: RepositoryId,
  options: Options = {},
): Promise<Checkpoint | undefined> {
  const state = memory.of(id);
  const bytes = await state.read(DOCUMENT, options);
  return bytes === undefined ? undefined : decodeCheckpoint(bytes, { repository: id, file: state.place });
}

/**
 * Remembers what was seen and verified. Several processes may do so at once: what is newest stays.
 *
 * @throws FormatError CHECKPOINT_INVALID when what was seen is another history than the one that is remembered
 */
export async function rememberSeen(
  memory: RepositoryMemory,
  { id, roster }: Pick<OpenedRepository, 'id' | 'roster'>,
  writers: Readonly<Record<string, SnapshotHead>>,
  options: Options = {},
): Promise<void> {
  const state = memory.of(id);
  await using _lock = await state.lock(memory.holder, { ...options, waitMs: LOCK_WAIT_MS });
  const before = await readCheckpoint(memory, id, options);
  const seen: Checkpoint = {
    version: 1,
    repository: id,
    roster: { epoch: roster.document.epoch, digest: roster.digest },
    writers: Object.fromEntries(
      Object.entries(writers).filter(([writer, head]) => head.sequence >= (before?.writers[writer]?.sequence ?? 0)),
    ),
  };
  // Another process may have seen a later epoch meanwhile.
  const isBehind = before !== undefined && before.roster.epoch > seen.roster.epoch;
  const next = advanceCheckpoint(before, isBehind ? { ...seen, roster: before.roster } : seen);
  await state.write(DOCUMENT, encodeCheckpoint(next), options);
}
