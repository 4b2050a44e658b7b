/**
 * The public half of a signing key: SubjectPublicKeyInfo in DER (RFC 5480) of a P-256 key, 91 bytes, as PEM `PUBLIC KEY`:
 * the file that cosign calls cosign.pub. docs/format-bundle.md, "Signature".
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { FormatError } from '../errors.ts';
import { decodePem } from './pem.ts';

/** More than a thousand keys; a key is 178 bytes of PEM. */
export const PUBLIC_KEY_FILE_MAX_BYTES = 256 * 1024;

const P256_SPKI_BYTES = 91;

/** The name under which a signature speaks of its key: base64 of the SHA-256 of the key in DER, as cosign writes it. */
export type KeyHint = string & { readonly __brand: 'KeyHint' };

const HINT_PATTERN = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

export function isKeyHint(text: unknown): text is KeyHint {
  return typeof text === 'string' && HINT_PATTERN.test(text);
}

export function keyHint(publicKey: KeyObject): KeyHint {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('base64') as KeyHint;
}

/**
 * One public key in PEM.
 * @throws FormatError PUBLIC_KEY_INVALID, PUBLIC_KEY_UNSUPPORTED, KEY_TOO_LARGE
 */
export function parsePublicKey(pem: Uint8Array | string, file?: string): KeyObject {
  const keys = parsePublicKeys(pem, file);
  const [key] = keys;
  if (key === undefined || keys.length !== 1) {
    throw invalid('one public key is wanted here', file, { expected: 1, found: keys.length });
  }
  return key;
}

/**
 * One or several public keys in PEM, one after the other.
 * @throws FormatError PUBLIC_KEY_INVALID, PUBLIC_KEY_UNSUPPORTED, KEY_TOO_LARGE
 */
export function parsePublicKeys(pem: Uint8Array | string, file?: string): readonly KeyObject[] {
  if (pem.length > PUBLIC_KEY_FILE_MAX_BYTES) throw keyTooLarge(PUBLIC_KEY_FILE_MAX_BYTES, pem.length, file);
  const blocks = decodePem(typeof pem === 'string' ? pem : new TextDecoder('latin1').decode(pem));
  if (blocks === undefined) throw invalid('a PEM block of the public key is damaged', file);
  if (blocks.length === 0)
    throw invalid('no public key in PEM form is there', file, { hint: 'Give the file cosign.pub of the publisher.' });
  return blocks.map(({ label, der }) => {
    if (label.includes('PRIVATE')) {
      // The content stays out of the error: it may be an unprotected secret.
      throw invalid('a private key was given where a public key belongs', file, {
        hint: 'Give cosign.pub; `cosign public-key --key cosign.key` prints it. Keep the private key to its owner.',
      });
    }
    if (label !== 'PUBLIC KEY') {
      throw invalid('the PEM block is not a public key', file, { expected: 'PUBLIC KEY', found: label.slice(0, 64) });
    }
    return parseSpki(der, file);
  });
}

/** @throws FormatError PUBLIC_KEY_INVALID, PUBLIC_KEY_UNSUPPORTED */
export function parseSpki(der: Uint8Array, file?: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
  } catch (cause) {
    throw invalid('the public key does not decode', file, { cause });
  }
  if (!isP256(key)) {
    throw new FormatError('PUBLIC_KEY_UNSUPPORTED', 'the public key is not an ECDSA key on the curve P-256', {
      expected: 'ECDSA P-256',
      found: describeKey(key),
      hint: 'Use the key pair that `cosign generate-key-pair` makes.',
      ...place(file),
    });
  }
  // Compressed points and explicit parameters decode to the same key: one key must have one spelling, and so one hint.
  if (der.length !== P256_SPKI_BYTES || !key.export({ type: 'spki', format: 'der' }).equals(der)) {
    throw invalid('the public key is written in an unusual form', file, {
      hint: 'Write it as an uncompressed P-256 key, as cosign does.',
    });
  }
  return key;
}

export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

/** Kind and curve or length of a key, and nothing of the key itself. */
export function describeKey(key: KeyObject): string {
  const details = key.asymmetricKeyDetails;
  const size = details?.namedCurve ?? (details?.modulusLength === undefined ? '' : `${details.modulusLength} bits`);
  return `${key.asymmetricKeyType ?? 'unknown'} ${size}`.trim();
}

export function keyTooLarge(maxBytes: number, found: number, file?: string): FormatError {
  return new FormatError('KEY_TOO_LARGE', 'the file is far larger than any file of keys', {
    expected: `at most ${maxBytes} bytes`,
    found: `${found} bytes`,
    ...place(file),
  });
}

function invalid(
  message: string,
  file: string | undefined,
  details: { cause?: unknown; expected?: string | number; found?: string | number; hint?: string } = {},
): FormatError {
  return new FormatError('PUBLIC_KEY_INVALID', message, { ...details, ...place(file) });
}

function place(file: string | undefined): { at?: { file: string } } {
  return file === undefined ? {} : { at: { file } };
}
