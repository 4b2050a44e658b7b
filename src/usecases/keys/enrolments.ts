import { randomBytes } from 'node:crypto';
import type { Digest } from '../../core/digest.ts';
import { hexOf } from '../../core/digest.ts';
import {
  CHALLENGE_SECRET_BYTES,
  decodeChallenge,
  decodeChallengeAnswer,
  encodeChallenge,
  sealChallenge,
  verifyChallengeAnswer,
} from '../../formats/identity/challenge.ts';
import { type VerifiedEnrolment, verifyEnrolment } from '../../formats/identity/enrolment.ts';
import { type EnrolmentEvidence, enrolmentEvidenceOf } from '../../formats/identity/enrolment-evidence.ts';
import { recipientFingerprint } from '../../formats/identity/fingerprint.ts';
import type { VerifiedIdToken } from '../../formats/identity/id-token.ts';
import type { PinnedIssuer } from '../../formats/identity/pinned-issuer.ts';
import { evidenceKey } from '../../formats/repository/keys.ts';
import type { PinnedRoot } from '../../formats/repository/pinned-root.ts';
import type { Roster, RosterRecipient } from '../../formats/repository/roster.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import type { RepositoryMemory } from '../repository/checkpoints.ts';
import { putOnce } from '../repository/objects.ts';
import type { OpenedRepository } from '../repository/open.ts';

/** The role may be gone since; what was enrolled long ago is enrolled again. */
const ENROLMENT_MAX_AGE_MS = 7 * 86_400_000;

/** Whoever would take the token may have a clock that is five minutes behind, and this machine one that is five minutes ahead. */
const EVIDENCE_MARGIN_MS = 10 * 60_000;

/** What approvers compare before they sign, by another way than the file came. */
export interface ShownEnrolment {
  readonly digest: Digest;
  readonly recipient: string;
  readonly fingerprint: string;
  readonly issuer: string;
  readonly subject: string;
  readonly roles: readonly string[];
  readonly factors: readonly string[];
  readonly authenticatedAt: string | undefined;
  readonly issuedAt: string;
  readonly expiresAt: string;
  /** From when it can be published as evidence. */
  readonly publishableFrom: string;
}

export function showEnrolment({ enrolment, digest, token }: VerifiedEnrolment): ShownEnrolment {
  return {
    digest,
    recipient: enrolment.recipient,
    fingerprint: recipientFingerprint(enrolment.recipient),
    issuer: token.issuer,
    subject: token.subject,
    roles: token.roles,
    factors: token.factors,
    authenticatedAt: token.authenticatedAt?.toISOString(),
    issuedAt: token.issuedAt.toISOString(),
    expiresAt: token.expiresAt.toISOString(),
    publishableFrom: publishableFrom(token).toISOString(),
  };
}

/** @throws UseCaseError ISSUER_NOT_PINNED */
export function requireIssuer({ issuer }: PinnedRoot): PinnedIssuer {
  if (issuer !== undefined) return issuer;
  throw new UseCaseError('ISSUER_NOT_PINNED', 'the root names no identity provider', {
    expected: 'a member `issuer` of the trust file',
    hint: 'Make a root with `portolan keys init --issuer URL …`, and give it with --trust.',
  });
}

/** An enrolment that the root allows. @throws UseCaseError ISSUER_NOT_PINNED; FormatError ENROLMENT_INVALID, ID_TOKEN_… */
export async function readEnrolment(
  repository: OpenedRepository,
  bytes: Uint8Array,
  now: number,
  at?: string,
): Promise<VerifiedEnrolment> {
  const place = at === undefined ? {} : { at };
  return await verifyEnrolment(bytes, requireIssuer(repository.trust), { repository: repository.id, now, ...place });
}

/** The entry that an enrolment asks for. */
export function enrolledRecipient(
  { enrolment, digest, token }: VerifiedEnrolment,
  { name, notAfter }: { readonly name?: string | undefined; readonly notAfter?: Date | undefined },
): RosterRecipient {
  const evidence: EnrolmentEvidence = {
    kind: 'enrolment',
    issuer: token.issuer,
    subject: token.subject,
    digest,
  };
  return {
    name: name ?? token.subject,
    recipient: enrolment.recipient,
    role: 'reader',
    ...(notAfter === undefined ? {} : { notAfter: notAfter.toISOString() }),
    evidence: { ...evidence },
  };
}

