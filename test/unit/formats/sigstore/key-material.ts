import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, scryptSync } from 'node:crypto';
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import type { SigningKey } from '../../../../src/formats/sigstore/cosign-key.ts';
import { keyHint } from '../../../../src/formats/sigstore/public-key.ts';
import type { TrustedKey } from '../../../../src/formats/sigstore/signature-bundle.ts';

export function newSigningKey(curve = 'prime256v1'): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
  return { privateKey, publicKey, keyHint: keyHint(publicKey) };
}

export function trusting(key: SigningKey, name = 'test'): TrustedKey {
  return { keyHint: key.keyHint, name, publicKey: createPublicKey(key.privateKey) };
}

export function pemOf(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

export const publicPem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();

/** A cosign.key as go-securesystemslib writes it; `change` alters the JSON before it is wrapped. */
export function cosignKeyFile(
  privateKey: KeyObject,
  password: string,
  options: { label?: string; cost?: number; change?: (json: Record<string, never>) => unknown } = {},
): Uint8Array {
  const { label = 'ENCRYPTED SIGSTORE PRIVATE KEY', cost = 2 ** 15 } = options;
  return sealedFile(privateKey.export({ type: 'pkcs8', format: 'der' }), password, { ...options, label, cost });
}

export function sealedFile(
  plaintext: Uint8Array,
  password: string,
  options: { label?: string; cost?: number; change?: (json: Record<string, never>) => unknown } = {},
): Uint8Array {
  const { label = 'ENCRYPTED SIGSTORE PRIVATE KEY', cost = 2 ** 15, change = (json) => json } = options;
  const [salt, nonce] = [randomBytes(32), randomBytes(24)];
  const boxKey = scryptSync(password, salt, 32, { N: cost, r: 8, p: 1, maxmem: 256 * 1024 * 1024 });
  const json = {
    kdf: { name: 'scrypt', params: { N: cost, r: 8, p: 1 }, salt: salt.toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: nonce.toString('base64') },
    ciphertext: Buffer.from(xsalsa20poly1305(boxKey, nonce).encrypt(plaintext)).toString('base64'),
  };
  return Buffer.from(pemOf(label, Buffer.from(JSON.stringify(change(json as unknown as Record<string, never>)))));
}
