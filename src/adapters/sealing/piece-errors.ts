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
