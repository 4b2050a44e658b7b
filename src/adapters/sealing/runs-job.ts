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
import { BATCH_SEALED_BYTES, type BatchBuffers } from './batches.ts';
import { closeSource, openSource, readFully } from './local-files.ts';
import { isZero, paddingNotZero, pieceDamaged, pieceReadFailure } from './piece-errors.ts';
import type { RunsRequest, SealingReply } from './requests.ts';

type Run = RunsRequest['runs'][number];

/**
 * Opens the chunks that the runs touch, and no others: each chunk is authenticated for itself. The runs lie inside of
 * their pieces: the engine has checked that.
 */
export function openRuns(request: RunsRequest, buffers: BatchBuffers, control: JobControl): SealingReply {
  const hash = createHash('sha256');
  const bytes = new Uint8Array(
    request.result === 'bytes' ? request.runs.reduce((sum, run) => sum + run.lengthBytes, 0) : 0,
  );
  let length = 0;
  for (const run of request.runs) {
    try {
      openRun(run, buffers, control, (part) => {
        if (request.result === 'digest') hash.update(part);
        else if (request.result === 'bytes') bytes.set(part, length);
        else if (!isZero(part)) throw paddingNotZero(run, run.offsetBytes, run.offsetBytes + run.lengthBytes);
        length += part.length;
      });
    } catch (error) {
      throw pieceReadFailure(run, error);
    } finally {
      run.fileKey.fill(0);
    }
  }
  if (request.result === 'zero') return undefined;
  return request.result === 'digest' ? digestFromHex(hash.digest('hex')) : bytes;
}

function openRun(run: Run, buffers: BatchBuffers, control: JobControl, take: (part: Uint8Array) => void): void {
  const source = openSource(run.path);
  try {
    const payloadStart = run.header.length + PAYLOAD_NONCE_BYTES;
    const sizeBytes = run.header.length + payloadSizeBytes(run.plaintextBytes);
    if (source.sizeBytes !== sizeBytes || sizeBytes !== run.expected.sizeBytes) {
      throw pieceDamaged(run, 'it has the wrong size', sizeBytes, source.sizeBytes);
    }
    const nonce = new Uint8Array(PAYLOAD_NONCE_BYTES);
    readFully(source, nonce, run.header.length);
    const firstChunk = Math.floor(run.offsetBytes / CHUNK_BYTES);
    const openChunk = chunkOpener(payloadKey(run.fileKey, nonce), firstChunk);
    const end = run.offsetBytes + run.lengthBytes;
    const sealedEnd = sizeBytes - payloadStart;
    let plainAt = firstChunk * CHUNK_BYTES;
    let sealedAt = firstChunk * SEALED_CHUNK_BYTES;
    while (plainAt < end) {
      if (control.aborted()) throw new JobAborted();
      const chunks = Math.ceil((end - plainAt) / CHUNK_BYTES);
      const batchBytes = Math.min(BATCH_SEALED_BYTES, chunks * SEALED_CHUNK_BYTES, sealedEnd - sealedAt);
      const batch = buffers.sealed.subarray(0, batchBytes);
      readFully(source, batch, payloadStart + sealedAt);
      sealedAt += batch.length;
      let length = 0;
      for (let from = 0; from < batch.length; from += SEALED_CHUNK_BYTES) {
        const to = Math.min(batch.length, from + SEALED_CHUNK_BYTES);
        const last = sealedAt === sealedEnd && to === batch.length;
        length += openChunk(batch.subarray(from, to), buffers.plain, length, last);
      }
      const from = Math.max(0, run.offsetBytes - plainAt);
      take(buffers.plain.subarray(from, Math.min(length, end - plainAt)));
      plainAt += length;
      control.advance(batch.length);
    }
  } finally {
    closeSource(source);
  }
}
