/**
 * Proof that somebody holds the identity of a recipient (docs/format-repository.md, "Challenge"). The enrolment's nonce says whose
 * recipient it is, not that they can open what is sealed to it.
 *
 *     challenge: an age file, sealed to the recipient alone, of canonical JSON
 *                { "version": 1, "kind": "portolan-challenge", "repository", "enrolment": digest, "secret": base64 of 32 bytes,
 *                  "proposal"?: digest of what the approver was asked to sign (formats/identity/roster-proposal.ts) }
 *     answer:    canonical JSON { "version": 1, "kind": "portolan-answer", "repository", "enrolment": digest,
 *                "proof": base64 of HMAC-SHA-256(secret, "portolan challenge answer v1\0" and the digest) }
 *
 * The answer is no secret: it shows nothing of the challenge's secret, which each approver draws afresh. The holder answers for the own
 * enrolment alone: one for somebody else's, of which the same recipient stands in it, would put this identity on the roster as theirs.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { type Digest, digestOf } from '../../core/digest.ts';
import { recipientOf } from '../age/identity-file.ts';
import { openBytes, sealBytes } from '../age/sealed-bytes.ts';
import { FormatError } from '../errors.ts';
import {
  base64Schema,
  decodeDocument,
  digestSchema,
  encodeDocument,
  repositorySchema,
  versionSchema,
} from '../repository/documents.ts';
import type { RepositoryId } from '../repository/keys.ts';
import { decodeEnrolment, type Enrolment } from './enrolment.ts';
import { recipientFingerprint } from './fingerprint.ts';

/** Of the sealed file; one to a post-quantum recipient has about 2 KiB. */
export const CHALLENGE_MAX_BYTES = 64 * 1024;
export const ANSWER_MAX_BYTES = 4096;
export const CHALLENGE_SECRET_BYTES = 32;

const OPENED_MAX_BYTES = 4096;

export interface Challenge {
  readonly version: 1;
  readonly kind: 'portolan-challenge';
  readonly repository: RepositoryId;
  /** Digest of the enrolment. */
  readonly enrolment: Digest;
  /** Base64 of 32 bytes. */
  readonly secret: string;
  /** What the approver saw proposed: the answer serves this and no other. */
  readonly proposal?: Digest;
}

export interface ChallengeAnswer {
  readonly version: 1;
  readonly kind: 'portolan-answer';
  readonly repository: RepositoryId;
  readonly enrolment: Digest;
  /** Base64 of 32 bytes. */
  readonly proof: string;
}

const bytes32 = base64Schema.refine((text) => Buffer.from(text, 'base64').length === 32, '32 bytes');
const about = { version: versionSchema, repository: repositorySchema, enrolment: digestSchema };

const challengeSchema: z.ZodType<Challenge> = z.strictObject({
  ...about,
  kind: z.literal('portolan-challenge'),
  secret: bytes32,
  proposal: digestSchema.exactOptional(),
});

const answerSchema: z.ZodType<ChallengeAnswer> = z.strictObject({
  ...about,
  kind: z.literal('portolan-answer'),
  proof: bytes32,
});

export interface ChallengeSubject {
  readonly repository: RepositoryId;
  readonly enrolment: Digest;
}

/** What is kept until the answer comes, and what is sealed. `secret` has 32 random bytes. */
export function encodeChallenge(
  { repository, enrolment, proposal }: ChallengeSubject & { readonly proposal?: Digest | undefined },
  secret: Uint8Array,
): Uint8Array {
  return encodeDocument({
    version: 1,
    kind: 'portolan-challenge',
    repository,
    enrolment,
    secret: Buffer.from(secret).toString('base64'),
    ...(proposal === undefined ? {} : { proposal }),
  } satisfies Challenge);
}

export function sealChallenge(challenge: Uint8Array, recipient: string): Promise<Uint8Array> {
  return sealBytes(challenge, [recipient]);
}

/** @throws FormatError CHALLENGE_INVALID */
export function decodeChallenge(bytes: Uint8Array, at?: string): Challenge {
  const rules = { what: 'the challenge', code: 'CHALLENGE_INVALID', maxBytes: OPENED_MAX_BYTES, at } as const;
  return decodeDocument(bytes, challengeSchema, rules);
}

