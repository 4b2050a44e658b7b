/**
 * Keys of runs that were sealed again (docs/format-repository.md, "Rewrap"): to the recipients of a later epoch, by somebody who
 * could open them. A signed document under rewraps/EPOCH/SHA256.json, by an approver or a verifier: a writer cannot look into
 * runs/RUN/key.EPOCH.age, so it believes whom the roster names.
 *
 *     { "version", "repository", "epoch", "signer", "time", "recipients": […], "runs": [ { "run", "digest": of the key file } ] }
 */
import { z } from 'zod';
import type { Digest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import {
  countSchema,
  digestSchema,
  labelSchema,
  repositorySchema,
  runSchema,
  textSchema,
  timeSchema,
  versionSchema,
} from './documents.ts';
import { parseRepositoryKey, type RepositoryId, type RunId } from './keys.ts';
import { type Signed, type SignedReading, signedKind } from './signed-document.ts';

export const REWRAP_MAX_BYTES = 8 * 1024 * 1024;

export interface Rewrap {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly epoch: number;
  /** What the roster calls whoever signs. */
  readonly signer: string;
  readonly time: string;
  readonly recipients: readonly string[];
  readonly runs: readonly RewrappedRun[];
}

export interface RewrappedRun {
  readonly run: RunId;
  /** Of runs/RUN/key.EPOCH.age. */
  readonly digest: Digest;
}

const schema: z.ZodType<Rewrap> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  epoch: countSchema,
  signer: labelSchema,
  time: timeSchema,
  recipients: z.array(textSchema).min(1).max(64),
  runs: z
    .array(z.strictObject({ run: runSchema, digest: digestSchema }))
    .min(1)
    .max(50_000),
});

const rewraps = signedKind<Rewrap>({
  kind: 'rewrap',
  schema,
  what: 'the list of keys that were sealed again',
  maxBytes: REWRAP_MAX_BYTES,
});

export const encodeRewrap = rewraps.encode;

/** `keys` are the approvers' and verifiers'. @throws FormatError REWRAP_INVALID, SIGNED_DOCUMENT_…, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeRewrap(bytes: Uint8Array, reading: SignedReading): Signed<Rewrap> {
  const signed = rewraps.decode(bytes, reading);
  const key = parseRepositoryKey(reading.at);
  const { epoch, runs } = signed.document;
  const distinct = new Set(runs.map(({ run }) => run)).size === runs.length;
  if (key?.kind === 'rewrap' && key.epoch === epoch && key.digest === signed.digest && distinct) return signed;
  throw new FormatError('REWRAP_INVALID', 'a list of keys that were sealed again is not the one that its name says', {
    at: { file: reading.at },
  });
}
