import { hostname, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { readSmallFile } from '../adapters/files/small-file.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { createFolderState } from '../adapters/target-state/folder-state.ts';
import { CHECKPOINT_MAX_BYTES, type Checkpoint, decodeCheckpoint } from '../formats/repository/checkpoint.ts';
import type { RepositoryId } from '../formats/repository/keys.ts';
import { decodeRepositoryTrust, REPOSITORY_TRUST_MAX_BYTES } from '../formats/repository/repository-trust.ts';
import type { RosterTrust } from '../formats/repository/roster-chain.ts';
import { parseRepositoryAddress, placeOfRepository } from '../formats/storage/repository-address.ts';
import { parseTransferRate } from '../formats/storage/transfer-rate.ts';
import type { ObjectStore } from '../ports/object-store.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { type RepositoryMemory, readCheckpoint } from '../usecases/repository/checkpoints.ts';
import { type OpenedRepository, openForWriting, openRepository } from '../usecases/repository/open.ts';
import { cacheFolder, type Running } from './environment.ts';
import { openStore, type StoreSettings, withCache } from './object-store.ts';
import { type RepositoryPlaces, repositoryPlaces, repositoryStateFolder } from './repository-places.ts';
import { type StorageIdentityOptions, storageIdentity } from './storage-identity.ts';

export type { Running } from './environment.ts';

/** What says where a repository is, whom to believe about it, and where this machine remembers it. */
export interface RepositoryOptions extends StorageIdentityOptions {
  /** As typed. */
  readonly repo: string;
  /** Absolute or relative path; without it what `backup init` left. */
  readonly trust?: string | undefined;
  readonly state?: string | undefined;
  /** A checkpoint that came by another way; held against the repository beside what this machine remembers. */
  readonly checkpoint?: string | undefined;
  /** Certificates that the storage is trusted by, beside the system's. */
  readonly caFile?: string | undefined;
  /** `10MiB`: as much in a second. */
  readonly limitUpload?: string | undefined;
  readonly limitDownload?: string | undefined;
}

/** The storage of a repository, and what this machine has of it. Nothing of the repository was read. */
export interface RepositoryPlace extends AsyncDisposable {
  readonly store: ObjectStore;
  readonly places: RepositoryPlaces;
  readonly memory: RepositoryMemory;
}

function ratesOf({ limitUpload, limitDownload }: RepositoryOptions): NonNullable<StoreSettings['rates']> {
  return {
    ...(limitUpload === undefined ? {} : { upBytesPerSecond: parseTransferRate(limitUpload) }),
    ...(limitDownload === undefined ? {} : { downBytesPerSecond: parseTransferRate(limitDownload) }),
  };
}

/** What a storage is opened with. */
export async function storeSettings(options: RepositoryOptions, running: Running): Promise<StoreSettings> {
  const { env, cwd, now, progress } = running;
  const address = parseRepositoryAddress(options.repo);
  const places = repositoryPlaces(placeOfRepository(address), env, cwd);
  // A folder gives no keys: what was said of an account is for the identity provider alone.
  const identity = address.kind === 'folder' ? undefined : await storageIdentity(options, places, running);
  return {
    environment: env,
    cwd,
    now,
    ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
    ...(identity === undefined ? {} : { identity }),
    rates: ratesOf(options),
    onRetry: ({ code, message }) => progress.note(`${code}: ${message}; trying again`),
  };
}

export async function openPlace(options: RepositoryOptions, running: Running): Promise<RepositoryPlace> {
  const { env, cwd, now } = running;
  const store = await openStore(options.repo, await storeSettings(options, running));
  const folderOf = (id: RepositoryId) => repositoryStateFolder(id, { state: options.state, env, cwd });
  return {
    store,
    places: repositoryPlaces(store.place, env, cwd),
    memory: {
      of: (id) => createFolderState({ folder: folderOf(id), now }),
      ofWriter: (id, writer) => createFolderState({ folder: join(folderOf(id), 'writers', writer), now }),
      holder: `${userInfo().username} on ${hostname()} (process ${process.pid})`,
    },
    [Symbol.asyncDispose]: () => store.close(),
  };
}

/**
 * The storage for runs of a writer, each of which reads the same snapshots and indexes again. Whoever wants to know what the
 * storage holds asks `store`.
 */
export function storeOfRuns(
  { store }: RepositoryPlace,
  { repo }: RepositoryOptions,
  id: RepositoryId,
  { env, cwd, now }: Running,
): ObjectStore {
  return withCache(repo, store, { folder: join(cacheFolder(env, cwd), 'repositories', id), now });
}

/**
 * A repository, its roster verified against what is trusted and remembered.
 *
 * @throws UseCaseError REPOSITORY_UNTRUSTED, REPOSITORY_MISSING; FormatError ROSTER_…, TRUST_INVALID, CHECKPOINT_INVALID
 */
export async function openTrusted(
  place: RepositoryPlace,
  options: RepositoryOptions,
  { cwd, signal, writing = false }: Pick<Running, 'cwd' | 'signal'> & { readonly writing?: boolean },
): Promise<OpenedRepository> {
  const trust = await readTrust(place, options, cwd);
  const request = {
    trust,
    checkpointOf: async (id: RepositoryId) => {
      const remembered = await readCheckpoint(place.memory, id, { signal });
      const given =
        options.checkpoint === undefined ? undefined : await readGiven(resolve(cwd, options.checkpoint), id);
      return newer(given, remembered);
    },
  };
  return await (writing ? openForWriting : openRepository)(place.store, request, { signal });
}

export async function readTrust(
  { places, store }: RepositoryPlace,
  { trust }: Pick<RepositoryOptions, 'trust'>,
  cwd: string,
): Promise<RosterTrust> {
  const path = trust === undefined ? places.trust : resolve(cwd, trust);
  const bytes =
    trust === undefined
      ? await readSmallFile(path, REPOSITORY_TRUST_MAX_BYTES)
      : await createProjectFiles().read(path, REPOSITORY_TRUST_MAX_BYTES);
  if (bytes !== undefined) return decodeRepositoryTrust(bytes, path);
  throw new UseCaseError('REPOSITORY_UNTRUSTED', `nothing on this machine says whom to believe about ${store.place}`, {
    expected: path,
    hint: "Give --trust FILE: the approvers' public keys (cosign.pub), or the trust.json that `backup init` left.",
  });
}

async function readGiven(path: string, id: RepositoryId): Promise<Checkpoint> {
  const bytes = await createProjectFiles().read(path, CHECKPOINT_MAX_BYTES);
  return decodeCheckpoint(bytes, { repository: id, file: path });
}

/** Of each part the newer. */
function newer(a: Checkpoint | undefined, b: Checkpoint | undefined): Checkpoint | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const writers = { ...a.writers };
  for (const [writer, head] of Object.entries(b.writers)) {
    if (head.sequence >= (writers[writer]?.sequence ?? 0)) writers[writer] = head;
  }
  return { ...a, roster: a.roster.epoch > b.roster.epoch ? a.roster : b.roster, writers };
}
