/**
 * The signing key of a target (docs/format-target.md, "target-key"): an ECDSA key on P-256 as PKCS #8 in PEM. It is made by
 * the first import, never leaves the target, and signs receipts. Whoever may read the target's state may read it: it
 * says "this target", not "this person".
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { SigningKey } from '../sigstore/cosign-key.ts';
import { isP256, keyHint } from '../sigstore/public-key.ts';
import { stateInvalid } from './installed.ts';

export const TARGET_KEY_NAME = 'target-key';

export function createTargetKey(): Uint8Array {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return new TextEncoder().encode(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
}

/** @throws FormatError TARGET_STATE_INVALID */
export function parseTargetKey(pem: Uint8Array, place: string): SigningKey {
  try {
    const privateKey = createPrivateKey(Buffer.from(pem));
    if (!isP256(privateKey)) throw new Error('another kind of key');
    const publicKey = createPublicKey(privateKey);
    return { privateKey, publicKey, keyHint: keyHint(publicKey) };
  } catch {
    // Nothing of the key goes into an error, not even as a cause.
    throw stateInvalid('the signing key of the target is not a P-256 key', place);
  }
}
