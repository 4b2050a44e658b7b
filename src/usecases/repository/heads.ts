import type { PortolanError } from '../../core/errors.ts';
import type { WriterName } from '../../formats/repository/keys.ts';
import type { SnapshotHead } from '../../formats/repository/snapshot.ts';
import { type ChainLink, chainError, type SeenHead } from '../../formats/repository/snapshot-chain.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { isFinding, readSnapshot, readStubs, type UnreadableObject } from './chains.ts';
import type { ListedChain } from './listing.ts';
import type { OpenedRepository } from './open.ts';

export interface ReadHeads {
  /** The newest of each writer. */
  readonly heads: Readonly<Record<string, SnapshotHead>>;
  /** By writer: what the newest snapshots of others say of it. */
  readonly seen: ReadonlyMap<WriterName, SeenHead[]>;
  readonly problems: readonly PortolanError[];
}

/** The newest snapshot of each writer but one, held against the checkpoint. A writer's run reads no more of the others. */
export async function readHeads(
  repository: OpenedRepository,
  allListed: readonly ListedChain[],
  own: WriterName,
  options: StoreOptions = {},
): Promise<ReadHeads> {
  const listed = allListed.filter(({ writer }) => writer !== own);
  const heads: Record<string, SnapshotHead> = {};
  const seen = new Map<WriterName, SeenHead[]>();
  const problems: PortolanError[] = [];
  for (const chain of listed) {
    const head = await readHead(repository, chain, problems, options);
    if (head === undefined) continue;
    heads[chain.writer] = { sequence: head.sequence, digest: head.digest };
    for (const [writer, claim] of Object.entries(head.heads)) {
      const claims = seen.get(writer as WriterName) ?? [];
      seen.set(writer as WriterName, claims);
      claims.push({ ...claim, by: chain.writer });
    }
  }
  const found = new Set<string>([own, ...listed.map(({ writer }) => writer)]);
  for (const [writer, head] of Object.entries(repository.checkpoint?.writers ?? {})) {
    if (!found.has(writer)) problems.push(behind(writer as WriterName, head, undefined));
  }
  return { heads, seen, problems };
}

async function readHead(
  repository: OpenedRepository,
  listed: ListedChain,
  problems: PortolanError[],
  options: StoreOptions,
): Promise<(ChainLink & { readonly heads: Readonly<Record<string, SnapshotHead>> }) | undefined> {
  const { writer, snapshots, forgotten } = listed;
  const newest = snapshots.at(-1);
  const newestStub = forgotten.at(-1);
  const unreadable: UnreadableObject[] = [];
  let head: (ChainLink & { readonly heads: Readonly<Record<string, SnapshotHead>> }) | undefined;
  try {
    if (newest !== undefined && newest.sequence >= (newestStub?.sequence ?? 0)) {
      const { document, digest } = await readSnapshot(
        repository,
        writer,
        { ...newest, key: newest.entry.key },
        options,
      );
      head = { ...document, digest };
    } else if (newestStub !== undefined) {
      const stubs = await readStubs(repository, { ...listed, forgotten: [newestStub] }, unreadable, options);
      const last = stubs.at(-1);
      head = last === undefined ? undefined : { ...last, heads: {} };
    }
  } catch (error) {
    if (!isFinding(error)) throw error;
    problems.push(error);
  }
  problems.push(...unreadable.map(({ error }) => error));
  const checkpoint = repository.checkpoint?.writers[writer];
  if (head === undefined || checkpoint === undefined) return head;
  if (head.sequence > checkpoint.sequence) return head;
  if (head.sequence === checkpoint.sequence && head.digest === checkpoint.digest) return head;
  problems.push(behind(writer, checkpoint, head));
  return undefined;
}

function behind(writer: WriterName, seen: SnapshotHead, found: SnapshotHead | undefined): PortolanError {
  return chainError({
    code: found?.sequence === seen.sequence ? 'SNAPSHOTS_FORKED' : 'SNAPSHOTS_ROLLED_BACK',
    writer,
    sequence: seen.sequence,
    because: 'the checkpoint names it',
    expected: seen.sequence,
    found: found?.sequence ?? 0,
  });
}
