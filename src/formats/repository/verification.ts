/**
 * What a verifier found (docs/format-repository.md, "Verification"): a signed document under
 * verified/WRITER/SEQUENCE/VERIFIER-TIME.json.
 *
 *     { "version", "repository", "verifier", "writer", "sequence", "snapshot": digest, "kind": "check" | "drill", "time",
 *       "result": "good" | "bad", "readPercent", "indexes", "program", "findings": [ text, … ] }
 */
import { z } from 'zod';
import type { Digest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import {
  countSchema,
  digestSchema,
  repositorySchema,
  textSchema,
  timeSchema,
  versionSchema,
  writerSchema,
} from './documents.ts';
import { type RepositoryId, verificationKey, type WriterName } from './keys.ts';
import { type Signed, type SignedReading, signedKind } from './signed-document.ts';

export const VERIFICATION_MAX_BYTES = 1024 * 1024;

export interface Verification {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly verifier: WriterName;
  readonly writer: WriterName;
  readonly sequence: number;
  /** Digest of the snapshot document. */
  readonly snapshot: Digest;
  readonly kind: 'check' | 'drill';
  readonly time: string;
  readonly result: 'good' | 'bad';
  /** How much of the packs' data was opened, and every chunk's id computed again: 0 to 100. */
  readonly readPercent: number;
  /** The indexes of the snapshot's own run were opened, and say of every chunk what its pack says. */
  readonly indexes: boolean;
  /** Version of the program. */
  readonly program: string;
  /** What was not right; no content of the backup. */
  readonly findings: readonly string[];
}

const schema: z.ZodType<Verification> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  verifier: writerSchema,
  writer: writerSchema,
  sequence: countSchema,
  snapshot: digestSchema,
  kind: z.enum(['check', 'drill']),
  time: timeSchema,
  result: z.enum(['good', 'bad']),
  readPercent: z.number().min(0).max(100),
  indexes: z.boolean(),
  program: textSchema,
  findings: z.array(textSchema).max(1000),
});

const verifications = signedKind<Verification>({
  kind: 'verification',
  schema,
  what: 'the result of a verification',
  maxBytes: VERIFICATION_MAX_BYTES,
});

export const encodeVerification = verifications.encode;

/** `keys` is the key of the verifier that the object's key names, or those of all. @throws FormatError VERIFICATION_INVALID, SIGNED_DOCUMENT_…, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeVerification(bytes: Uint8Array, reading: SignedReading): Signed<Verification> {
  const signed = verifications.decode(bytes, reading);
  const { writer, sequence, verifier, time } = signed.document;
  // With the time: an older word that was copied to a later name would else hide the newest one.
  const isHere = verificationKey(writer, sequence, verifier, new Date(time)) === reading.at;
  if (isHere && signed.signers.some(({ name }) => name === verifier)) return signed;
  throw new FormatError(
    'VERIFICATION_INVALID',
    'the result of a verification is not right: it is of another snapshot, verifier or time',
    {
      expected: reading.at,
      found: `${sequence} of ${writer} by ${verifier}, ${time}`,
      at: { file: reading.at },
    },
  );
}
