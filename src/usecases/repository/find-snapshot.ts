import type { PortolanError } from '../../core/errors.ts';
import { isRunId, snapshotKey } from '../../formats/repository/keys.ts';
import { chainError } from '../../formats/repository/snapshot-chain.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import { type ReadChain, readChains, type SnapshotInfo } from './chains.ts';
import { listChains } from './listing.ts';
import type { OpenedRepository } from './open.ts';

export interface FoundSnapshot {
  readonly info: SnapshotInfo;
  readonly key: string;
  /** What is wrong with the chains of the repository. */
  readonly problems: readonly PortolanError[];
}

/**
 * The snapshot that a person means: `latest` (of the only writer), `WRITER`, `WRITER/latest`, `WRITER/SEQUENCE` or the id of a run.
 *
 * @throws UseCaseError SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS
 */
export async function findSnapshot(
  repository: OpenedRepository,
  address: string,
  options: StoreOptions = {},
): Promise<FoundSnapshot> {
  const chains = await readChains(repository, await listChains(repository.store, options), options);
  const info = select(chains, address);
  const problems = chains.flatMap(({ unreadable, findings }) => [
    ...unreadable.map(({ error }) => error),
    ...findings.map((finding) => chainError(finding)),
  ]);
  if (info === undefined) throw notFound(repository, address, chains, problems);
  return { info, key: snapshotKey(info.writer, info.sequence), problems };
}

function select(chains: readonly ReadChain[], address: string): SnapshotInfo | undefined {
  const all = chains.flatMap(({ snapshots }) => snapshots);
  if (isRunId(address)) return all.find(({ run }) => run === address);
  if (address === 'latest') {
    const writers = chains.filter(({ snapshots }) => snapshots.length > 0);
    if (writers.length > 1) throw ambiguous(writers);
    return writers[0]?.snapshots.at(-1);
  }
  const [writer, which = 'latest', ...more] = address.split('/');
  const snapshots = chains.find((chain) => chain.writer === writer)?.snapshots ?? [];
  if (more.length > 0) return undefined;
  if (which === 'latest') return snapshots.at(-1);
  return /^[0-9]{1,8}$/.test(which) ? snapshots.find(({ sequence }) => sequence === Number(which)) : undefined;
}

function ambiguous(writers: readonly ReadChain[]): UseCaseError {
  return new UseCaseError('SNAPSHOT_AMBIGUOUS', 'there are several writers, each with a latest snapshot', {
    expected: writers.map(({ writer }) => writer).join(', '),
    hint: `Name the writer, such as ${writers[0]?.writer}.`,
  });
}

function notFound(
  { store }: OpenedRepository,
  address: string,
  chains: readonly ReadChain[],
  problems: readonly PortolanError[],
): UseCaseError {
  const there = chains.filter(({ snapshots }) => snapshots.length > 0);
  return new UseCaseError('SNAPSHOT_NOT_FOUND', `${store.place} has no snapshot ${address}`, {
    expected:
      there
        .map(({ writer, snapshots }) => `${writer}/${snapshots[0]?.sequence} to ${snapshots.at(-1)?.sequence}`)
        .join(', ') || 'any snapshot: there is none',
    hint: 'Write latest, WRITER, WRITER/SEQUENCE or the id of a run; `portolan backup list` shows them.',
    others: problems,
  });
}
