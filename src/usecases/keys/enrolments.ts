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
import type { PinnedIssuer } from '../../formats/identity/pinned-issuer.ts';
import { evidenceKey } from '../../formats/repository/keys.ts';
import type { PinnedRoot } from '../../formats/repository/pinned-root.ts';
import type { RosterRecipient } from '../../formats/repository/roster.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import type { RepositoryMemory } from '../repository/checkpoints.ts';
import { putOnce } from '../repository/objects.ts';
import type { OpenedRepository } from '../repository/open.ts';

/** The role may be gone since; what was enrolled long ago is enrolled again. */
const ENROLMENT_MAX_AGE_MS = 7 * 86_400_000;

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
 * That an enrolment may let somebody in now, under this name.
 *
 * @throws UseCaseError ENROLMENT_TOO_OLD, ENROLMENT_REVOKED, ROSTER_NAME_TAKEN
 */
export function requireApprovable(
  { roster, rosters }: OpenedRepository,
  { digest, token }: VerifiedEnrolment,
  name: string,
  now: number,
): void {
  const ageMs = now - token.issuedAt.getTime();
  if (ageMs > ENROLMENT_MAX_AGE_MS) {
    throw new UseCaseError('ENROLMENT_TOO_OLD', 'the enrolment is older than a week', {
      expected: 'at most 7 days',
      found: `${Math.floor(ageMs / 86_400_000)} days, from ${token.issuedAt.toISOString()}`,
      hint: 'Check the clock of this machine, and let the person enrol again.',
    });
  }
  const before = rosters.findLast(({ document }) =>
    document.recipients.some((entry) => enrolmentEvidenceOf(entry)?.digest === digest),
  );
  if (before !== undefined) {
    throw new UseCaseError('ENROLMENT_REVOKED', 'whoever came in by this enrolment was taken off the roster', {
      found: `on the roster until epoch ${before.document.epoch}`,
      hint: 'If the person is to read again, let them enrol again.',
    });
  }
  const holder = roster.document.recipients.find((entry) => entry.name === name);
  // Who enrols again, with a new key, takes the place of their old one.
  if (holder === undefined || enrolmentEvidenceOf(holder)?.subject === token.subject) return;
  throw new UseCaseError('ROSTER_NAME_TAKEN', `${JSON.stringify(name)} is somebody else’s name on the roster`, {
    found: recipientFingerprint(holder.recipient),
    hint: 'Give another --name.',
  });
}

/** A challenge for the holder of the recipient. Its secret stays in this machine's state; one made before counts no more. */
export async function makeChallenge(
  repository: OpenedRepository,
  { enrolment, digest }: VerifiedEnrolment,
  memory: RepositoryMemory,
  options: StoreOptions = {},
): Promise<Uint8Array> {
  const subject = { repository: repository.id, enrolment: digest };
  const challenge = encodeChallenge(subject, randomBytes(CHALLENGE_SECRET_BYTES));
  await memory.of(repository.id).write(documentOf(digest), challenge, options);
  return await sealChallenge(challenge, enrolment.recipient);
}

/** @throws UseCaseError CHALLENGE_MISSING; FormatError CHALLENGE_ANSWER_INVALID, CHALLENGE_ANSWER_WRONG */
export async function requireAnswer(
  repository: OpenedRepository,
  { digest }: VerifiedEnrolment,
  answer: Uint8Array,
  memory: RepositoryMemory,
  { at, ...options }: StoreOptions & { readonly at?: string } = {},
): Promise<void> {
  const state = memory.of(repository.id);
  const kept = await state.read(documentOf(digest), options);
  if (kept === undefined) {
    throw new UseCaseError('CHALLENGE_MISSING', 'this machine made no challenge for the enrolment', {
      expected: digest,
      found: state.place,
      hint: 'Run the command with --challenge-out FILE first, and with the same --state.',
    });
  }
  verifyChallengeAnswer(decodeChallengeAnswer(answer, at), decodeChallenge(kept, state.place), at);
}

/** Once it has been of use, or was given up. */
export async function forgetChallenge(
  repository: OpenedRepository,
  digest: Digest,
  memory: RepositoryMemory,
  options: StoreOptions = {},
): Promise<void> {
  await memory.of(repository.id).remove(documentOf(digest), options);
}

/**
 * Puts the enrolment of a reader into the repository, once its token can be used by nobody.
 *
 * @returns whether it was new there
 * @throws UseCaseError EVIDENCE_TOO_EARLY, OBJECT_CONFLICT
 */
export async function publishEvidence(
  { store }: OpenedRepository,
  { digest, token }: VerifiedEnrolment,
  bytes: Uint8Array,
  options: StoreOptions = {},
): Promise<{ readonly key: string; readonly created: boolean }> {
  if (!token.expired) {
    throw new UseCaseError('EVIDENCE_TOO_EARLY', 'the reader is on the roster, and the ID token has not expired', {
      expected: `after ${token.expiresAt.toISOString()}`,
      hint: 'Run the same command again then: the enrolment is published as evidence.',
    });
  }
  const key = evidenceKey(digest);
  return { key, created: (await putOnce(store, key, bytes, options)) === 'created' };
}

function documentOf(enrolment: Digest): string {
  return `challenge-${hexOf(enrolment)}`;
}
