/**
 * placement.json, the second sealed list (docs/format-bundle.md, "placement.json"): where each blob lies.
 * An extent is `[piece, offset, length]`: piece counts the manifest's layers after the lists from 0; offset and length
 * are bytes of the piece's plaintext. A blob is its extents end to end. What no extent covers is zero.
 */
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, isDigest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import { type Contents, parseListJson } from './contents.ts';
import { PLACEMENT_MEDIA_TYPE } from './media-types.ts';

const PIECE_SIZE_MIN_BYTES = 64 * 1024;
export const PIECE_SIZE_MAX_BYTES = 1024 * 1024 * 1024;

const digest = z.custom<Digest>(isDigest, 'a digest');
const count = z.number().int().nonnegative();

const placementSchema = z.strictObject({
  mediaType: z.literal(PLACEMENT_MEDIA_TYPE),
  /** Of the contents.json that this placement belongs to. */
  root: digest,
  pieceSizeBytes: z.number().int().min(PIECE_SIZE_MIN_BYTES).max(PIECE_SIZE_MAX_BYTES),
  pieces: count,
  blobs: z.array(z.strictObject({ digest, extents: z.array(z.tuple([count, count, z.number().int().positive()])) })),
});

export type Placement = z.infer<typeof placementSchema>;
export type Extent = Placement['blobs'][number]['extents'][number];

export function encodePlacement(placement: Placement): Uint8Array {
  return new TextEncoder().encode(canonicalJson(placement));
}

/** @throws FormatError PLACEMENT_INVALID */
export function decodePlacement(bytes: Uint8Array): Placement {
  return parseListJson(bytes, placementSchema, 'placement.json', 'PLACEMENT_INVALID');
}

/** A run of one piece's plaintext that belongs to a blob. */
export interface PieceRun {
  readonly digest: Digest;
  /** Offset in the blob, bytes. */
  readonly blobOffsetBytes: number;
  readonly pieceOffsetBytes: number;
  readonly lengthBytes: number;
}

/** What one piece holds: runs in order of their offset, and the gaps between them, which are zero. */
export interface PiecePlan {
  readonly runs: readonly PieceRun[];
  readonly zeroRuns: readonly { readonly offsetBytes: number; readonly lengthBytes: number }[];
}

/**
 * Holds the placement against the contents: every blob whole, nothing beyond a piece, no two runs on the same bytes.
 *
 * @returns one plan for each piece.
 * @throws FormatError PLACEMENT_INVALID
 */
export function planPieces(contents: Contents, placement: Placement, pieceCount: number): PiecePlan[] {
  if (placement.pieces !== pieceCount) {
    throw invalid('the number of pieces is not that of the manifest', {
      expected: pieceCount,
      found: placement.pieces,
    });
  }
  const sizes = new Map(contents.blobs.map((blob) => [blob.digest, blob.sizeBytes]));
  const runs: PieceRun[][] = Array.from({ length: pieceCount }, () => []);
  for (const { digest: blob, extents } of placement.blobs) {
    const sizeBytes = sizes.get(blob);
    if (sizeBytes === undefined) throw invalid(`blob ${blob} is placed, but not part of the contents, or placed twice`);
    sizes.delete(blob);
    let blobOffsetBytes = 0;
    for (const [piece, pieceOffsetBytes, lengthBytes] of extents) {
      if (pieceOffsetBytes + lengthBytes > placement.pieceSizeBytes)
        throw invalid(`blob ${blob} reaches beyond piece ${piece}`);
      const inPiece = runs[piece];
      if (inPiece === undefined) throw invalid(`blob ${blob} lies in piece ${piece}, which does not exist`);
      inPiece.push({ digest: blob, blobOffsetBytes, pieceOffsetBytes, lengthBytes });
      blobOffsetBytes += lengthBytes;
    }
    if (blobOffsetBytes !== sizeBytes) {
      throw invalid(`blob ${blob} is not placed whole`, { expected: sizeBytes, found: blobOffsetBytes });
    }
  }
  for (const [blob] of sizes) throw invalid(`blob ${blob} has no place`);
  return runs.map((inPiece, piece) => withGaps(inPiece, piece, placement.pieceSizeBytes));
}

function withGaps(runs: PieceRun[], piece: number, pieceSizeBytes: number): PiecePlan {
  runs.sort((a, b) => a.pieceOffsetBytes - b.pieceOffsetBytes);
  const zeroRuns: { offsetBytes: number; lengthBytes: number }[] = [];
  let offsetBytes = 0;
  for (const run of runs) {
    if (run.pieceOffsetBytes < offsetBytes) throw invalid(`two blobs lie on the same bytes of piece ${piece}`);
    if (run.pieceOffsetBytes > offsetBytes)
      zeroRuns.push({ offsetBytes, lengthBytes: run.pieceOffsetBytes - offsetBytes });
    offsetBytes = run.pieceOffsetBytes + run.lengthBytes;
  }
  if (offsetBytes < pieceSizeBytes) zeroRuns.push({ offsetBytes, lengthBytes: pieceSizeBytes - offsetBytes });
  return { runs, zeroRuns };
}

function invalid(message: string, details: { expected?: number; found?: number } = {}): FormatError {
  return new FormatError('PLACEMENT_INVALID', `placement.json: ${message}`, {
    ...details,
    at: { file: 'placement.json' },
  });
}
