/**
 * An encrypted private key file of cosign (cosign.key).
 *
 *   PEM, label ENCRYPTED SIGSTORE PRIVATE KEY (or, from older versions, ENCRYPTED COSIGN PRIVATE KEY), around JSON:
 *   { "kdf":    { "name": "scrypt", "params": { "N", "r", "p" }, "salt": base64, 32 bytes },
 *     "cipher": { "name": "nacl/secretbox", "nonce": base64, 24 bytes },
 *     "ciphertext": base64 of XSalsa20-Poly1305 over the PKCS #8 key in DER }
 *
 * That JSON is the form of go-securesystemslib's package `encrypted`. Its parameters are not authenticated before the key
 * is derived, so only the three sets that the package itself writes are taken: anything else could ask for any amount of
 * memory and time. Nothing of the key's content goes into an error, not even as a cause.
 */
import { createPrivateKey, createPublicKey, type KeyObject, scrypt } from 'node:crypto';
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import { decodeBase64, decodePem } from './pem.ts';
import { describeKey, isP256, type KeyHint, keyHint, keyTooLarge } from './public-key.ts';

/** A real one has about 650 bytes. */
export const COSIGN_KEY_MAX_BYTES = 16 * 1024;

export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly keyHint: KeyHint;
}

/** Work factors of scrypt that the package `encrypted` writes: legacy, standard and OWASP. */
const SCRYPT_COSTS: readonly number[] = [2 ** 15, 2 ** 16, 2 ** 17];
const SCRYPT_BLOCK_SIZE = 8;
const LABEL = 'ENCRYPTED SIGSTORE PRIVATE KEY';
const LEGACY_LABEL = 'ENCRYPTED COSIGN PRIVATE KEY';

const base64 = z.string().transform((text, context) => {
  const bytes = decodeBase64(text);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: 'custom', message: 'not base64' });
  return z.NEVER;
});
const bytesOfLength = (length: number) => base64.refine((bytes) => bytes.length === length, `not ${length} bytes`);
const fileSchema = z.object({
  kdf: z.object({
    name: z.string(),
    params: z.object({ N: z.number(), r: z.number(), p: z.number() }),
    salt: bytesOfLength(32),
  }),
  cipher: z.object({ name: z.string(), nonce: bytesOfLength(24) }),
  ciphertext: base64,
});

/**
 * Opens a cosign.key. Takes about 0.2 s and, for that time, 64 to 128 MiB of memory: scrypt is made to.
 * @throws FormatError WRONG_PASSWORD, SIGNING_KEY_INVALID, SIGNING_KEY_UNSUPPORTED, KEY_TOO_LARGE
 */
export async function openCosignKey(
  fileBytes: Uint8Array,
  password: Uint8Array | string,
  options: { readonly file?: string; readonly signal?: AbortSignal } = {},
): Promise<SigningKey> {
  const { file, signal } = options;
  const sealed = decodeCosignKey(fileBytes, file);
  signal?.throwIfAborted();
  const boxKey = await deriveKey(password, sealed.salt, sealed.scryptCost);
  signal?.throwIfAborted();
  let der: Uint8Array;
  try {
    der = xsalsa20poly1305(boxKey, sealed.nonce).decrypt(sealed.ciphertext);
  } catch {
    throw new FormatError('WRONG_PASSWORD', 'the password does not open the signing key', {
      ...place(file),
      hint: 'Give the password of this cosign.key. If it is surely right, the file is damaged.',
    });
  } finally {
    boxKey.fill(0);
  }
  try {
    return toSigningKey(der, file);
  } finally {
    der.fill(0);
  }
}

interface SealedKey {
  readonly scryptCost: number;
  readonly salt: Uint8Array;
  readonly nonce: Uint8Array;
  readonly ciphertext: Uint8Array;
}

