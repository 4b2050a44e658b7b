import type { PortolanError } from '../../core/errors.ts';
import type { RepositoryId, WriterName } from '../../formats/repository/keys.ts';
import type { SnapshotHead } from '../../formats/repository/snapshot.ts';
import { chainError } from '../../formats/repository/snapshot-chain.ts';
import { type ReadChain, type ReadChainOptions, readChains, type SnapshotInfo } from './chains.ts';
import { type RepositoryMemory, rememberSeen } from './checkpoints.ts';
import { listChains } from './listing.ts';
import type { OpenedRepository } from './open.ts';
import { type ReadVerifications, readVerifications } from './verifications.ts';

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

/** Chains, what verifiers said of their snapshots, and all that is wrong with either. */
export async function lookAtChains(
  repository: OpenedRepository,
  options: Omit<ReadChainOptions, 'heads'> & { readonly writer?: WriterName | undefined } = {},
): Promise<{
  readonly chains: readonly ReadChain[];
  readonly verifications: ReadVerifications;
  readonly problems: readonly PortolanError[];
}> {
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
  return { chains, verifications, problems };
}

/** The newest of each chain, as it is remembered. */
export function headsOf(chains: readonly ReadChain[]): Readonly<Record<string, SnapshotHead>> {
  return Object.fromEntries(
    chains.flatMap(({ writer, head }) => (head === undefined ? [] : [[writer, head] as const])),
  );
}

/** All snapshots of all writers, each verified, and their chains with them. */
export async function listSnapshots(
  repository: OpenedRepository,
  { memory }: { readonly memory?: RepositoryMemory },
  options: { readonly signal?: AbortSignal; readonly writer?: WriterName | undefined } = {},
): Promise<ListReport> {
  const { chains, verifications, problems } = await lookAtChains(repository, options);
  if (memory !== undefined && problems.length === 0 && options.writer === undefined) {
    await rememberSeen(memory, repository, headsOf(chains), options);
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
