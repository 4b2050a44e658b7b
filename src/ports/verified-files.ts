import type { LocalBlob } from './blobs.ts';

/**
 * Remembers for a short time which files were hashed and found to be what their digest says, so that a build right after
 * another does not hash the same layers again. Losing it costs time only.
 */
export interface VerifiedFiles {
  /** True when the file was found right not long ago and its fingerprint is still the same. */
  has(blob: LocalBlob, fingerprint: string): Promise<boolean>;
  add(blob: LocalBlob, fingerprint: string): Promise<void>;
}
