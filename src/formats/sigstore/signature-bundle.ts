/**
 * A signature over a manifest: a Sigstore bundle v0.3 with a DSSE envelope, made with a plain key (no certificate, no
 * transparency log, no timestamp). docs/format-bundle.md, "Signature". The very form that `cosign sign` writes:
 *
 *   { "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
 *     "verificationMaterial": { "publicKey": { "hint": base64 of SHA-256 of the key } },
 *     "dsseEnvelope": { "payload": base64 of the statement, "payloadType": "application/vnd.in-toto+json",
 *                       "signatures": [ { "sig": base64 of ECDSA P-256 with SHA-256, DER } ] } }
 *
 * Signed is DSSE's pre-authentication encoding: `DSSEv1 SP len(type) SP type SP len(payload) SP payload`.
 */
import { type KeyObject, sign } from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { dsse } from '@sigstore/core';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { z } from 'zod';
import { type Digest, digestOf } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import type { SigningKey } from './cosign-key.ts';
import { decodeBase64 } from './pem.ts';
import { isKeyHint, type KeyHint } from './public-key.ts';
import { decodeStatement, encodeStatement, STATEMENT_PAYLOAD_TYPE } from './statement.ts';

export const SIGNATURE_MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
/** Ours have about 660 bytes; one with proofs of a transparency log a few kilobytes. */
export const SIGNATURE_MAX_BYTES = 64 * 1024;

/** A public key that signatures are checked against. */
export interface TrustedKey {
  readonly keyHint: KeyHint;
  /** What a person calls it. */
  readonly name: string;
  readonly publicKey: KeyObject;
}

/** Signs a manifest, given whole. The result is the bundle as JSON. It differs at each call: ECDSA draws a random number. */
export function signManifest(manifestBytes: Uint8Array, key: SigningKey): Uint8Array {
  const payload = Buffer.from(encodeStatement({ subject: digestOf(manifestBytes) }));
  const signature = sign('sha256', dsse.preAuthEncoding(STATEMENT_PAYLOAD_TYPE, payload), {
    key: key.privateKey,
    dsaEncoding: 'der',
  });
  return new TextEncoder().encode(
    JSON.stringify({
      mediaType: SIGNATURE_MEDIA_TYPE,
      verificationMaterial: { publicKey: { hint: key.keyHint } },
      dsseEnvelope: {
        payload: payload.toString('base64'),
        payloadType: STATEMENT_PAYLOAD_TYPE,
        signatures: [{ sig: signature.toString('base64') }],
      },
    }),
  );
}

/**
 * Checks that one of `trustedKeys` signed the manifest with `manifestDigest`, and says which.
 * Proofs of a transparency log and timestamps, which `cosign sign` may add, are not looked at: trust stands on the key.
 * @throws FormatError SIGNATURE_TOO_LARGE, SIGNATURE_MALFORMED, SIGNATURE_UNSUPPORTED, SIGNATURE_UNKNOWN_KEY,
 *   SIGNATURE_INVALID, SIGNATURE_WRONG_SUBJECT
 */
export function verifyManifestSignature(
  bundleBytes: Uint8Array,
  expected: { readonly manifestDigest: Digest; readonly trustedKeys: readonly TrustedKey[]; readonly file?: string },
): TrustedKey {
  const { manifestDigest, trustedKeys, file } = expected;
  const decoded = decodeSignatureBundle(bundleBytes, file);
  const trusted = trustedKeys.find((key) => key.keyHint === decoded.keyHint);
  if (trusted === undefined) {
    throw new FormatError('SIGNATURE_UNKNOWN_KEY', 'the signature was made by a key that is not trusted here', {
      expected: trustedKeys.map((key) => `${key.keyHint} (${key.name})`).join(', ') || 'no key is trusted',
      found: decoded.keyHint,
      ...place(file),
    });
  }
  verifyEnvelope(decoded, trusted, file);
  const statement = decodeStatement(decoded.payload);
  if (statement === undefined) {
    throw malformed('what is signed is not a statement that cosign makes for an image', file, 'dsseEnvelope.payload');
  }
  if (statement.subject !== manifestDigest) {
    throw new FormatError('SIGNATURE_WRONG_SUBJECT', 'the signature is genuine, but belongs to another manifest', {
      expected: manifestDigest,
      found: statement.subject,
      ...place(file),
    });
  }
  return trusted;
}

/** The key that a signature names, unchecked: to tell a person who claims to have signed. */
export function readKeyHint(bundleBytes: Uint8Array, file?: string): KeyHint {
  return decodeSignatureBundle(bundleBytes, file).keyHint;
}

/** The manifest that a signature says it is of, unchecked; `undefined` when it is no statement about a manifest. */
export function readSubject(bundleBytes: Uint8Array, file?: string): Digest | undefined {
  return decodeStatement(decodeSignatureBundle(bundleBytes, file).payload)?.subject;
}