/** The reader whom this very enrolment let in, where that one still is on the roster. */
export function readerOf({ roster }: OpenedRepository, digest: Digest): RosterRecipient | undefined {
  return roster.document.recipients.find((entry) => enrolmentEvidenceOf(entry)?.digest === digest);
}

/**
 * That an enrolment could let somebody in at this time. The provider's key must have been in use then, too: whoever has one that was
 * taken out of use dates what he signs back.
 *
 * @throws UseCaseError ENROLMENT_TOO_OLD, ENROLMENT_KEY_ENDED
 */
export function requireTimely({ trust }: OpenedRepository, { token }: VerifiedEnrolment, at: number): void {
  const ageMs = at - token.issuedAt.getTime();
  if (ageMs > ENROLMENT_MAX_AGE_MS) {
    throw new UseCaseError('ENROLMENT_TOO_OLD', 'the enrolment is older than a week', {
      expected: 'at most 7 days',
      found: `${Math.floor(ageMs / 86_400_000)} days, from ${token.issuedAt.toISOString()}`,
      hint: 'Check the clock of this machine, and let the person enrol again.',
    });
  }
  const until = trust.issuer?.keys.find(({ kid }) => kid === token.keyId)?.until;
  if (until === undefined || Date.parse(until) >= at) return;
  throw new UseCaseError(
    'ENROLMENT_KEY_ENDED',
    'the enrolment is signed by a key that the identity provider has no more',
    {
      expected: `a key that was in use at ${new Date(at).toISOString()}`,
      found: `${token.keyId}, until ${until}`,
      hint: 'Let the person enrol again: whoever has the old key may have made this one.',
    },
  );
}

/**
 * That an enrolment may let somebody in now, under this name.
 *
 * @throws UseCaseError ENROLMENT_TOO_OLD, ENROLMENT_KEY_ENDED, ENROLMENT_REVOKED, ROSTER_NAME_TAKEN
 */
export function requireApprovable(
  repository: OpenedRepository,
  verified: VerifiedEnrolment,
  name: string,
  now: number,
): void {
  requireTimely(repository, verified, now);
  requireNotRevoked(repository, verified, now);
  const { token } = verified;
  const holder = repository.roster.document.recipients.find((entry) => entry.name === name);
  // Who enrols again, with a new key, takes the place of their old one.
  if (holder === undefined || isOfSubject(holder, token)) return;
  throw new UseCaseError('ROSTER_NAME_TAKEN', `${JSON.stringify(name)} is somebody else’s name on the roster`, {
    found: recipientFingerprint(holder.recipient),
    hint: 'Give another --name.',
  });
}

function isOfSubject(entry: RosterRecipient, { subject, issuer }: VerifiedIdToken): boolean {
  const evidence = enrolmentEvidenceOf(entry);
  return evidence !== undefined && evidence.subject === subject && evidence.issuer === issuer;
}

/**
 * Whoever was taken off comes back by an enrolment that was made afterwards, and by none that was in a drawer: neither the one that let
 * them in, nor another one of that time.
 */
function requireNotRevoked(
  { rosters }: OpenedRepository,
  { enrolment, digest, token }: VerifiedEnrolment,
  now: number,
): void {
  /** The epoch without what the one before it had for the last time. */
  const endOf = (isIt: (entry: RosterRecipient) => boolean): Roster | undefined => {
    const last = rosters.findLastIndex(({ document }) => document.recipients.some(isIt));
    return last === -1 ? undefined : rosters[last + 1]?.document;
  };
  const used = endOf((entry) => enrolmentEvidenceOf(entry)?.digest === digest);
  const ends = [endOf((entry) => entry.recipient === enrolment.recipient), endOf((entry) => isOfSubject(entry, token))];
  const end = [used, ...ends.filter((roster) => roster !== undefined && isAfter(roster, token, now))].find(
    (roster) => roster !== undefined,
  );
  if (end === undefined) return;
  throw new UseCaseError(
    'ENROLMENT_REVOKED',
    'whoever enrolled was taken off the roster after the enrolment was made',
    {
      expected: `an enrolment from after ${end.created}`,
      found: `${token.issuedAt.toISOString()}; on the roster until epoch ${end.epoch - 1}`,
      hint: 'If the person is to read again, let them enrol again.',
    },
  );
}

