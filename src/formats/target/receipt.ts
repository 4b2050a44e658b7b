/**
 * A receipt: what a target says it holds after an import (docs/format-target.md, "Receipt"). A DSSE envelope over canonical
 * JSON, signed by the target's own key; sealed with age to the recipients that the bundle names, or in the clear when it
 * names none.
 *
 *     { "payloadType": "application/vnd.portolan.receipt.v1+json", "payload": base64 of the receipt,
 *       "signatures": [ { "keyid": key hint, "sig": base64 of ECDSA P-256 with SHA-256, DER } ] }
 *
 * Signed is DSSE's pre-authentication encoding, as in formats/sigstore/signature-bundle.ts.
 */
import { sign, verify } from 'node:crypto';
import { dsse } from '@sigstore/core';
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, isDigest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import type { SigningKey } from '../sigstore/cosign-key.ts';
import { decodeBase64 } from '../sigstore/pem.ts';
import { keyHint, parsePublicKey } from '../sigstore/public-key.ts';
import { restoredFromSchema } from './installed.ts';

export const RECEIPT_MEDIA_TYPE = 'application/vnd.portolan.receipt.v1+json';

const digest = z.custom<Digest>(isDigest, 'a digest');
const text = z.string().min(1).max(4096);

const receiptSchema = z.strictObject({
  mediaType: z.literal(RECEIPT_MEDIA_TYPE),
  /** What the target calls itself, and the key that signs. */
  target: z.strictObject({ place: text, publicKey: text }),
  /** RFC 3339, by the target's clock. */
  at: text,
  bundle: z.strictObject({ name: text, version: text, sequence: z.number().int().positive(), root: digest }),
  features: z.record(z.string(), z.boolean()),
  charts: z.array(
    z.strictObject({ release: text, namespace: text, revision: z.number().int().positive(), chart: digest }),
  ),
  images: z
    .strictObject({
      target: text,
      references: z.array(z.strictObject({ reference: text, digest })),
      /** Every blob of these images that the target was seen to hold when the import ended, sorted. */
      blobs: z.array(digest),
    })
    .optional(),
  migrations: z.strictObject({ applied: z.array(text), deferred: z.array(text) }).optional(),
  /** Of a restore: the snapshot, and what was proved to be as it says. */
  restored: restoredFromSchema.extend({ databases: z.array(text) }).optional(),
});

export type Receipt = z.infer<typeof receiptSchema>;

export function signReceipt(receipt: Receipt, key: SigningKey): Uint8Array {
  const payload = Buffer.from(canonicalJson(receipt));
  const sig = sign('sha256', dsse.preAuthEncoding(RECEIPT_MEDIA_TYPE, payload), {
    key: key.privateKey,
    dsaEncoding: 'der',
  });
  const envelope = {
    payloadType: RECEIPT_MEDIA_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid: key.keyHint, sig: sig.toString('base64') }],
  };
  return new TextEncoder().encode(`${JSON.stringify(envelope)}\n`);
}

const base64 = z.string().refine((value) => decodeBase64(value) !== undefined, 'not base64');
const envelopeSchema = z.strictObject({
  payloadType: z.literal(RECEIPT_MEDIA_TYPE),
  payload: base64,
  signatures: z.tuple([z.strictObject({ keyid: text, sig: base64 })]),
});

/**
 * Reads a receipt and checks that the key it names signed it. Whether that key is the target's, the caller knows or asks.
 *
 * @throws FormatError RECEIPT_INVALID
 */
export function openReceipt(bytes: Uint8Array, file?: string): Receipt & { readonly keyHint: string } {
  const invalid = (problem: string, cause?: unknown) =>
    new FormatError('RECEIPT_INVALID', `The receipt cannot be used: ${problem}`, {
      ...(cause === undefined ? {} : { cause }),
      ...(file === undefined ? {} : { at: { file } }),
      hint: 'Take the receipt from the target again: `portolan bundle import --receipt FILE` writes one at its end.',
    });
  try {
    const { payload, signatures } = envelopeSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    const signed = Buffer.from(payload, 'base64');
    const receipt = receiptSchema.parse(JSON.parse(signed.toString('utf8')));
    const publicKey = parsePublicKey(receipt.target.publicKey);
    const [{ keyid, sig }] = signatures;
    const fits = verify(
      'sha256',
      dsse.preAuthEncoding(RECEIPT_MEDIA_TYPE, signed),
      { key: publicKey, dsaEncoding: 'der' },
      Buffer.from(sig, 'base64'),
    );
    if (!fits || keyid !== keyHint(publicKey)) throw invalid('its signature does not fit');
    return { ...receipt, keyHint: keyid };
  } catch (cause) {
    if (cause instanceof FormatError && cause.code === 'RECEIPT_INVALID') throw cause;
    throw invalid('it is not one', cause);
  }
}
