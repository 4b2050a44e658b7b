import { createHash } from 'node:crypto';
import { digestFromHex } from '../../core/digest.ts';
import type { BlobStream } from '../../ports/image-target.ts';
import { AdapterError } from '../errors.ts';

export interface CheckOptions {
  /** Hash as well as count. Not needed where the one who takes the bytes does. */
  readonly hash: boolean;
  readonly signal?: AbortSignal;
}

/**
 * A blob's bytes on their way to a target. Ends with an error instead of its last part where there is too much, and after
 * it where there is too little or the digest is another one: what is written must get its name only after the end.
 *
 * @throws AdapterError BLOB_SIZE_MISMATCH, BLOB_DIGEST_MISMATCH; the signal's reason
 */
export async function* checkedBytes(blob: BlobStream, options: CheckOptions): AsyncGenerator<Uint8Array> {
  const hash = options.hash ? createHash('sha256') : undefined;
  let passedBytes = 0;
  for await (const part of blob.bytes) {
    options.signal?.throwIfAborted();
    passedBytes += part.length;
    if (passedBytes > blob.sizeBytes) throw sizeMismatch(blob, `more than ${blob.sizeBytes} bytes`);
    hash?.update(part);
    yield part;
  }
  if (passedBytes !== blob.sizeBytes) throw sizeMismatch(blob, `${passedBytes} bytes`);
  if (hash === undefined) return;
  const found = digestFromHex(hash.digest('hex'));
  if (found === blob.digest) return;
  throw new AdapterError('BLOB_DIGEST_MISMATCH', 'A blob of an image does not have the digest that the bundle says', {
    expected: blob.digest,
    found,
    at: { digest: blob.digest },
    hint: 'Copy the bundle again from where it came from. The image did not get its name.',
  });
}

function sizeMismatch({ digest, sizeBytes }: BlobStream, found: string): AdapterError {
  return new AdapterError('BLOB_SIZE_MISMATCH', 'A blob of an image is not as long as the bundle says', {
    expected: `${sizeBytes} bytes`,
    found,
    at: { digest },
    hint: 'Copy the bundle again from where it came from. The image did not get its name.',
  });
}
