import type { Digest } from '../core/digest.ts';

/** A run of bytes of a local file that goes into a piece. */
export interface PieceSegment {
  readonly path: string;
  /** Offset in the file, bytes. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Set when the segment is a whole blob: its SHA-256 is checked on the very bytes that are sealed. */
  readonly wholeBlob?: Digest;
}

/** Seals one piece: the segments end to end, then zeros up to `plaintextBytes`, as one age file at `outPath`. */
export interface SealJob {
  readonly segments: readonly PieceSegment[];
  readonly plaintextBytes: number;
  /** A temporary name on the target's file system. Written, synced, not renamed. */
  readonly outPath: string;
}

export interface SealedPiece {
  /** Of the ciphertext, the whole age file. */
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Hashes `lengthBytes` of a file. */
export interface DigestJob {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Where a run of an opened piece's plaintext goes. */
export interface PieceWrite {
  readonly pieceOffsetBytes: number;
  readonly lengthBytes: number;
  /** An existing file, written in place at `fileOffsetBytes` (several workers may write one file). */
  readonly path: string;
  readonly fileOffsetBytes: number;
}

/** Opens one piece: checks the ciphertext's size and digest, authenticates every chunk, writes the runs asked for, and
 * checks that every byte in `zeroRuns` is zero. */
export interface OpenJob {
  readonly path: string;
  readonly expected: SealedPiece;
  readonly plaintextBytes: number;
  readonly writes: readonly PieceWrite[];
  readonly zeroRuns: readonly { readonly offsetBytes: number; readonly lengthBytes: number }[];
  /**
   * Set when the caller holds every byte of the plaintext against digests of its own: the ciphertext's digest then tells
   * nothing more and is not computed. Its size is checked all the same, and each chunk authenticated.
   */
  readonly plaintextIsChecked?: boolean;
  /** Blobs that lie whole in this piece: their SHA-256 is checked on the opened bytes. */
  readonly wholeBlobs?: readonly PieceBlob[];
}

interface PieceBlob {
  readonly digest: Digest;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** A run of a sealed piece's plaintext. */
export interface SealedRun {
  readonly path: string;
  readonly expected: SealedPiece;
  readonly plaintextBytes: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * The worker pool. Each call resolves when its job is done; calls beyond the number of workers wait in line in the order
 * in which they were made. A failed job rejects alone. `close` ends the workers.
 */
export interface SealingEngine {
  readonly workers: number;
  seal(job: SealJob, recipients: readonly string[], options?: EngineOptions): Promise<SealedPiece>;
  digest(job: DigestJob, options?: EngineOptions): Promise<Digest>;
  open(job: OpenJob, identities: readonly string[], options?: EngineOptions): Promise<void>;
  /**
   * SHA-256 of the opened runs, end to end: a blob that lies in several pieces. Reads only the chunks that the runs touch,
   * so the pieces' own digests are not checked.
   */
  digestSealed(runs: readonly SealedRun[], identities: readonly string[], options?: EngineOptions): Promise<Digest>;
  /** The opened runs, end to end, in memory: for small blobs, and for small parts of large ones. */
  readSealed(runs: readonly SealedRun[], identities: readonly string[], options?: ReadOptions): Promise<Uint8Array>;
  /** Rejects with PIECE_PADDING_NOT_ZERO unless every byte of the opened runs is zero. */
  assertZero(runs: readonly SealedRun[], identities: readonly string[], options?: EngineOptions): Promise<void>;
  close(): Promise<void>;
}

export interface ReadOptions extends EngineOptions {
  /**
   * Where the bytes go, from its start; what is returned is the part of it that was filled. Memory that serves again and again
   * costs much less than new memory for each read. Nothing else may touch it until the promise is settled.
   */
  readonly into?: SharedArrayBuffer;
}

export interface EngineOptions {
  readonly signal?: AbortSignal;
  /** Called now and then with the bytes that were read since the call before. */
  readonly onBytes?: (bytes: number) => void;
}
