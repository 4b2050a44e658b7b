/**
 * A signed document (docs/format-repository.md, "Signed documents"): a DSSE envelope (secure-systems-lab/dsse, version 1) as
 * canonical JSON, around canonical JSON. One object, so that a signature cannot part from what it signs.
 *
 *     { "payload": base64 of the document,
 *       "payloadType": "application/vnd.portolan.KIND.v1+json",
 *       "signatures": [ { "keyid": key hint, "sig": base64 of ECDSA P-256 with SHA-256, DER }, … ] }
 *
 * Signed is DSSE's pre-authentication encoding, which holds the type: what was signed as one kind is never read as another.
 * Signatures are ordered by `keyid`, and no `keyid` stands twice. The digest of a document is that of the whole envelope:
 * `sha256sum` prints it.
 */
import { createVerify, sign } from 'node:crypto';
import { dsse } from '@sigstore/core';
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { printable } from '../../core/printable.ts';
import { FormatError } from '../errors.ts';
import type { SigningKey } from '../sigstore/cosign-key.ts';
import { decodeBase64 } from '../sigstore/pem.ts';
import { isKeyHint } from '../sigstore/public-key.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import { checkDocument, type DocumentRules, parseCanonicalJson, requireRepository } from './documents.ts';
import type { RepositoryId } from './keys.ts';
import { REPOSITORY_VERSION, unsupportedVersion } from './version.ts';

export type DocumentKind = 'roster' | 'snapshot' | 'mark' | 'forgotten' | 'verification' | 'rewrap' | 'audit';

/** A snapshot that names 65,536 packs has 7.5 MB. */
export const SIGNED_DOCUMENT_MAX_BYTES = 32 * 1024 * 1024;
const MAX_SIGNATURES = 64;

/** A document as it was found: who signed it, and its digest. */
export interface Signed<T> {
  readonly document: T;
  /** Of the whole object. */
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Of the keys that were given, those that signed; at least the threshold. */
  readonly signers: readonly TrustedKey[];
}

export interface SignedRules<T> {
  readonly kind: DocumentKind;
  readonly schema: z.ZodType<T>;
  /** What messages call it: `snapshot 7 of db-1`. */
  readonly what: string;
  /** Who may sign. */
  readonly keys: readonly TrustedKey[];
  /** How many of them must have; 1 unless said. */
  readonly threshold?: number | undefined;
  /** Whose document it must be. */
  readonly repository?: RepositoryId | undefined;
  readonly maxBytes?: number | undefined;
  /** Key of the object or path of the file. */
  readonly at?: string | undefined;
  /** Makes a value for the schema of the payload: `parseCanonicalJson` unless given, and as strict as that. */
  readonly parse?: (payload: Buffer, rules: DocumentRules) => unknown;
}

/** Of a kind of document that one key signs, and whose object says where it lies. */
export interface SignedKind<T> {
  encode(document: T, key: SigningKey): Uint8Array;
  /** @throws FormatError as `decodeSigned` */
  decode(bytes: Uint8Array, reading: SignedReading): Signed<T>;
}

export interface SignedReading {
  /** Who may have signed. */
  readonly keys: readonly TrustedKey[];
  readonly repository: RepositoryId;
  /** Key of the object. */
  readonly at: string;
}

export function signedKind<T extends { readonly repository: RepositoryId }>(
  rules: Required<Pick<SignedRules<T>, 'kind' | 'schema' | 'what' | 'maxBytes'>>,
): SignedKind<T> {
  return {
    encode: (document, key) => encodeSigned(document, [key], rules),
    decode: (bytes, reading) => decodeSigned(bytes, { ...reading, ...rules }),
  };
}

function payloadTypeOf(kind: DocumentKind): string {
  return `application/vnd.portolan.${kind}.v${REPOSITORY_VERSION}+json`;
}

/**
 * Differs at each call: ECDSA draws a random number.
 *
 * @throws FormatError SIGNED_DOCUMENT_INVALID for what no reader would take: nothing is signed that cannot be read again
 */
export function encodeSigned<T extends object>(
  document: T,
  keys: readonly SigningKey[],
  rules: Pick<SignedRules<T>, 'kind' | 'schema' | 'what'>,
): Uint8Array {
  checkDocument(document, rules.schema, documentRulesOf(rules));
  const payload = Buffer.from(canonicalJson(document));
  const payloadType = payloadTypeOf(rules.kind);
  const message = dsse.preAuthEncoding(payloadType, payload);
  const signatures = [...new Map(keys.map((key) => [key.keyHint, key])).values()].map((key) => ({
    keyid: key.keyHint,
    sig: sign('sha256', message, { key: key.privateKey, dsaEncoding: 'der' }).toString('base64'),
  }));
  return encodeEnvelope({ payload: payload.toString('base64'), payloadType, signatures });
}

