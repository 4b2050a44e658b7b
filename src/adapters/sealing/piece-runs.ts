import type { OpenJob } from '../../ports/sealing.ts';
import { AdapterError } from '../errors.ts';
import type { PieceFile } from './piece-errors.ts';

/** Sorts the runs as the worker wants them. PIECE_RUN_OUT_OF_RANGE when one leaves the piece. */
export function inOrder(job: OpenJob): OpenJob {
  const wholeBlobs = job.wholeBlobs ?? [];
  for (const write of job.writes) assertInside(job, write.pieceOffsetBytes, write.lengthBytes);
  for (const run of [...job.zeroRuns, ...wholeBlobs]) assertInside(job, run.offsetBytes, run.lengthBytes);
  return {
    ...job,
    writes: job.writes.toSorted((a, b) => a.pieceOffsetBytes - b.pieceOffsetBytes),
    wholeBlobs: wholeBlobs.toSorted((a, b) => a.offsetBytes - b.offsetBytes),
  };
}

/** Where runs lie comes from inside a bundle: a worker must never follow one out of its piece. */
export function assertInside(
  piece: PieceFile & { readonly plaintextBytes: number },
  offsetBytes: number,
  lengthBytes: number,
): void {
  const end = offsetBytes + lengthBytes;
  if (offsetBytes >= 0 && lengthBytes >= 0 && end <= piece.plaintextBytes && Number.isSafeInteger(end)) return;
  throw new AdapterError('PIECE_RUN_OUT_OF_RANGE', 'a run of bytes lies outside of its piece', {
    at: { file: piece.path, digest: piece.expected.digest },
    expected: `within ${piece.plaintextBytes} bytes`,
    found: `${lengthBytes} bytes at ${offsetBytes}`,
    hint: 'Do not use this bundle; ask its publisher to build it again.',
  });
}
