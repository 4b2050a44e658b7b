import { randomBytes } from 'node:crypto';
import { canonicalJson } from '../../core/canonical-json.ts';
import { recipientOf } from '../../formats/age/identity-file.ts';
import { createIdentity } from '../../formats/age/new-identity.ts';
import { ID_KEY_BYTES } from '../../formats/repository/chunk-keys.ts';
import { REPOSITORY_KEY, type RepositoryId, rosterKey, type WriterName } from '../../formats/repository/keys.ts';
import { type PinnedRoot, rootMember } from '../../formats/repository/pinned-root.ts';
import {
  decodeRepositoryDescription,
  encodeRepositoryDescription,
  newRepositoryDescription,
  REPOSITORY_DESCRIPTION_MAX_BYTES,
} from '../../formats/repository/repository-description.ts';
import type { Roster, RosterKey, RosterRecipient } from '../../formats/repository/roster.ts';
import { trustOfWriter, type WriterKey } from '../../formats/repository/writer-key.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { ObjectStore } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import { requireEmptyPlace } from '../storage/empty-place.ts';
import type { StoreProbe } from '../storage/probe-store.ts';
import { type RepositoryMemory, readCheckpoint, rememberSeen } from './checkpoints.ts';
import { getIfThere } from './objects.ts';
import { type OpenedRepository, openRepository } from './open.ts';
import { requireRole, signRoster } from './roles.ts';

export interface InitRequest {
  /** An approver's. */
  readonly signer: SigningKey;
  /** Further approvers', where the threshold is above one: the first roster is signed by all of them at once. */
  readonly coSigners?: readonly SigningKey[];
  readonly approvers: readonly RosterKey[];
  /** How many approvers must sign a roster; 1 unless said. */
  readonly threshold?: number;
  readonly recipients: readonly RosterRecipient[];
  readonly writer: RosterKey<WriterName>;
  readonly pruners: readonly RosterKey<WriterName>[];
  readonly verifiers: readonly RosterKey<WriterName>[];
  /** What everybody pins beside the approvers. */
  readonly root?: PinnedRoot;
}

/** The files that `init` leaves on this machine. */
export interface InitFiles {
  /** For messages. */
  readonly place: string;
  readWriterKey(): Promise<WriterKey | undefined>;
  /** Durably; also what others need to trust the repository. */
  write(writerKey: WriterKey): Promise<void>;
}