/**
 * Puts further signatures onto a document; those that are there stay. For approvers who sign one after the other.
 *
 * @throws FormatError SIGNED_DOCUMENT_INVALID, REPOSITORY_VERSION_UNSUPPORTED
 */
export function addSignatures(
  bytes: Uint8Array,
  kind: DocumentKind,
  keys: readonly SigningKey[],
  at?: string,
): Uint8Array {
  const envelope = decodeEnvelope(bytes, { kind, what: 'the document', at });
  const message = dsse.preAuthEncoding(envelope.payloadType, envelope.payload);
  const present = new Set(envelope.signatures.map(({ keyid }) => keyid));
  const added = keys
    .filter((key) => !present.has(key.keyHint))
    .map((key) => ({
      keyid: key.keyHint as string,
      sig: sign('sha256', message, { key: key.privateKey, dsaEncoding: 'der' }).toString('base64'),
    }));
  const payload = envelope.payload.toString('base64');
  return encodeEnvelope({ ...envelope, payload, signatures: [...envelope.signatures, ...added] });
}

/**
 * A document that enough of the keys signed. Signatures by other keys count for nothing and are let be; one that names a key
 * of `keys` and does not fit it is an error even when there are enough others.
 *
 * @throws FormatError SIGNED_DOCUMENT_INVALID, SIGNED_DOCUMENT_FORGED, SIGNED_DOCUMENT_UNSIGNED, REPOSITORY_MISMATCH,
 *   REPOSITORY_VERSION_UNSUPPORTED
 */
export function decodeSigned<T extends { readonly repository: RepositoryId }>(
  bytes: Uint8Array,
  rules: SignedRules<T>,
): Signed<T> {
  const envelope = decodeEnvelope(bytes, rules);
  const signers = verifySigners(envelope, rules);
  const threshold = rules.threshold ?? 1;
  if (signers.length < threshold) {
    throw new FormatError('SIGNED_DOCUMENT_UNSIGNED', `${rules.what} is not signed by those who must have signed it`, {
      expected: `${threshold} of ${rules.keys.map(({ name }) => name).join(', ') || 'nobody'}`,
      found: signers.map(({ name }) => name).join(', ') || 'none of them',
      ...placeOf(rules.at),
    });
  }
  const document = decodePayload(envelope.payload, rules);
  if (rules.repository !== undefined) requireRepository(document.repository, rules.repository, rules);
  return { document, digest: digestOf(bytes), sizeBytes: bytes.length, signers };
}

/**
 * A document whose signatures nobody looked at: to find out which keys to ask for, and to show.
 *
 * @throws FormatError SIGNED_DOCUMENT_INVALID, REPOSITORY_VERSION_UNSUPPORTED
 */
export function readUnverified<T>(
  bytes: Uint8Array,
  rules: Omit<SignedRules<T>, 'keys' | 'threshold' | 'repository'>,
): { readonly document: T; readonly digest: Digest; readonly keyHints: readonly string[] } {
  const envelope = decodeEnvelope(bytes, rules);
  return {
    document: decodePayload(envelope.payload, rules),
    digest: digestOf(bytes),
    keyHints: envelope.signatures.map(({ keyid }) => keyid),
  };
}