/** A roster whose time is in the future says nothing: the clock of its approver was wrong. */
function isAfter({ created }: Roster, { issuedAt }: VerifiedIdToken, now: number): boolean {
  const time = Date.parse(created);
  return time >= issuedAt.getTime() && time <= now;
}

/**
 * A challenge for the holder of the recipient. Its secret stays in this machine's state; one made before counts no more.
 *
 * @param asked - `proposal`: what this approver is asked to sign; the answer is for that alone
 */
export async function makeChallenge(
  repository: OpenedRepository,
  { enrolment, digest }: VerifiedEnrolment,
  memory: RepositoryMemory,
  { proposal, ...options }: StoreOptions & ProposalOption = {},
): Promise<Uint8Array> {
  const subject = { repository: repository.id, enrolment: digest, proposal };
  const challenge = encodeChallenge(subject, randomBytes(CHALLENGE_SECRET_BYTES));
  await memory.of(repository.id).write(documentOf(digest), challenge, options);
  return await sealChallenge(challenge, enrolment.recipient);
}

interface ProposalOption {
  /** Of the roster that another approver proposes. */
  readonly proposal?: Digest | undefined;
}

/** @throws UseCaseError CHALLENGE_MISSING; FormatError CHALLENGE_ANSWER_INVALID, CHALLENGE_ANSWER_WRONG */
export async function requireAnswer(
  repository: OpenedRepository,
  { digest }: VerifiedEnrolment,
  answer: Uint8Array,
  memory: RepositoryMemory,
  { at, proposal, ...options }: StoreOptions & ProposalOption & { readonly at?: string } = {},
): Promise<void> {
  const state = memory.of(repository.id);
  const bytes = await state.read(documentOf(digest), options);
  if (bytes === undefined)
    throw challengeMissing('this machine made no challenge for the enrolment', digest, state.place);
  const kept = decodeChallenge(bytes, state.place);
  // Whoever looked at one proposal is not made to sign another.
  if (kept.proposal !== proposal)
    throw challengeMissing(
      'this machine made its challenge for another change of the roster',
      proposal ?? 'a change of your own',
      kept.proposal ?? 'a change of your own',
    );
  verifyChallengeAnswer(decodeChallengeAnswer(answer, at), kept, at);
}

function challengeMissing(problem: string, expected: string, found: string): UseCaseError {
  return new UseCaseError('CHALLENGE_MISSING', problem, {
    ...{ expected, found },
    hint: 'Run the command with --challenge-out FILE first, and with the same --state.',
  });
}

/** Once it has been of use: an answer serves one signature. */
export async function forgetChallenge(
  repository: OpenedRepository,
  digest: Digest,
  memory: RepositoryMemory,
  options: StoreOptions = {},
): Promise<void> {
  await memory.of(repository.id).remove(documentOf(digest), options);
}

/**
 * Puts the enrolment of a reader into the repository, once its token can be used by nobody, not even where clocks differ.
 *
 * @returns whether it was new there
 * @throws UseCaseError EVIDENCE_TOO_EARLY, OBJECT_CONFLICT
 */
export async function publishEvidence(
  { store }: OpenedRepository,
  { digest, token }: VerifiedEnrolment,
  bytes: Uint8Array,
  now: number,
  options: StoreOptions = {},
): Promise<{ readonly key: string; readonly created: boolean }> {
  const from = publishableFrom(token);
  if (now < from.getTime()) {
    throw new UseCaseError(
      'EVIDENCE_TOO_EARLY',
      'the reader is on the roster, and the ID token has not expired for all',
      {
        expected: `after ${from.toISOString()}`,
        hint: 'Run the same command again then: the enrolment is published as evidence.',
      },
    );
  }
  const key = evidenceKey(digest);
  return { key, created: (await putOnce(store, key, bytes, options)) === 'created' };
}

function publishableFrom({ expiresAt }: VerifiedIdToken): Date {
  return new Date(expiresAt.getTime() + EVIDENCE_MARGIN_MS);
}

function documentOf(enrolment: Digest): string {
  return `challenge-${hexOf(enrolment)}`;
}