export interface InitDependencies {
  readonly store: ObjectStore;
  readonly files: InitFiles;
  readonly memory: RepositoryMemory;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface InitReport {
  readonly repository: RepositoryId;
  readonly roster: Roster;
  /** False when all of it was there already. */
  readonly created: boolean;
  /** What the storage may be relied on for, where the repository is new. */
  readonly probe: StoreProbe | undefined;
}

/**
 * Makes a repository: first what stays on this machine, then repo.json, the roster last. Killed anywhere and run again, it
 * goes on with the same id and keys.
 *
 * @throws UseCaseError REPOSITORY_PLACE_NOT_EMPTY, REPOSITORY_EXISTS, REPOSITORY_GONE, STORE_NOT_CREATE_ONLY, STORE_NOT_FAITHFUL,
 *   ROSTER_REFUSED, ROLE_MISSING
 */
export async function initRepository(
  request: InitRequest,
  { store, files, memory, now }: InitDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<InitReport> {
  const kept = await files.readWriterKey();
  const found = await readFoundId(store, options);
  if (found !== undefined && found !== kept?.repository) throw exists(store, 'It was not made from here.');
  if (found === undefined && kept !== undefined) await requireUnused(kept.repository, store, files, memory);
  const writerKey = kept ?? (await newWriterKey(request));
  if (writerKey.writer !== request.writer.name) {
    throw exists(store, `Its writer on this machine is ${writerKey.writer}.`);
  }
  // Checked before anything is written.
  const indexRecipient = await recipientOf(writerKey.indexIdentity);
  const roster = newRoster(request, writerKey.repository, indexRecipient, new Date(now()));
  const rosterBytes = signRoster(roster, enoughSigners(request, roster), request.root ?? {});
  const probe = found === undefined ? await requireEmptyPlace(store, { ...options, now }) : undefined;
  if (kept === undefined) await files.write(writerKey);
  if (found === undefined) {
    const description = newRepositoryDescription(writerKey.repository, new Date(now()));
    await store.put(REPOSITORY_KEY, encodeRepositoryDescription(description), options);
    if ((await readFoundId(store, options)) !== writerKey.repository)
      throw exists(store, 'Somebody else made one at the same time.');
  }
  const put = await store.put(rosterKey(1), rosterBytes, options);
  const opened = await openRepository(store, trustOf(writerKey, memory), options);
  const made = put === 'created';
  requireSame(opened, roster, store);
  await rememberSeen(memory, opened, {}, options);
  return { repository: opened.id, roster: opened.roster.document, created: made, probe };
}

function trustOf(writerKey: WriterKey, memory: RepositoryMemory) {
  return {
    trust: trustOfWriter(writerKey),
    checkpointOf: (id: RepositoryId) => readCheckpoint(memory, id),
  };
}

async function readFoundId(
  store: ObjectStore,
  options: { readonly signal?: AbortSignal },
): Promise<RepositoryId | undefined> {
  const bytes = await getIfThere(store, REPOSITORY_KEY, REPOSITORY_DESCRIPTION_MAX_BYTES, options);
  return bytes === undefined ? undefined : decodeRepositoryDescription(bytes).repository;
}

/** A repository that was used and is not there: a disk that is not mounted, or a storage that hides it. */
async function requireUnused(
  id: RepositoryId,
  store: ObjectStore,
  files: InitFiles,
  memory: RepositoryMemory,
): Promise<void> {
  if ((await readCheckpoint(memory, id)) === undefined) return;
  throw new UseCaseError('REPOSITORY_GONE', `this machine knows a repository at ${store.place}, and it is not there`, {
    expected: id,
    hint: `Mount the disk or look after the storage. If it was deleted on purpose, remove ${files.place} and run the command again.`,
  });
}

function enoughSigners({ signer, coSigners = [] }: InitRequest, roster: Roster): readonly SigningKey[] {
  const signers = [signer, ...coSigners];
  for (const one of signers) requireRole(roster, 'approvers', one);
  const { threshold } = roster.approvers;
  const found = new Set(signers.map(({ keyHint }) => keyHint)).size;
  if (found >= threshold) return signers;
  throw new UseCaseError('ROLE_MISSING', 'the first roster needs the signatures of several approvers', {
    expected: threshold,
    found,
    hint: 'Make the repository where the approvers are together: give the key files of the others with --co-sign-key.',
  });
}

async function newWriterKey({ writer, approvers, threshold = 1, root = {} }: InitRequest): Promise<WriterKey> {
  return {
    version: 1,
    repository: randomBytes(16).toString('hex') as RepositoryId,
    writer: writer.name,
    idKey: new Uint8Array(randomBytes(ID_KEY_BYTES)),
    indexIdentity: (await createIdentity('post-quantum')).identity,
    approvers: { threshold, keys: approvers.map(({ name, publicKey }) => ({ name, publicKey })) },
    ...rootMember(root),
  };
}

function newRoster(
  { approvers, threshold = 1, recipients, root, writer, pruners, verifiers }: InitRequest,
  repository: RepositoryId,
  indexRecipient: string,
  created: Date,
): Roster {
  return {
    version: 1,
    repository,
    epoch: 1,
    previous: null,
    created: created.toISOString(),
    approvers: { threshold, keys: approvers },
    recipients,
    minimumRecipients: root?.minimumRecipients ?? 1,
    writers: [{ ...writer, indexRecipient }],
    pruners,
    verifiers,
  };
}

/** A second `init` changes nothing, so it must not look as if it had. */
function requireSame({ rosters }: OpenedRepository, wanted: Roster, store: ObjectStore): void {
  const first = rosters[0]?.document;
  const facts = (roster: Roster | undefined) => canonicalJson({ ...roster, created: undefined });
  if (facts(first) !== facts(wanted)) throw exists(store, 'It was made with other keys or recipients.');
}

function exists(store: ObjectStore, why: string): UseCaseError {
  return new UseCaseError('REPOSITORY_EXISTS', `there is a repository at ${store.place} already. ${why}`, {
    hint: 'Change its readers and writers with `portolan keys approve` and `portolan keys revoke`, or choose another place.',
  });
}