interface Envelope {
  readonly payload: string;
  readonly payloadType: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** An envelope with its payload decoded: of a snapshot with many packs, a second copy counts. */
interface Opened extends Omit<Envelope, 'payload'> {
  readonly payload: Buffer;
}

/** The payload's base64 is looked at apart: it may be long. */
const envelopeSchema: z.ZodType<Envelope> = z.strictObject({
  payload: z.string().min(1),
  payloadType: z.string().max(200),
  signatures: z
    .array(
      z.strictObject({
        keyid: z.string().refine(isKeyHint, 'not base64 of a SHA-256 digest'),
        sig: z
          .string()
          .max(200)
          .refine((text) => text !== '' && decodeBase64(text) !== undefined, 'not base64'),
      }),
    )
    .min(1)
    .max(MAX_SIGNATURES),
});

const OTHER_VERSION = /^application\/vnd\.portolan\.([a-z]+)\.v([0-9]{1,6})\+json$/;

function decodeEnvelope(
  bytes: Uint8Array,
  rules: {
    readonly kind: DocumentKind;
    readonly what: string;
    readonly maxBytes?: number | undefined;
    readonly at?: string | undefined;
  },
): Opened {
  const documentRules = documentRulesOf(rules);
  const parts = bytes.length > documentRules.maxBytes ? undefined : takePayloadOut(bytes);
  const value = parseCanonicalJson(parts?.envelope ?? bytes, documentRules);
  const envelope = checkDocument(value, envelopeSchema, documentRules);
  const { payload, payloadType, signatures } = envelope;
  if (payloadType !== payloadTypeOf(rules.kind)) {
    const [, kind, version] = OTHER_VERSION.exec(payloadType) ?? [];
    if (kind === rules.kind && version !== undefined) throw unsupportedVersion(rules.what, Number(version), rules.at);
    throw new FormatError('SIGNED_DOCUMENT_INVALID', `${rules.what} is a document of another kind`, {
      expected: payloadTypeOf(rules.kind),
      found: printable(payloadType),
      ...placeOf(rules.at),
    });
  }
  const decoded = parts?.payload ?? decodeBase64(payload);
  if (decoded === undefined) throw invalid(rules, 'its payload is not base64');
  for (const [index, { keyid }] of signatures.entries()) {
    const before = signatures[index - 1];
    if (before !== undefined && before.keyid >= keyid)
      throw invalid(rules, 'its signatures are not in order, or one key signed twice');
  }
  return { ...envelope, payload: decoded };
}

const PAYLOAD_START = '{"payload":"';
const QUOTE = 0x22;
/** Of base64, and so of whole bytes. */
const PIECE_LENGTH = 64 * 1024;

/**
 * The payload, and the envelope with another one in its place, which is canonical if the whole is: to read 10 MB as JSON takes four times
 * that. `undefined` for what is to be read whole, so that somebody says what is wrong with it.
 */
function takePayloadOut(bytes: Uint8Array): { readonly payload: Buffer; readonly envelope: Uint8Array } | undefined {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = PAYLOAD_START.length;
  const end = whole.indexOf(QUOTE, start);
  if (end <= start || whole.toString('latin1', 0, start) !== PAYLOAD_START) return undefined;
  const payload = Buffer.alloc(Math.floor(((end - start) * 3) / 4));
  let filled = 0;
  for (let at = start; at < end; at += PIECE_LENGTH) {
    const piece = decodeBase64(whole.toString('latin1', at, Math.min(at + PIECE_LENGTH, end)));
    // Padding stands at the end alone.
    if (piece === undefined || filled !== ((at - start) * 3) / 4) return undefined;
    filled += piece.copy(payload, filled);
  }
  const envelope = Buffer.concat([Buffer.from(`${PAYLOAD_START}-`), whole.subarray(end)]);
  return { payload: payload.subarray(0, filled), envelope };
}

function encodeEnvelope({ payload, payloadType, signatures }: Envelope): Uint8Array {
  const ordered = signatures.toSorted((a, b) => (a.keyid < b.keyid ? -1 : 1));
  return new TextEncoder().encode(canonicalJson({ payload, payloadType, signatures: ordered }));
}

function verifySigners<T>({ payloadType, payload, signatures }: Opened, rules: SignedRules<T>): TrustedKey[] {
  // DSSE's pre-authentication encoding, without a copy of the payload.
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  const signers: TrustedKey[] = [];
  for (const { keyid, sig } of signatures) {
    const key = rules.keys.find(({ keyHint }) => keyHint === keyid);
    if (key === undefined) continue;
    const signature = { key: key.publicKey, dsaEncoding: 'der' } as const;
    if (!createVerify('sha256').update(head).update(payload).verify(signature, Buffer.from(sig, 'base64'))) {
      throw new FormatError(
        'SIGNED_DOCUMENT_FORGED',
        `a signature on ${rules.what} does not fit the key that it names`,
        {
          expected: `a signature by ${key.keyHint} (${key.name})`,
          ...placeOf(rules.at),
        },
      );
    }
    signers.push(key);
  }
  return signers;
}

function decodePayload<T>(payload: Buffer, rules: Omit<SignedRules<T>, 'keys'>): T {
  const documentRules = documentRulesOf(rules);
  const { parse = parseCanonicalJson } = rules;
  const value = parse(payload, documentRules);
  giveBack(payload);
  return checkDocument(value, rules.schema, documentRules);
}

/** Frees a large payload at once: the garbage collector would let one of each snapshot come together. */
function giveBack(payload: Buffer): void {
  const memory = payload.buffer;
  if (memory instanceof ArrayBuffer && payload.length > PIECE_LENGTH) memory.transfer(0);
}

function documentRulesOf(rules: {
  readonly what: string;
  readonly maxBytes?: number | undefined;
  readonly at?: string | undefined;
}): DocumentRules {
  const maxBytes = rules.maxBytes ?? SIGNED_DOCUMENT_MAX_BYTES;
  return { what: rules.what, code: 'SIGNED_DOCUMENT_INVALID', maxBytes, at: rules.at };
}

function invalid(rules: { readonly what: string; readonly at?: string | undefined }, problem: string): FormatError {
  return new FormatError('SIGNED_DOCUMENT_INVALID', `${rules.what} is not right: ${problem}`, placeOf(rules.at));
}

function placeOf(at: string | undefined): { readonly at?: { readonly file: string } } {
  return at === undefined ? {} : { at: { file: at } };
}
