/**
 * A record of the audit journal (docs/audit.md, "A record"): who took what out of a repository. A signed document
 * (formats/repository/signed-document.ts) of the kind `audit`, by the journal's own key:
 *
 *     { "version", "repository", "sequence": from 1, "previous"?: digest of the record before, absent in the first,
 *       "time", "state": "begun" | "done" | "failed" | "aborted",
 *       "begun"?: of all states but that one: sequence of the record that says how it began, "code"?: of a failure,
 *       "what": "restore" | "drill",
 *       "who": { "user", "uid", "login"?: { "issuer", "subject", "until" }, "breakGlass"?: true },
 *       "host", "program", "snapshot": { "writer", "sequence", "digest" }, "selection": { OPTION: [ value, … ] }, "target",
 *       "publicKey": base64 of SubjectPublicKeyInfo in DER, of the key that signs }
 *
 * A record says everything again, so that it can be understood alone. It holds no token, no password and no identity.
 */
import { z } from 'zod';
import type { Digest } from '../../core/digest.ts';
import {
  base64Schema,
  countSchema,
  digestSchema,
  labelSchema,
  repositorySchema,
  timeSchema,
  versionSchema,
  writerSchema,
} from '../repository/documents.ts';
import type { RepositoryId, WriterName } from '../repository/keys.ts';
import { decodeSigned, encodeSigned, readUnverified, type Signed } from '../repository/signed-document.ts';
import type { SigningKey } from '../sigstore/cosign-key.ts';
import { parseSpki } from '../sigstore/public-key.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';

/** What a target keeps in one document (ports/target-state.ts). */
const RECORD_MAX_BYTES = 900 * 1024;

/** Who works: always an account of the machine, and a person where the identity provider named one. */
export interface Actor {
  readonly user: string;
  readonly uid: number;
  readonly login?: { readonly issuer: string; readonly subject: string; readonly until: string };
  /** No identity provider was asked, although the root names one. */
  readonly breakGlass?: true;
}

/** What is done, known before it begins. */
export interface AuditedWork {
  readonly what: 'restore' | 'drill';
  readonly who: Actor;
  readonly host: string;
  /** Version of this program. */
  readonly program: string;
  readonly repository: RepositoryId;
  readonly snapshot: { readonly writer: WriterName; readonly sequence: number; readonly digest: Digest };
  /** Options that choose a part, by their names; everything when empty. */
  readonly selection: Readonly<Record<string, readonly string[]>>;
  /** Without secrets. */
  readonly target: string;
}

export type AuditState = 'begun' | 'done' | 'failed' | 'aborted';

export interface AuditRecord extends AuditedWork {
  readonly version: 1;
  readonly sequence: number;
  readonly previous?: Digest;
  readonly time: string;
  readonly state: AuditState;
  readonly begun?: number;
  /** Of the error. */
  readonly code?: string;
  readonly publicKey: string;
}

/** A path has 4,096 bytes. */
const textSchema = z.string().max(10_000);

const schema: z.ZodType<AuditRecord> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  sequence: countSchema,
  previous: digestSchema.exactOptional(),
  time: timeSchema,
  state: z.enum(['begun', 'done', 'failed', 'aborted']),
  begun: countSchema.exactOptional(),
  code: labelSchema.exactOptional(),
  what: z.enum(['restore', 'drill']),
  who: z.strictObject({
    user: labelSchema,
    uid: z.number().int().min(-1),
    login: z.strictObject({ issuer: textSchema, subject: labelSchema, until: timeSchema }).exactOptional(),
    breakGlass: z.literal(true).exactOptional(),
  }),
  host: textSchema,
  program: labelSchema,
  snapshot: z.strictObject({ writer: writerSchema, sequence: countSchema, digest: digestSchema }),
  selection: z.record(labelSchema, z.array(textSchema)),
  target: textSchema,
  publicKey: base64Schema,
});

const rules = { kind: 'audit', schema, what: 'the record', maxBytes: RECORD_MAX_BYTES } as const;

export function encodeAuditRecord(record: AuditRecord, key: SigningKey): Uint8Array {
  return encodeSigned(record, [key], rules);
}

/**
 * A record that one of the keys signed.
 *
 * @throws FormatError SIGNED_DOCUMENT_INVALID, SIGNED_DOCUMENT_FORGED, SIGNED_DOCUMENT_UNSIGNED, REPOSITORY_VERSION_UNSUPPORTED
 */
export function decodeAuditRecord(
  bytes: Uint8Array,
  { keys, at }: { readonly keys: readonly TrustedKey[]; readonly at: string },
): Signed<AuditRecord> {
  return decodeSigned(bytes, { ...rules, keys, at });
}

/**
 * The key that a record says it is signed by: worth as much as whoever says so.
 *
 * @throws FormatError SIGNED_DOCUMENT_INVALID, PUBLIC_KEY_INVALID, PUBLIC_KEY_UNSUPPORTED
 */
export function claimedKeyOf(bytes: Uint8Array, at: string): TrustedKey['publicKey'] {
  const { publicKey } = readUnverified(bytes, { ...rules, at }).document;
  return parseSpki(Buffer.from(publicKey, 'base64'), at);
}
