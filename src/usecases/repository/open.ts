import type { PortolanError } from '../../core/errors.ts';
import type { Checkpoint } from '../../formats/repository/checkpoint.ts';
import { requireRepository } from '../../formats/repository/documents.ts';
import { KEY_PREFIXES, parseRepositoryKey, REPOSITORY_KEY, type RepositoryId } from '../../formats/repository/keys.ts';
import {
  decodeRepositoryDescription,
  REPOSITORY_DESCRIPTION_MAX_BYTES,
} from '../../formats/repository/repository-description.ts';
import { ROSTER_MAX_BYTES, type Roster, readUnverifiedRoster } from '../../formats/repository/roster.ts';
import { type EpochDocument, type RosterTrust, verifyRosterChain } from '../../formats/repository/roster-chain.ts';
import type { Signed } from '../../formats/repository/signed-document.ts';
import type { ObjectStore } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import { getIfThere } from './objects.ts';

/** A repository whose roster was verified: from the pinned keys to the newest epoch. */
export interface OpenedRepository {
  readonly store: ObjectStore;
  readonly id: RepositoryId;
  /** All epochs, from 1. */
  readonly rosters: readonly Signed<Roster>[];
  /** The newest. */
  readonly roster: Signed<Roster>;
  /** By whose word the roster was believed, and what is pinned beside it. */
  readonly trust: RosterTrust;
  /** What was seen of it before, where that is known. */
  readonly checkpoint: Checkpoint | undefined;
  /** What is wrong with repo.json, which no reader needs. */
  readonly problems: readonly PortolanError[];
}

export interface OpenRequest {
  readonly trust: RosterTrust;
  /** What was seen of the repository with this id. */
  readonly checkpointOf: (id: RepositoryId) => Promise<Checkpoint | undefined>;
}

export interface OpenOptions {
  readonly signal?: AbortSignal;
}

/**
 * Reads repo.json and all rosters, and verifies the chain of rosters.
 *
 * @throws UseCaseError REPOSITORY_MISSING; FormatError ROSTER_…, SIGNED_DOCUMENT_…, REPOSITORY_MISMATCH, CHECKPOINT_INVALID
 */
export async function openRepository(
  store: ObjectStore,
  { trust, checkpointOf }: OpenRequest,
  options: OpenOptions = {},
): Promise<OpenedRepository> {
  const { id: described, problem } = await readId(store, trust, options);
  const documents = await readRosters(store, options);
  const id = trust.repository ?? described ?? idOfRosters(documents);
  if (id === undefined) throw problem ?? repositoryMissing(store);
  const checkpoint = await checkpointOf(id);
  const { rosters, current } = verifyRosterChain(documents, { ...trust, repository: id }, checkpoint?.roster);
  return { store, id, rosters, roster: current, trust, checkpoint, problems: problem === undefined ? [] : [problem] };
}

/** Opens for work that adds to the repository: nothing may be wrong with it. */
export async function openForWriting(
  store: ObjectStore,
  request: OpenRequest,
  options: OpenOptions = {},
): Promise<OpenedRepository> {
  const opened = await openRepository(store, request, options);
  for (const problem of opened.problems) throw problem;
  return opened;
}

/** `problem` where repo.json is missing or damaged; one of another repository than is trusted is an error at once. */
async function readId(
  store: ObjectStore,
  trust: RosterTrust,
  options: OpenOptions,
): Promise<{ readonly id?: RepositoryId; readonly problem?: PortolanError }> {
  const bytes = await getIfThere(store, REPOSITORY_KEY, REPOSITORY_DESCRIPTION_MAX_BYTES, options);
  if (bytes === undefined) return { problem: repositoryMissing(store) };
  let id: RepositoryId;
  try {
    id = decodeRepositoryDescription(bytes).repository;
  } catch (error) {
    return { problem: error as PortolanError };
  }
  if (trust.repository !== undefined)
    requireRepository(id, trust.repository, { what: 'repo.json', at: REPOSITORY_KEY });
  return { id };
}

async function readRosters(store: ObjectStore, options: OpenOptions): Promise<EpochDocument[]> {
  const documents: EpochDocument[] = [];
  for await (const { key } of store.list(KEY_PREFIXES.roster, options)) {
    const parsed = parseRepositoryKey(key);
    if (parsed?.kind !== 'roster') continue;
    documents.push({ epoch: parsed.epoch, bytes: await store.get(key, { ...options, maxBytes: ROSTER_MAX_BYTES }) });
  }
  return documents;
}

function idOfRosters(documents: readonly EpochDocument[]): RepositoryId | undefined {
  const [first] = documents;
  return first === undefined ? undefined : readUnverifiedRoster(first.bytes).document.repository;
}

function repositoryMissing(store: ObjectStore): UseCaseError {
  return new UseCaseError('REPOSITORY_MISSING', `there is no repository at ${store.place}`, {
    at: { file: REPOSITORY_KEY },
    hint: 'Check the address and that the disk is mounted; `portolan backup init` makes a repository.',
  });
}
