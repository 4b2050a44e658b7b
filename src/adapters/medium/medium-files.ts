import type { Digest } from '../../core/digest.ts';
import type { BlobFacts } from '../../ports/medium.ts';
import { AdapterError } from '../errors.ts';
import { fingerprintOf } from '../files/fingerprint.ts';
import { statPlain } from '../files/plain-file.ts';

/** `undefined` when no plain file is there: a link or a device in the place of a blob is as good as nothing. */
export async function factsOf(path: string): Promise<BlobFacts | undefined> {
  const facts = await statPlain(path);
  return facts?.isFile() ? { sizeBytes: facts.size, fingerprint: await fingerprintOf(path) } : undefined;
}

export function blobMissing(file: string, digest: Digest): AdapterError {
  return new AdapterError('BLOB_MISSING', 'A file of the bundle is missing', {
    at: { file, digest },
    hint: 'Copy the bundle again from where it came from.',
  });
}

export function blobDamaged(file: string, expected: Digest, found: Digest | undefined): AdapterError {
  return new AdapterError('BLOB_DAMAGED', 'A file of the bundle is not what the bundle says', {
    expected,
    ...(found === undefined ? {} : { found }),
    at: { file, digest: expected },
    hint: 'Copy the bundle again from where it came from.',
  });
}

/** A file was written and synced, and its disk gives back something else. */
export function readBackFailed(file: string, expected: Digest, found: Digest): AdapterError {
  return new AdapterError('READ_BACK_FAILED', 'The medium gives back something else than was written', {
    expected,
    found,
    at: { file },
    hint: 'Use another medium: this one loses data. The file did not get its name.',
  });
}