interface DecodedBundle {
  readonly keyHint: KeyHint;
  readonly payload: Uint8Array;
  readonly json: BundleJson;
}

const base64 = z.string().refine((text) => text !== '' && decodeBase64(text) !== undefined, 'not base64');
/** Strict, so that a signature has one reading: @sigstore/bundle ignores what it does not know and decodes base64 leniently. */
const bundleSchema = z.strictObject({
  mediaType: z.literal(SIGNATURE_MEDIA_TYPE),
  verificationMaterial: z.strictObject({
    publicKey: z.strictObject({ hint: z.string().refine(isKeyHint, 'not base64 of a SHA-256 digest') }),
    tlogEntries: z.array(z.unknown()).optional(),
    timestampVerificationData: z.unknown().optional(),
  }),
  dsseEnvelope: z.strictObject({
    payload: base64,
    payloadType: z.literal(STATEMENT_PAYLOAD_TYPE),
    signatures: z.tuple([z.strictObject({ sig: base64, keyid: z.string().optional() })]),
  }),
});
type BundleJson = z.infer<typeof bundleSchema>;

function decodeSignatureBundle(bytes: Uint8Array, file: string | undefined): DecodedBundle {
  if (bytes.length > SIGNATURE_MAX_BYTES) {
    throw new FormatError('SIGNATURE_TOO_LARGE', 'the signature file is far larger than any signature', {
      expected: `at most ${SIGNATURE_MAX_BYTES} bytes`,
      found: `${bytes.length} bytes`,
      ...place(file),
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw malformed('the signature file is not JSON', file);
  }
  refuseOtherForms(value, file);
  const parsed = bundleSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw malformed(`the signature file is not a Sigstore bundle: ${issue?.message}`, file, issue?.path.join('.'));
  }
  const json = parsed.data;
  return {
    keyHint: json.verificationMaterial.publicKey.hint as KeyHint,
    payload: Buffer.from(json.dsseEnvelope.payload, 'base64'),
    json,
  };
}

const otherForms = z.looseObject({
  mediaType: z.string(),
  messageSignature: z.unknown().optional(),
  verificationMaterial: z
    .looseObject({ certificate: z.unknown().optional(), x509CertificateChain: z.unknown().optional() })
    .optional(),
});

/** Sound bundles of a kind that is not ours get an answer of their own: somebody used another command of cosign. */
function refuseOtherForms(value: unknown, file: string | undefined): void {
  const parsed = otherForms.safeParse(value);
  if (!parsed.success) return;
  const { mediaType, messageSignature, verificationMaterial } = parsed.data;
  if (messageSignature !== undefined) throw unsupported('a bare message signature, as `cosign sign-blob` makes', file);
  if (verificationMaterial?.certificate !== undefined || verificationMaterial?.x509CertificateChain !== undefined) {
    throw unsupported('made with a certificate (keyless), which cannot be checked offline', file);
  }
  if (mediaType !== SIGNATURE_MEDIA_TYPE && mediaType.startsWith('application/vnd.dev.sigstore.bundle')) {
    throw unsupported('another version of the Sigstore bundle', file, SIGNATURE_MEDIA_TYPE, mediaType);
  }
}

function verifyEnvelope(decoded: DecodedBundle, trusted: TrustedKey, file: string | undefined): void {
  const { mediaType, verificationMaterial, dsseEnvelope } = decoded.json;
  const { publicKey } = verificationMaterial;
  const trust = toTrustMaterial(
    { mediaType: '', tlogs: [], ctlogs: [], certificateAuthorities: [], timestampAuthorities: [] },
    () => ({ publicKey: trusted.publicKey, validFor: () => true }),
  );
  const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
  try {
    verifier.verify(toSignedEntity(bundleFromJSON({ mediaType, verificationMaterial: { publicKey }, dsseEnvelope })));
  } catch (cause) {
    throw new FormatError(
      'SIGNATURE_INVALID',
      'the signature does not fit the key that it names: it was forged or damaged',
      {
        cause,
        expected: `a signature by ${trusted.keyHint} (${trusted.name})`,
        ...place(file),
      },
    );
  }
}

function unsupported(what: string, file: string | undefined, expected?: string, found?: string): FormatError {
  return new FormatError('SIGNATURE_UNSUPPORTED', `the signature is ${what}`, {
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found: found.slice(0, 128) }),
    hint: 'Sign with `portolan bundle sign`, or with `cosign sign --key` on the manifest in a registry.',
    ...place(file),
  });
}

function malformed(message: string, file: string | undefined, key?: string): FormatError {
  return new FormatError('SIGNATURE_MALFORMED', message, {
    at: { ...(file === undefined ? {} : { file }), ...(key === undefined ? {} : { key }) },
  });
}

function place(file: string | undefined): { at?: { file: string } } {
  return file === undefined ? {} : { at: { file } };
}
