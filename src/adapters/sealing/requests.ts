import type { Digest } from '../../core/digest.ts';
import type { DigestJob, OpenJob, SealedPiece, SealedRun, SealJob } from '../../ports/sealing.ts';

/** What is done before a sealed piece counts as written. `none` leaves it to the caller to sync the file system. */
export type SyncMode = 'fsync' | 'fdatasync' | 'none';

export interface SealRequest {
  readonly kind: 'seal';
  readonly job: SealJob;
  readonly header: Uint8Array;
  readonly fileKey: Uint8Array;
  readonly sync: SyncMode;
}

interface DigestRequest {
  readonly kind: 'digest';
  readonly job: DigestJob;
}

export interface OpenRequest {
  readonly kind: 'open';
  /** Writes and whole blobs in order of their offset in the piece. */
  readonly job: OpenJob;
  readonly header: Uint8Array;
  readonly fileKey: Uint8Array;
}

/** Opens runs of pieces, one after the other. */
export interface RunsRequest {
  readonly kind: 'runs';
  readonly runs: readonly (SealedRun & { readonly header: Uint8Array; readonly fileKey: Uint8Array })[];
  /** The SHA-256 of what was opened, or the bytes, or nothing once every byte was seen to be zero. */
  readonly result: 'digest' | 'bytes' | 'zero';
  /** Memory for the bytes, which then are not sent back. */
  readonly into?: SharedArrayBuffer;
}

/** What the engine asks of a worker. Keys travel by structured clone between threads of one process. */
export type SealingRequest = SealRequest | DigestRequest | OpenRequest | RunsRequest;
export type SealingReply = SealedPiece | Digest | Uint8Array | undefined;
