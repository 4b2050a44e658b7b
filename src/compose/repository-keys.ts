import { resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { createIdentity, encodeIdentityFile, protectIdentityFile } from '../formats/age/new-identity.ts';
import { parseWriterName, type WriterName } from '../formats/repository/keys.ts';
import {
  type Roster,
  type RosterRecipient,
  type RosterWriter,
  rosterKeys,
  sharedKeys,
} from '../formats/repository/roster.ts';
import { encodeWriterKey, type WriterKey } from '../formats/repository/writer-key.ts';
import { UseCaseError } from '../usecases/errors.ts';
import type { OpenedRepository } from '../usecases/repository/open.ts';
import { openSnapshot } from '../usecases/repository/open-snapshot.ts';
import { type RewrapReport, rewrapKeys } from '../usecases/repository/rewrap.ts';
import {
  publishRoster,
  type Revocations,
  signNextRoster,
  withApprovals,
  withoutRevoked,
} from '../usecases/repository/roster-changes.ts';
import { readNamedKeys, readPublicKey, readRosterRecipients } from './backup-init.ts';
import { readWriterKey } from './backup-run.ts';
import { openPlace, openTrusted, type RepositoryOptions, type RepositoryPlace, type Running } from './repository.ts';
import { openSigner, type SignerSettings } from './repository-signer.ts';

/** A new age identity file, mode 0600; what lies there is not replaced. Returns its recipient. */
export async function composeKeysGenerate(
  path: string,
  { kind, passphrase }: { readonly kind: 'post-quantum' | 'classic'; readonly passphrase: string | undefined },
  { cwd, now }: Running,
): Promise<{ readonly file: string; readonly recipient: string }> {
  const file = resolve(cwd, path);
  await requireAbsent(file);
  const identity = await createIdentity(kind);
  const text = encodeIdentityFile(identity, now());
  await writeFileDurable(file, passphrase === undefined ? text : await protectIdentityFile(text, passphrase), {
    mode: 0o600,
  });
  return { file, recipient: identity.recipient };
}

export interface KeysReport {
  readonly place: string;
  readonly roster: Roster;
  readonly keys: readonly { readonly role: string; readonly name: string; readonly keyHint: string }[];
  /** Keys that have several roles. */
  readonly shared: readonly { readonly names: readonly string[]; readonly roles: readonly string[] }[];
}

export async function composeKeysList(options: RepositoryOptions, running: Running): Promise<KeysReport> {
  await using place = await openPlace(options, running);
  const { roster } = await openTrusted(place, options, running);
  return { place: place.store.place, ...describeRoster(roster.document) };
}

function describeRoster(roster: Roster): Omit<KeysReport, 'place'> {
  const roles = ['approvers', 'writers', 'pruners', 'verifiers'] as const;
  const keys = roles.flatMap((role) => rosterKeys(roster, role).map(({ name, keyHint }) => ({ role, name, keyHint })));
  const entries = (role: (typeof roles)[number]) => (role === 'approvers' ? roster.approvers.keys : roster[role]);
  const shared = sharedKeys(roster).map(({ publicKey, roles: held }) => ({
    roles: held,
    names: [
      ...new Set(
        held.flatMap((role) =>
          entries(role)
            .filter((one) => one.publicKey === publicKey)
            .map(({ name }) => name),
        ),
      ),
    ],
  }));
  return { roster, keys, shared };
}

export interface ApproveSettings extends RepositoryOptions {
  readonly signer: SignerSettings;
  readonly recipients: readonly string[];
  readonly recipientsFiles: readonly string[];
  readonly breakGlass: readonly string[];
  /** No run after it is sealed to these recipients. */
  readonly notAfter?: Date | undefined;
  readonly pruners: readonly string[];
  readonly verifiers: readonly string[];
  readonly approvers: readonly string[];
  /** A new writer: its name, its public key, and where its key file goes. */
  readonly writer?: string | undefined;
  readonly writerPub?: string | undefined;
  readonly writerKeyOut?: string | undefined;
  /** Where the id key comes from: another writer's key file, else an identity and a snapshot. */
  readonly writerKey?: string | undefined;
  readonly identities: readonly string[];
}

export interface RosterOutcome extends KeysReport {
  readonly writerKeyFile?: string;
}

export async function composeKeysApprove(settings: ApproveSettings, running: Running): Promise<RosterOutcome> {
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, { ...running, writing: true });
  const added = await newWriter(place, repository, settings, running);
  const { document } = repository.roster;
  const { cwd } = running;
  const changed = withApprovals(document, {
    recipients: await newRecipients(document, settings),
    writers: added === undefined ? [] : [added.entry],
    pruners: await readNamedKeys<WriterName>(settings.pruners, 'pruner', cwd, document.pruners),
    verifiers: await readNamedKeys<WriterName>(settings.verifiers, 'verifier', cwd, document.verifiers),
    approvers: await readNamedKeys(settings.approvers, 'approver', cwd, document.approvers.keys),
  });
  const signer = await openSigner(place, settings.signer, running);
  const next = await signNextRoster(repository, changed, signer, running.now(), running);
  // Before the roster: a writer whom it names must have the file that belongs to it.
  if (added !== undefined) await writeFileDurable(added.file, encodeWriterKey(added.writerKey), { mode: 0o600 });
  const roster = await publishRoster(repository, next, place.memory, running);
  return {
    place: place.store.place,
    ...describeRoster(roster),
    ...(added === undefined ? {} : { writerKeyFile: added.file }),
  };
}

