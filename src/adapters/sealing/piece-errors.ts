import { FormatError } from '../../formats/errors.ts';
import type { SealedPiece } from '../../ports/sealing.ts';
import { AdapterError } from '../errors.ts';

/** A piece on the medium, as the signed manifest has it. */
export interface PieceFile {
  readonly path: string;
  readonly expected: SealedPiece;
}

export function pieceDamaged(
  job: PieceFile,
  why: string,
  expected: string | number = job.expected.digest,
  found?: string | number,
  cause?: unknown,
): AdapterError {
  return new AdapterError('PIECE_DAMAGED', `a piece is damaged: ${why}`, {
    at: { file: job.path, digest: job.expected.digest },
    expected,
    hint: 'Fetch this file from a good copy of the bundle.',
    ...(found === undefined ? {} : { found }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Tells failures of reading a piece in terms of pieces; leaves all others as they are. */
export function pieceReadFailure(job: PieceFile, error: unknown): unknown {
  if (error instanceof FormatError && error.code === 'AGE_PAYLOAD_DAMAGED') {
    return pieceDamaged(job, 'a part of it does not authenticate', job.expected.digest, undefined, error);
  }
  if (!(error instanceof AdapterError) || error.at?.file !== job.path) return error;
  if (error.code === 'FILE_MISSING') {
    return new AdapterError('PIECE_MISSING', 'a piece is missing', {
      at: { file: job.path, digest: job.expected.digest },
      expected: job.expected.digest,
      cause: error.cause,
      hint: 'Fetch this file from a good copy of the bundle.',
    });
  }
  if (error.code === 'SOURCE_CHANGED') {
    return pieceDamaged(job, 'it changed while it was read', job.expected.sizeBytes, error.found);
  }
  return error;
}

const ZEROS = new Uint8Array(1024 * 1024);

/** At most 1 MiB at a time. */
export function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}

/** Offsets are bytes of the piece's plaintext. */
export function paddingNotZero(piece: PieceFile, from: number, to: number): AdapterError {
  return new AdapterError('PIECE_PADDING_NOT_ZERO', 'the padding of a piece is not zero', {
    at: { file: piece.path, digest: piece.expected.digest },
    expected: 'zeros',
    found: `other bytes between ${from} and ${to}`,
    hint: 'Do not use this bundle; ask its publisher how it was made.',
  });
}
