import type { Digest } from '../core/digest.ts';
import type { PieceContent } from '../formats/bundle/packing.ts';

/** What a sealed piece holds, and the file that holds it. */
export interface CachedPiece {
  readonly content: PieceContent;
  /** Of the ciphertext. */
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The file's `BlobFacts.fingerprint` when its content was last known to be right. */
  readonly fingerprint: string;
}

/**
 * Remembers which sealed piece holds which content, for one set of recipients and one piece size. It holds no ciphertext:
 * that lies on the media. Losing it costs time only.
 */
export interface PieceCache {
  /** Newest first. Entries that cannot be read are left out. */
  read(key: PieceCacheKey): Promise<CachedPiece[]>;
  /** Remembers at once, so that an interrupted build goes on where it was. */
  append(key: PieceCacheKey, piece: CachedPiece): Promise<void>;
}

export interface PieceCacheKey {
  readonly recipients: readonly string[];
  readonly pieceSizeBytes: number;
}