function decodeCosignKey(fileBytes: Uint8Array, file: string | undefined): SealedKey {
  if (fileBytes.length > COSIGN_KEY_MAX_BYTES) throw keyTooLarge(COSIGN_KEY_MAX_BYTES, fileBytes.length, file);
  const blocks = decodePem(new TextDecoder('latin1').decode(fileBytes));
  const [block] = blocks ?? [];
  if (block === undefined || blocks?.length !== 1) {
    throw invalid('not a private key file of cosign: one PEM block is expected', file);
  }
  if (block.label !== LABEL && block.label !== LEGACY_LABEL) throw otherLabel(block.label, file);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(block.der));
  } catch {
    throw invalid('the PEM block of the private key does not hold JSON', file);
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(`a member of the private key file is wrong: ${issue?.message}`, file, issue?.path.join('.'));
  }
  const { kdf, cipher, ciphertext } = parsed.data;
  if (kdf.name !== 'scrypt') throw unsupported('another key derivation than scrypt', 'scrypt', kdf.name, file);
  if (cipher.name !== 'nacl/secretbox') {
    throw unsupported('another cipher than secretbox', 'nacl/secretbox', cipher.name, file);
  }
  const { N, r, p } = kdf.params;
  if (!SCRYPT_COSTS.includes(N) || r !== SCRYPT_BLOCK_SIZE || p !== 1) {
    const expected = `N of ${SCRYPT_COSTS.join(', ')}, r = 8, p = 1`;
    throw unsupported('unusual work factors of scrypt', expected, `N = ${N}, r = ${r}, p = ${p}`, file);
  }
  return { scryptCost: N, salt: kdf.salt, nonce: cipher.nonce, ciphertext };
}

function deriveKey(password: Uint8Array | string, salt: Uint8Array, cost: number): Promise<Buffer> {
  // scrypt needs 128 * N * r bytes and a little more.
  const maxmem = 128 * cost * SCRYPT_BLOCK_SIZE + 1024 * 1024;
  return new Promise((resolve, reject) => {
    scrypt(password, salt, 32, { N: cost, r: SCRYPT_BLOCK_SIZE, p: 1, maxmem }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

function toSigningKey(der: Uint8Array, file: string | undefined): SigningKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey({
      key: Buffer.from(der.buffer, der.byteOffset, der.length),
      format: 'der',
      type: 'pkcs8',
    });
  } catch {
    throw invalid('the password is right, but what it opens is not a private key', file);
  }
  if (!isP256(privateKey)) {
    throw unsupported('a key that is not ECDSA on the curve P-256', 'ECDSA P-256', describeKey(privateKey), file);
  }
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, keyHint: keyHint(publicKey) };
}

function otherLabel(label: string, file: string | undefined): FormatError {
  const hint = label.includes('PRIVATE')
    ? 'Only password-protected keys are used: turn this one into cosign.key with `cosign import-key-pair --key FILE`.'
    : 'Give the private key file, cosign.key. Verifying takes the public one, signing the private one.';
  return new FormatError('SIGNING_KEY_UNSUPPORTED', 'the file is not an encrypted private key of cosign', {
    expected: LABEL,
    found: label.slice(0, 64),
    hint,
    ...place(file),
  });
}

function unsupported(what: string, expected: string, found: string, file: string | undefined): FormatError {
  return new FormatError('SIGNING_KEY_UNSUPPORTED', `the private key file has ${what}`, {
    expected,
    found: found.slice(0, 64),
    hint: 'Use the key pair that `cosign generate-key-pair` makes.',
    ...place(file),
  });
}

function invalid(message: string, file: string | undefined, key?: string): FormatError {
  return new FormatError('SIGNING_KEY_INVALID', message, {
    hint: 'Give the file cosign.key that `cosign generate-key-pair` wrote.',
    at: { ...(file === undefined ? {} : { file }), ...(key === undefined ? {} : { key }) },
  });
}

function place(file: string | undefined): { at?: { file: string } } {
  return file === undefined ? {} : { at: { file } };
}
