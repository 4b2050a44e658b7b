import { giveBack } from '../../core/give-back.ts';
import { FormatError } from '../errors.ts';
import { createHeader, openHeader, splitFile } from './header.ts';
import { openPayload, plaintextSizeBytes, sealPayload } from './payload.ts';

/** Seals bytes that are in memory as one binary age file. For small things; pieces go through the sealing engine. */
export async function sealBytes(plaintext: Uint8Array, recipients: readonly string[]): Promise<Uint8Array> {
  const { header, fileKey } = await createHeader(recipients);
  const payload = sealPayload(fileKey, plaintext);
  const file = Buffer.concat([header, payload]);
  giveBack(payload);
  return file;
}

/**
 * Opens a binary age file that is in memory. `maxBytes` bounds the plaintext: SEALED_TOO_LARGE beyond it, before anything
 * is decrypted. Also throws what `openHeader` throws, and AGE_PAYLOAD_DAMAGED.
 */
export async function openBytes(
  file: Uint8Array,
  identities: readonly string[],
  options: { readonly maxBytes: number },
): Promise<Uint8Array> {
  const { header, payload } = splitFile(file);
  const fileKey = await openHeader(header, identities);
  const plaintextBytes = plaintextSizeBytes(payload.length);
  if (plaintextBytes > options.maxBytes) {
    throw new FormatError('SEALED_TOO_LARGE', 'a sealed file is larger than any sane one', {
      expected: `at most ${options.maxBytes} bytes`,
      found: plaintextBytes,
      hint: 'Check that this is the right file.',
    });
  }
  return openPayload(fileKey, payload);
}
