import { resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { createIdentity, encodeIdentityFile, protectIdentityFile } from '../formats/age/new-identity.ts';
import { parseWriterName, type WriterName } from '../formats/repository/keys.ts';
import { rootMember } from '../formats/repository/pinned-root.ts';
import type { Roster, RosterRecipient, RosterWriter } from '../formats/repository/roster.ts';
import { encodeWriterKey, type WriterKey } from '../formats/repository/writer-key.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { enrolledRecipient, readerOf, requireApprovable } from '../usecases/keys/enrolments.ts';
import type { OpenedRepository } from '../usecases/repository/open.ts';
import { openSnapshot } from '../usecases/repository/open-snapshot.ts';
import { listReaders, type ReadersReport } from '../usecases/repository/readers.ts';
import { type RewrapReport, rewrapKeys } from '../usecases/repository/rewrap.ts';
import { type Revocations, withApprovals, withoutRevoked } from '../usecases/repository/roster-changes.ts';
import { readNamedKeys, readPublicKey, readRosterRecipients } from './backup-init.ts';
import { readWriterKey } from './backup-run.ts';
import { challengeHolder, openEnrolment, publishEnrolment, requireHolder } from './enrolments.ts';
import { openPlace, openTrusted, type RepositoryOptions, type RepositoryPlace, type Running } from './repository.ts';
import { openSigner, type SignerSettings } from './repository-signer.ts';
import {
  approveProposal,
  type ChangeSettings,
  planChange,
  type RosterOutcome,
  signChange,
} from './roster-proposals.ts';
import { describeRoster, type KeysReport } from './roster-report.ts';

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

export async function composeKeysList(
  options: RepositoryOptions,
  running: Running,
): Promise<KeysReport & ReadersReport> {
  await using place = await openPlace(options, running);
  const repository = await openTrusted(place, options, running);
  const readers = await listReaders(repository, running);
  return { place: place.store.place, ...describeRoster(repository.roster.document), ...readers };
}

export interface ApproveSettings extends RepositoryOptions, ChangeSettings {
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
  readonly threshold?: number | undefined;
  readonly minimumRecipients?: number | undefined;
  /** The enrolment of a reader, what he is called, and the file with his answer to this approver's challenge. */
  readonly enrolment?: string | undefined;
  readonly name?: string | undefined;
  readonly answer?: string | undefined;
  /** Where a challenge goes; nothing is signed then. */
  readonly challengeOut?: string | undefined;
  /** What another approver signed, in place of all of the above. */
  readonly proposal?: string | undefined;
  /** Shows what would be signed. */
  readonly plan: boolean;
}

export async function composeKeysApprove(settings: ApproveSettings, running: Running): Promise<RosterOutcome> {
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, { ...running, writing: true });
  const { proposal, enrolment } = settings;
  if (proposal !== undefined) return await approveProposal(place, repository, { ...settings, proposal }, running);
  const enrolled = enrolment === undefined ? undefined : await openEnrolment(repository, enrolment, running);
  if (enrolled !== undefined && readerOf(repository, enrolled.digest) !== undefined) {
    requireToPublish(settings);
    return await publishEnrolment(place, repository, enrolled, running);
  }
  if (enrolled !== undefined)
    requireApprovable(repository, enrolled, settings.name ?? enrolled.token.subject, running.now());
  if (enrolled !== undefined && settings.challengeOut !== undefined)
    return await challengeHolder(place, repository, enrolled, { path: settings.challengeOut }, running);
  const added = await newWriter(place, repository, settings, running);
  const { document } = repository.roster;
  const { cwd } = running;
  const changed = withApprovals(document, {
    recipients: [
      ...(await newRecipients(document, settings)),
      ...(enrolled === undefined ? [] : [enrolledRecipient(enrolled, settings)]),
    ],
    writers: added === undefined ? [] : [added.entry],
    pruners: await readNamedKeys<WriterName>(settings.pruners, 'pruner', cwd, document.pruners),
    verifiers: await readNamedKeys<WriterName>(settings.verifiers, 'verifier', cwd, document.verifiers),
    approvers: await readNamedKeys(settings.approvers, 'approver', cwd, document.approvers.keys),
    threshold: settings.threshold,
    minimumRecipients: settings.minimumRecipients,
  });
  warnOfStrangers(repository, changed, running);
  const change = { place, repository, settings, enrolled };
  if (settings.plan) return await planChange(change, changed, running);
  if (enrolled !== undefined) await requireHolder(place, repository, enrolled, { answer: settings.answer }, running);
  const writerKeyFile = added?.file;
  return await signChange({ ...change, writerKeyFile }, changed, running, {
    // Before the roster: a writer whom it names must have the file that belongs to it.
    beforeWriting: async () => {
      if (added !== undefined) await writeFileDurable(added.file, encodeWriterKey(added.writerKey), { mode: 0o600 });
    },
  });
}

/** Whoever only wants to look, or to ask the reader, publishes nothing. */
function requireToPublish({ plan, challengeOut }: ApproveSettings): void {
  if (!plan && challengeOut === undefined) return;
  throw new UseCaseError('ROSTER_UNCHANGED', 'the roster stays as it is: the reader is on it by this enrolment', {
    hint: 'Without --plan and --challenge-out the command publishes the enrolment as evidence, once its token has expired.',
  });
}

/** Where there is an identity provider, it has a word in who reads: not so of these. */
function warnOfStrangers({ roster, trust }: OpenedRepository, changed: Roster, { progress }: Running): void {
  if (trust.issuer === undefined) return;
  const known = new Set(roster.document.recipients.map(({ recipient }) => recipient));
  for (const { name, role, recipient, evidence } of changed.recipients) {
    if (role !== 'reader' || evidence !== undefined || known.has(recipient)) continue;
    progress.warn(`${name} comes in without an enrolment, by the word of approvers alone: \`keys verify\` will say so`);
  }
}

async function newRecipients(roster: Roster, settings: ApproveSettings): Promise<readonly RosterRecipient[]> {
  const { recipients, recipientsFiles, breakGlass, notAfter } = settings;
  if (recipients.length + recipientsFiles.length + breakGlass.length === 0) return [];
  const named = await readRosterRecipients({ recipients, recipientsFiles, breakGlass }, roster.recipients);
  return notAfter === undefined ? named : named.map((one) => ({ ...one, notAfter: notAfter.toISOString() }));
}

export async function composeKeysRevoke(
  settings: RepositoryOptions &
    ChangeSettings & {
      readonly revoked: Revocations;
      /** From the new epoch on nothing is built on what is there; nobody need be revoked for it. */
      readonly fresh: boolean;
      readonly threshold?: number | undefined;
      readonly plan: boolean;
    },
  running: Running,
): Promise<RosterOutcome> {
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, { ...running, writing: true });
  const { revoked, fresh, threshold } = settings;
  const { document } = repository.roster;
  const isNobodyNamed = Object.values(revoked).every((names) => names.length === 0);
  const left = isNobodyNamed && (fresh || threshold !== undefined) ? document : withoutRevoked(document, revoked);
  const changed = threshold === undefined ? left : { ...left, approvers: { ...left.approvers, threshold } };
  const change = { place, repository, settings };
  if (settings.plan) return await planChange(change, changed, running, { fresh });
  return await signChange(change, changed, running, { fresh });
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
      ...rootMember(repository.trust),
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

export async function requireAbsent(file: string): Promise<void> {
  if ((await createProjectFiles().kind(file)) === 'absent') return;
  throw new UseCaseError('ALREADY_THERE', `${file} exists: no key is written over`, {
    at: { file },
    hint: 'Choose another name.',
  });
}
