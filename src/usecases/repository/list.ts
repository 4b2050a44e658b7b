import type { PortolanError } from '../../core/errors.ts';
import type { RepositoryId, WriterName } from '../../formats/repository/keys.ts';
import { chainError } from '../../formats/repository/snapshot-chain.ts';
import { readChains, type SnapshotInfo } from './chains.ts';
import { type RepositoryMemory, rememberSeen } from './checkpoints.ts';
import { listChains } from './listing.ts';
import type { OpenedRepository } from './open.ts';
import { readVerifications } from './verifications.ts';

export interface ListedSnapshot extends SnapshotInfo {
  /** Whether the newest word of each verifier is good; `undefined` when nobody looked. */
  readonly verified: boolean | undefined;
  /** It has a stub: forgetting was interrupted, or was not allowed to remove it. */
  readonly isForgotten: boolean;
}

export interface ListReport {
  readonly repository: RepositoryId;
  readonly epoch: number;
  readonly writers: readonly {
    readonly writer: WriterName;
    readonly snapshots: readonly ListedSnapshot[];
    readonly forgotten: number;
  }[];
  /** What is wrong with rosters, chains or documents; the snapshots that are listed verified all the same. */
  readonly problems: readonly PortolanError[];
}

/** All snapshots of all writers, each verified, and their chains with them. */
export async function listSnapshots(
  repository: OpenedRepository,
  { memory }: { readonly memory?: RepositoryMemory },
  options: { readonly signal?: AbortSignal; readonly writer?: WriterName | undefined } = {},
): Promise<ListReport> {
  const chains = await readChains(repository, await listChains(repository.store, options), options);
  const verifications = await readVerifications(repository, options);
  const problems = [
    ...repository.problems,
    ...verifications.unreadable.map(({ error }) => error),
    ...chains.flatMap(({ unreadable, findings }) => [
      ...unreadable.map(({ error }) => error),
      ...findings.map((finding) => chainError(finding)),
    ]),
  ];
  if (memory !== undefined && problems.length === 0 && options.writer === undefined) {
    const heads = chains.flatMap(({ writer, head }) => (head === undefined ? [] : [[writer, head] as const]));
    await rememberSeen(memory, repository, Object.fromEntries(heads), options);
  }
  return {
    repository: repository.id,
    epoch: repository.roster.document.epoch,
    writers: chains.map(({ writer, snapshots, forgotten }) => {
      const stubs = new Set(forgotten.map(({ digest }) => digest));
      return {
        writer,
        snapshots: snapshots.map((info) => ({
          ...info,
          verified: verifications.of(info),
          isForgotten: stubs.has(info.digest),
        })),
        forgotten: stubs.size,
      };
    }),
    problems,
  };
}
