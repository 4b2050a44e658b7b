/**
 * The enrolment of a reader (docs/format-repository.md, "Enrolment"): a person of the identity provider says that a recipient is
 * theirs. Canonical JSON; its digest is that of its bytes.
 *
 *     { "version": 1, "kind": "portolan-enrolment", "repository", "recipient": "age1…", "random": base64 of 32 bytes, "idToken" }
 *
 * The token's nonce is base64url of SHA-256 of the canonical JSON of { "random", "recipient", "repository", "type":
 * "portolan-enrolment-v1" }: so the provider signed for this recipient and this repository, without learning either.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { parseRecipient } from '../age/recipients.ts';
import { FormatError } from '../errors.ts';
import {
  base64Schema,
  decodeDocument,
  encodeDocument,
  repositorySchema,
  requireRepository,
  textSchema,
  versionSchema,
} from '../repository/documents.ts';
import type { RepositoryId } from '../repository/keys.ts';
import { ID_TOKEN_MAX_LENGTH, type VerifiedIdToken, verifyIdToken } from './id-token.ts';
import type { PinnedIssuer } from './pinned-issuer.ts';

export const ENROLMENT_MAX_BYTES = ID_TOKEN_MAX_LENGTH + 16 * 1024;
export const ENROLMENT_RANDOM_BYTES = 32;

export interface Enrolment {
  readonly version: 1;
  readonly kind: 'portolan-enrolment';
  readonly repository: RepositoryId;
  readonly recipient: string;
  /** Base64 of 32 bytes. */
  readonly random: string;
  readonly idToken: string;
}

/** What the nonce commits to. */
export type EnrolmentCommitment = Pick<Enrolment, 'repository' | 'recipient' | 'random'>;

const schema: z.ZodType<Enrolment> = z.strictObject({
  version: versionSchema,
  kind: z.literal('portolan-enrolment'),
  repository: repositorySchema,
  recipient: textSchema.refine(isExactRecipient, 'a recipient in its usual spelling'),
  random: base64Schema.refine(
    (text) => Buffer.from(text, 'base64').length === ENROLMENT_RANDOM_BYTES,
    `${ENROLMENT_RANDOM_BYTES} bytes`,
  ),
  idToken: z.string().min(1).max(ID_TOKEN_MAX_LENGTH),
});

export function encodeEnrolment(enrolment: Enrolment): Uint8Array {
  return encodeDocument(enrolment);
}

/** Its token is not looked at. @throws FormatError ENROLMENT_INVALID, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeEnrolment(bytes: Uint8Array, repository: RepositoryId, at?: string): Enrolment {
  const rules = { what: 'the enrolment', code: 'ENROLMENT_INVALID', maxBytes: ENROLMENT_MAX_BYTES, at } as const;
  const enrolment = decodeDocument(bytes, schema, rules);
  requireRepository(enrolment.repository, repository, rules);
  return enrolment;
}

/** What the person's login carries to the provider. */
export function enrolmentNonce({ repository, recipient, random }: EnrolmentCommitment): string {
  const commitment = canonicalJson({ recipient, random, repository, type: 'portolan-enrolment-v1' });
  return createHash('sha256').update(commitment).digest('base64url');
}

export interface VerifiedEnrolment {
  readonly enrolment: Enrolment;
  readonly digest: Digest;
  readonly token: VerifiedIdToken;
}

/**
 * Document and token, by the root alone. Whether the token is still new enough to approve anybody is the approver's question.
 *
 * @throws FormatError as `decodeEnrolment` and `verifyIdToken`
 */
export async function verifyEnrolment(
  bytes: Uint8Array,
  issuer: PinnedIssuer,
  { repository, now, at }: { readonly repository: RepositoryId; readonly now: number; readonly at?: string },
): Promise<VerifiedEnrolment> {
  const enrolment = decodeEnrolment(bytes, repository, at);
  const token = await verifyIdToken(enrolment.idToken, issuer, {
    use: 'enrolment',
    nonce: enrolmentNonce(enrolment),
    at: now,
  });
  return { enrolment, digest: digestOf(bytes), token };
}

function isExactRecipient(text: string): boolean {
  try {
    return parseRecipient(text).text === text && text === text.toLowerCase();
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