export interface AnsweredChallenge extends ChallengeSubject {
  readonly answer: Uint8Array;
  readonly recipient: string;
}

/**
 * The holder's side. What is sealed in another form is never read out: only a challenge for the holder's `own` enrolment gets an answer.
 *
 * @throws FormatError CHALLENGE_INVALID, CHALLENGE_FOREIGN, ENROLMENT_INVALID, AGE_…, SEALED_TOO_LARGE, NO_MATCHING_IDENTITY
 */
export async function answerChallenge(
  sealed: Uint8Array,
  identities: readonly string[],
  own: Uint8Array,
  at?: string,
): Promise<AnsweredChallenge> {
  const opened = await openBytes(sealed, identities, { maxBytes: OPENED_MAX_BYTES });
  const { repository, enrolment, secret } = decodeChallenge(opened, at);
  const { recipient } = await requireOwn({ repository, enrolment }, identities, own, at);
  const answer = encodeDocument({
    version: 1,
    kind: 'portolan-answer',
    repository,
    enrolment,
    proof: proofOf(secret, enrolment).toString('base64'),
  } satisfies ChallengeAnswer);
  return { answer, repository, enrolment, recipient };
}

/** @throws FormatError CHALLENGE_FOREIGN, ENROLMENT_INVALID, REPOSITORY_MISMATCH */
async function requireOwn(
  { repository, enrolment }: ChallengeSubject,
  identities: readonly string[],
  bytes: Uint8Array,
  at: string | undefined,
): Promise<Enrolment> {
  const digest = digestOf(bytes);
  if (digest !== enrolment) throw foreign('the challenge is for another enrolment than yours', digest, enrolment, at);
  const decoded = decodeEnrolment(bytes, repository);
  const recipients = await Promise.all(identities.map((identity) => recipientOf(identity)));
  if (recipients.includes(decoded.recipient)) return decoded;
  const own = recipients.map(recipientFingerprint).join(', ');
  throw foreign('the enrolment is of another identity than yours', own, recipientFingerprint(decoded.recipient), at);
}

function foreign(problem: string, expected: string, found: string, at: string | undefined): FormatError {
  return new FormatError('CHALLENGE_FOREIGN', problem, {
    ...(at === undefined ? {} : { at: { file: at } }),
    ...{ expected, found },
    hint: 'Nothing was answered. Give the enrolment that you made yourself; if it is that one, ask the approver by another way who enrolled: somebody may have enrolled with your recipient.',
  });
}

/** @throws FormatError CHALLENGE_ANSWER_INVALID */
export function decodeChallengeAnswer(bytes: Uint8Array, at?: string): ChallengeAnswer {
  const rules = { what: 'the answer', code: 'CHALLENGE_ANSWER_INVALID', maxBytes: ANSWER_MAX_BYTES, at } as const;
  return decodeDocument(bytes, answerSchema, rules);
}

/** The approver's side. @throws FormatError CHALLENGE_ANSWER_WRONG */
export function verifyChallengeAnswer(answer: ChallengeAnswer, challenge: Challenge, at?: string): void {
  const isSame = answer.repository === challenge.repository && answer.enrolment === challenge.enrolment;
  const expected = proofOf(challenge.secret, challenge.enrolment);
  if (isSame && timingSafeEqual(expected, Buffer.from(answer.proof, 'base64'))) return;
  throw new FormatError('CHALLENGE_ANSWER_WRONG', 'the answer does not fit the challenge', {
    ...(at === undefined ? {} : { at: { file: at } }),
    expected: `an answer for the enrolment ${challenge.enrolment}`,
    ...(isSame ? {} : { found: answer.enrolment }),
    hint: 'Do not approve: whoever answered may not hold the identity. Make a new challenge with --challenge-out, and have it answered again.',
  });
}

function proofOf(secret: string, enrolment: Digest): Buffer {
  return createHmac('sha256', Buffer.from(secret, 'base64'))
    .update(`portolan challenge answer v1\0${enrolment}`)
    .digest();
}
