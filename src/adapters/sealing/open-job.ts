import { createHash } from 'node:crypto';
import { digestFromHex } from '../../core/digest.ts';
import { JobAborted, type JobControl } from '../../core/worker-pool.ts';
import {
  CHUNK_BYTES,
  chunkOpener,
  PAYLOAD_NONCE_BYTES,
  payloadKey,
  payloadSizeBytes,
  SEALED_CHUNK_BYTES,
} from '../../formats/age/payload.ts';
import type { OpenJob } from '../../ports/sealing.ts';
import { AdapterError } from '../errors.ts';
import { BATCH_SEALED_BYTES, type BatchBuffers } from './batches.ts';
import { closeSource, openSource, readFully, type SourceFile } from './local-files.ts';
import { isZero, paddingNotZero, pieceDamaged, pieceReadFailure } from './piece-errors.ts';
import { createPieceWriter } from './piece-writer.ts';
import type { OpenRequest } from './requests.ts';

/**
 * Reads a piece once: hashes the ciphertext, opens the chunks, writes the runs asked for. What was written is good only if
 * this returns: the digest of the whole is known last.
 */
export function open(request: OpenRequest, buffers: BatchBuffers, control: JobControl): void {
  const { job } = request;
  const source = openPiece(job);
  const writer = createPieceWriter(job.writes);
  const checkBlobs = blobChecker(job);
  try {
    readPiece(request, source, buffers, control, (plain, offsetBytes) => {
      writer.write(plain, offsetBytes);
      assertZero(job, plain, offsetBytes);
      checkBlobs(plain, offsetBytes);
    });
    writer.end();
  } catch (error) {
    writer.abandon();
    throw pieceReadFailure(job, error);
  } finally {
    closeSource(source);
    request.fileKey.fill(0);
  }
}

function openPiece(job: OpenJob): SourceFile {
  try {
    return openSource(job.path);
  } catch (error) {
    throw pieceReadFailure(job, error);
  }
}

function readPiece(
  request: OpenRequest,
  source: SourceFile,
  buffers: BatchBuffers,
  control: JobControl,
  take: (plain: Uint8Array, offsetBytes: number) => void,
): void {
  const { job, header, fileKey } = request;
  if (source.sizeBytes !== job.expected.sizeBytes) {
    throw pieceDamaged(job, 'it has the wrong size', job.expected.sizeBytes, source.sizeBytes);
  }
  const sizeBytes = header.length + payloadSizeBytes(job.plaintextBytes);
  if (source.sizeBytes !== sizeBytes) {
    throw pieceDamaged(job, `it does not hold ${job.plaintextBytes} bytes`, sizeBytes, source.sizeBytes);
  }
  const hash = job.plaintextIsChecked ? undefined : createHash('sha256');
  const start = new Uint8Array(header.length + PAYLOAD_NONCE_BYTES);
  // The calling thread read the header before; that this one is the same, the digest of the whole tells.
  readFully(source, start, 0);
  hash?.update(start);
  const openChunk = chunkOpener(payloadKey(fileKey, start.subarray(header.length)));
  let read = start.length;
  let plainBytes = 0;
  while (read < sizeBytes) {
    if (control.aborted()) throw new JobAborted();
    const batch = buffers.sealed.subarray(0, Math.min(BATCH_SEALED_BYTES, sizeBytes - read));
    readFully(source, batch, read);
    hash?.update(batch);
    read += batch.length;
    let length = 0;
    for (let from = 0; from < batch.length; from += SEALED_CHUNK_BYTES) {
      const to = Math.min(batch.length, from + SEALED_CHUNK_BYTES);
      const last = read === sizeBytes && to === batch.length;
      length += openChunk(batch.subarray(from, to), buffers.plain, length, last);
    }
    take(buffers.plain.subarray(0, length), plainBytes);
    plainBytes += length;
    control.advance(batch.length);
  }
  if (hash === undefined) return;
  const found = digestFromHex(hash.digest('hex'));
  if (found !== job.expected.digest) throw pieceDamaged(job, 'its digest is wrong', job.expected.digest, found);
}

/** Looks at the part of every zero run that lies in this batch. */
function assertZero(job: OpenJob, plain: Uint8Array, offsetBytes: number): void {
  for (const run of job.zeroRuns) {
    const start = Math.max(run.offsetBytes, offsetBytes);
    const end = Math.min(run.offsetBytes + run.lengthBytes, offsetBytes + plain.length);
    for (let from = start; from < end; from += CHUNK_BYTES) {
      const to = Math.min(end, from + CHUNK_BYTES);
      const bytes = plain.subarray(from - offsetBytes, to - offsetBytes);
      if (!isZero(bytes)) throw paddingNotZero(job, from, to);
    }
  }
}

/** Hashes the blobs that lie whole in the piece, one after the other: they come in order and do not overlap. */
function blobChecker(job: OpenJob): (plain: Uint8Array, offsetBytes: number) => void {
  const blobs = job.wholeBlobs ?? [];
  let next = 0;
  let hash = createHash('sha256');
  return (plain, offsetBytes) => {
    for (let blob = blobs[next]; blob !== undefined; blob = blobs[next]) {
      const end = blob.offsetBytes + blob.lengthBytes;
      const from = Math.max(blob.offsetBytes, offsetBytes);
      const to = Math.min(end, offsetBytes + plain.length);
      if (from < to) hash.update(plain.subarray(from - offsetBytes, to - offsetBytes));
      if (end > offsetBytes + plain.length) return;
      const found = digestFromHex(hash.digest('hex'));
      if (found !== blob.digest) {
        throw new AdapterError('PIECE_BLOB_NOT_TRUE', 'a blob inside a piece is not what the contents say', {
          at: { file: job.path, digest: blob.digest },
          expected: blob.digest,
          found,
          hint: 'The bundle was packed wrongly: do not use it, and ask its publisher for a new one.',
        });
      }
      hash = createHash('sha256');
      next++;
    }
  };
}
