import type { PortolanError } from '../../core/errors.ts';
import { chainError } from '../../formats/repository/snapshot-chain.ts';
import { readChains, type SnapshotInfo } from './chains.ts';
import { listChains } from './listing.ts';
import type { OpenedRepository } from './open.ts';

export interface NewestSnapshots {
  /** The newest live snapshot of each writer, the newest of all first. */
  readonly newest: readonly SnapshotInfo[];
  /** What is wrong with their chains. */
  readonly problems: readonly PortolanError[];
}

export async function newestSnapshots(
  repository: OpenedRepository,
  options: { readonly signal?: AbortSignal } = {},
): Promise<NewestSnapshots> {
  const chains = await readChains(repository, await listChains(repository.store, options), options);
  return {
    newest: chains
      .flatMap(({ snapshots }) => snapshots.at(-1) ?? [])
      .toSorted((a, b) => Date.parse(b.storageTime) - Date.parse(a.storageTime)),
    problems: chains.flatMap(({ unreadable, findings }) => [
      ...unreadable.map(({ error }) => error),
      ...findings.map((finding) => chainError(finding)),
    ]),
  };
}