async function newRecipients(roster: Roster, settings: ApproveSettings): Promise<readonly RosterRecipient[]> {
  const { recipients, recipientsFiles, breakGlass, notAfter } = settings;
  if (recipients.length + recipientsFiles.length + breakGlass.length === 0) return [];
  const named = await readRosterRecipients({ recipients, recipientsFiles, breakGlass }, roster.recipients);
  return notAfter === undefined ? named : named.map((one) => ({ ...one, notAfter: notAfter.toISOString() }));
}

export async function composeKeysRevoke(
  settings: RepositoryOptions & { readonly signer: SignerSettings; readonly revoked: Revocations },
  running: Running,
): Promise<RosterOutcome> {
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, { ...running, writing: true });
  const changed = withoutRevoked(repository.roster.document, settings.revoked);
  const signer = await openSigner(place, settings.signer, running);
  const next = await signNextRoster(repository, changed, signer, running.now(), running);
  const roster = await publishRoster(repository, next, place.memory, running);
  return { place: place.store.place, ...describeRoster(roster) };
}

export async function composeKeysRewrap(
  settings: RepositoryOptions & { readonly signer: SignerSettings; readonly identities: readonly string[] },
  running: Running,
): Promise<RewrapReport> {
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, { ...running, writing: true });
  const signer = await openSigner(place, settings.signer, running);
  return await rewrapKeys(repository, { identities: settings.identities, signer }, running, running);
}

interface NewWriter {
  readonly entry: RosterWriter;
  readonly writerKey: WriterKey;
  readonly file: string;
}

async function newWriter(
  place: RepositoryPlace,
  repository: OpenedRepository,
  settings: ApproveSettings,
  running: Running,
): Promise<NewWriter | undefined> {
  const { writer, writerPub, writerKeyOut } = settings;
  if (writer === undefined || writerPub === undefined || writerKeyOut === undefined) return undefined;
  const file = resolve(running.cwd, writerKeyOut);
  await requireAbsent(file);
  const { identity, recipient } = await createIdentity('post-quantum');
  const name = parseWriterName(writer);
  const { threshold, keys } = repository.roster.document.approvers;
  const pinned = { threshold, keys: keys.map((key) => ({ name: key.name, publicKey: key.publicKey })) };
  return {
    file,
    entry: { name, publicKey: await readPublicKey(resolve(running.cwd, writerPub)), indexRecipient: recipient },
    writerKey: {
      version: 1,
      repository: repository.id,
      writer: name,
      idKey: await findIdKey(place, repository, settings, running),
      indexIdentity: identity,
      approvers: pinned,
    },
  };
}

/** Every writer names chunks by the same key: it comes from a writer key file, else out of a snapshot. */
async function findIdKey(
  place: RepositoryPlace,
  repository: OpenedRepository,
  { writerKey, identities }: ApproveSettings,
  running: Running,
): Promise<Uint8Array> {
  if (identities.length === 0) {
    const known = await readWriterKey(place, writerKey, running.cwd);
    if (known.repository === repository.id) return known.idKey;
    throw new UseCaseError('WRITER_KEY_MISSING', 'the writer key file is of another repository', {
      expected: repository.id,
      found: known.repository,
      hint: 'Give --writer-key FILE of this repository, or an identity: -i FILE.',
    });
  }
  const { writers } = repository.roster.document;
  for (const { name } of writers) {
    try {
      return (await openSnapshot(repository, name, identities, running)).reading.idKey as Uint8Array;
    } catch (error) {
      if (!(error instanceof UseCaseError) || error.code !== 'SNAPSHOT_NOT_FOUND') throw error;
    }
  }
  throw new UseCaseError('SNAPSHOT_NOT_FOUND', 'there is no snapshot yet that holds the id key', {
    hint: 'Give the key file of the first writer: --writer-key FILE.',
  });
}

async function requireAbsent(file: string): Promise<void> {
  if ((await createProjectFiles().kind(file)) === 'absent') return;
  throw new UseCaseError('ALREADY_THERE', `${file} exists: no key is written over`, {
    at: { file },
    hint: 'Choose another name.',
  });
}
