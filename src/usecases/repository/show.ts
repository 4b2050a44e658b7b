import type { PortolanError } from '../../core/errors.ts';
import type { SnapshotDetails } from '../../formats/repository/snapshot-details.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { readSnapshot } from './chains.ts';
import type { FoundSnapshot } from './find-snapshot.ts';
import type { ListedSnapshot } from './list.ts';
import type { OpenedRepository } from './open.ts';
import { readVerifications } from './verifications.ts';

export interface ShowReport extends Omit<ListedSnapshot, 'isForgotten' | 'dropped'> {
  /** Runs whose packs it uses, its own first or last. */
  readonly runs: readonly { readonly run: string; readonly epoch: number; readonly packs: number }[];
  readonly contents: { readonly objects: number; readonly sizeBytes: number };
  readonly indexes: { readonly objects: number; readonly sizeBytes: number };
  readonly recipientNames: readonly string[];
  readonly dropped: readonly { readonly name: string; readonly recipient: string; readonly reason: string }[];
  /** Only with an identity. */
  readonly details: SnapshotDetails | undefined;
  readonly problems: readonly PortolanError[];
}

/** What a snapshot says of itself, and with its sealed part opened, what it holds. */
export async function showSnapshot(
  repository: OpenedRepository,
  { info, key, problems }: FoundSnapshot,
  details: SnapshotDetails | undefined,
  options: StoreOptions,
): Promise<ShowReport> {
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const place = { sequence: info.sequence, key };
  const { document } = await readSnapshot(repository, info.writer, place, { ...signal, expected: info.digest });
  const packs = new Map<number, number>();
  for (const { runIndex } of document.packs) packs.set(runIndex, (packs.get(runIndex) ?? 0) + 1);
  const total = (objects: readonly { readonly sizeBytes: number }[]) => ({
    objects: objects.length,
    sizeBytes: objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  });
  const names = new Map<string, string>();
  for (const roster of repository.rosters) {
    for (const { name, recipient } of roster.document.recipients) names.set(recipient, name);
  }
  const nameOf = (recipient: string) => names.get(recipient) ?? `${recipient.slice(0, 20)}…`;
  return {
    ...info,
    verified: (await readVerifications(repository, signal)).of(info),
    runs: document.runs.map(({ run, epoch }, index) => ({ run, epoch, packs: packs.get(index) ?? 0 })),
    contents: total(document.contents),
    indexes: total(document.indexes),
    recipientNames: info.recipients.map(nameOf),
    dropped: info.dropped.map((one) => ({ name: nameOf(one.recipient), ...one })),
    details,
    problems: [...repository.problems, ...problems],
  };
}
