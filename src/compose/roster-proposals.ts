import { resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { printable } from '../core/printable.ts';
import { COMPARE_FINGERPRINT } from '../formats/identity/fingerprint.ts';
import { encodeProposal, PROPOSAL_MAX_BYTES } from '../formats/identity/roster-proposal.ts';
import type { Roster } from '../formats/repository/roster.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { forgetChallenge, type ShownEnrolment, showEnrolment } from '../usecases/keys/enrolments.ts';
import { openProposal, signProposal } from '../usecases/keys/proposals.ts';
import { type RosterChange, rosterDifference } from '../usecases/keys/roster-difference.ts';
import type { OpenedRepository } from '../usecases/repository/open.ts';
import {
  type NextRoster,
  nextRoster,
  publishRoster,
  requireComplete,
  signNextRoster,
} from '../usecases/repository/roster-changes.ts';
import {
  type ChallengedOutcome,
  challengeHolder,
  type EvidenceOutcome,
  type OpenedEnrolment,
  requireHolder,
} from './enrolments.ts';
import type { RepositoryPlace, Running } from './repository.ts';
import { openSigner, type SignerSettings } from './repository-signer.ts';
import { describeRoster, type KeysReport } from './roster-report.ts';

/** What every change of a roster is told. */
export interface ChangeSettings {
  readonly signer: SignerSettings;
  /** Where the change goes when more approvers must sign it. */
  readonly proposalOut?: string | undefined;
}

interface Facts {
  readonly place: string;
  readonly epoch: number;
  readonly changes: readonly RosterChange[];
  readonly enrolment?: ShownEnrolment;
  readonly writerKeyFile?: string;
}

interface Signatures {
  /** Names of the approvers who signed. */
  readonly signers: readonly string[];
  /** How many more must. */
  readonly missing: number;
}

/** What became of a change. */
export type RosterOutcome =
  | ({ readonly done: 'published' } & Facts & KeysReport)
  | ({ readonly done: 'proposed'; readonly proposalFile: string } & Facts & Signatures)
  | ({ readonly done: 'planned' } & Facts & Signatures)
  | ChallengedOutcome
  | EvidenceOutcome;

interface Change {
  readonly place: RepositoryPlace;
  readonly repository: OpenedRepository;
  readonly settings: ChangeSettings;
  readonly enrolled?: OpenedEnrolment | undefined;
  readonly writerKeyFile?: string | undefined;
}

/** Signs a changed roster, and publishes or proposes it. */
export async function signChange(
  change: Change,
  changed: Roster,
  running: Running,
  { fresh = false, beforeWriting }: { readonly fresh?: boolean; readonly beforeWriting?: () => Promise<void> } = {},
): Promise<RosterOutcome> {
  const { place, repository, settings } = change;
  if (change.enrolled !== undefined)
    noteChanges(change, await nextRoster(repository, changed, running.now(), running), running);
  const signer = await openSigner(place, settings.signer, running);
  const next = await signNextRoster(repository, changed, signer, running.now(), { ...running, fresh });
  if (settings.proposalOut === undefined) requireComplete(next);
  await beforeWriting?.();
  return await finishChange(change, next, running);
}

/** What a change would be; nothing is signed. */
export async function planChange(
  change: Change,
  changed: Roster,
  running: Running,
  { fresh = false }: { readonly fresh?: boolean } = {},
): Promise<RosterOutcome> {
  const { repository } = change;
  const next = await nextRoster(repository, changed, running.now(), { ...running, fresh });
  const missing = Math.max(repository.roster.document.approvers.threshold, next.approvers.threshold);
  return { done: 'planned', ...factsOf(change, next), signers: [], missing };
}

/** Another approver's change: looked at, signed, published or handed on. */
export async function approveProposal(
  place: RepositoryPlace,
  repository: OpenedRepository,
  settings: ChangeSettings & {
    readonly proposal: string;
    readonly answer?: string | undefined;
    readonly challengeOut?: string | undefined;
    readonly plan: boolean;
  },
  running: Running,
): Promise<RosterOutcome> {
  const at = resolve(running.cwd, settings.proposal);
  const bytes = await createProjectFiles().read(at, PROPOSAL_MAX_BYTES);
  const proposal = await openProposal(repository, bytes, running.now(), { at, signal: running.signal });
  const { enrolment: enrolled, digest } = proposal;
  if (enrolled === undefined) refuseChallenge(settings);
  const change = { place, repository, settings, enrolled };
  const { document, signers, missing } = proposal.next;
  if (settings.plan) return { done: 'planned', ...factsOf(change, document), signers, missing };
  if (enrolled !== undefined && settings.challengeOut !== undefined)
    return await challengeHolder(
      place,
      repository,
      enrolled,
      { path: settings.challengeOut, proposal: digest },
      running,
    );
  if (enrolled !== undefined)
    await requireHolder(place, repository, enrolled, { answer: settings.answer, proposal: digest }, running);
  noteChanges(change, document, running);
  const next = signProposal(repository, proposal, await openSigner(place, settings.signer, running));
  return await finishChange(change, next, running);
}

/** Whoever asks for a challenge wants to sign nothing yet: least of all what lets somebody in whom nobody can challenge. */
function refuseChallenge({
  challengeOut,
  answer,
}: {
  readonly challengeOut?: string | undefined;
  readonly answer?: string | undefined;
}): void {
  if (challengeOut === undefined && answer === undefined) return;
  throw new UseCaseError(
    'PROPOSAL_REFUSED',
    'the proposal is not right: nobody comes in by an enrolment who could answer a challenge',
    {
      hint: 'Nothing was signed. Look at it with --plan, and sign it without --challenge-out and --answer if that is what you expected.',
    },
  );
}

/** Publishes what enough approvers signed; the rest goes to the next of them. */
async function finishChange(change: Change, next: NextRoster, running: Running): Promise<RosterOutcome> {
  const { place, repository, settings, enrolled } = change;
  const facts = factsOf(change, next.document);
  const forget = async () => {
    if (enrolled !== undefined) await forgetChallenge(repository, enrolled.digest, place.memory, running);
  };
  if (next.missing === 0 || settings.proposalOut === undefined) {
    const roster = await publishRoster(repository, next, place.memory, running);
    await forget();
    return { done: 'published', ...facts, ...describeRoster(roster) };
  }
  const proposalFile = resolve(running.cwd, settings.proposalOut);
  const proposal = { repository: repository.id, roster: next.bytes, enrolment: enrolled?.bytes };
  await writeFileDurable(proposalFile, encodeProposal(proposal));
  await forget();
  return { done: 'proposed', ...facts, proposalFile, signers: next.signers, missing: next.missing };
}

function factsOf({ place, repository, enrolled, writerKeyFile }: Change, next: Roster): Facts {
  return {
    place: place.store.place,
    epoch: next.epoch,
    changes: rosterDifference(repository.roster.document, next),
    ...(enrolled === undefined ? {} : { enrolment: showEnrolment(enrolled) }),
    ...(writerKeyFile === undefined ? {} : { writerKeyFile }),
  };
}

/** Before the password of the key is asked for: what is about to be signed. */
function noteChanges(change: Change, next: Roster, { progress }: Running): void {
  const { changes, enrolment } = factsOf(change, next);
  for (const { change: what, role, name, key, notes } of changes)
    progress.note(`to be signed: ${printable([`${what} ${role} ${name}`, key, ...notes].join(', '), 1000)}`);
  if (enrolment !== undefined)
    progress.note(
      `${enrolment.subject} logged in ${enrolment.authenticatedAt} with ${enrolment.factors.join(', ')}; ${COMPARE_FINGERPRINT}: ${enrolment.fingerprint}`,
    );
}
