import { throwProblems } from '../../core/errors.ts';
import { isRunId } from '../../formats/repository/keys.ts';
import type { Progress } from '../../ports/progress.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { type OpenedSnapshot, type OpeningOptions, openSnapshot } from '../repository/open-snapshot.ts';

export interface SnapshotRequest {
  /** `latest`, `WRITER`, `WRITER/SEQUENCE` or the id of a run; the latest unless given. */
  readonly snapshot: string | undefined;
  readonly identities: readonly string[];
  /** Goes on although something is wrong with the chains of the repository; only with a snapshot that is named. */
  readonly despiteProblems: boolean;
}

/**
 * Opens the snapshot that is to be restored. Every byte of it is held against signed digests whatever is wrong elsewhere; but
 * which one is the newest is not known while a chain is not right.
 *
 * @throws the problems of the chains; what `openSnapshot` throws
 */
export async function openForRestore(
  repository: OpenedRepository,
  { snapshot, identities, despiteProblems }: SnapshotRequest,
  { progress }: { readonly progress: Progress },
  options: OpeningOptions & { readonly signal: AbortSignal },
): Promise<OpenedSnapshot> {
  const opened = await openSnapshot(repository, snapshot ?? 'latest', identities, options);
  // A writer's name alone, as that of its machine, means its newest.
  const isNamed = isRunId(snapshot) || (snapshot?.includes('/') === true && !snapshot.endsWith('/latest'));
  if (!(despiteProblems && isNamed)) throwProblems(opened.problems);
  for (const { code, message } of opened.problems) progress.warn(`${code}: ${message}`);
  return opened;
}
