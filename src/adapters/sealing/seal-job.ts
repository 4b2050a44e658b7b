import { createHash, randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { digestFromHex } from '../../core/digest.ts';
import { JobAborted, type JobControl } from '../../core/worker-pool.ts';
import { CHUNK_BYTES, chunkSealer, PAYLOAD_NONCE_BYTES, payloadKey } from '../../formats/age/payload.ts';
import type { SealedPiece } from '../../ports/sealing.ts';
import type { BatchBuffers } from './batches.ts';
import { closeWritten, createFile, syncFile, writeFully } from './local-files.ts';
import type { SealRequest } from './requests.ts';
import { createSegmentReader } from './segment-reader.ts';

/** Writes header, nonce and chunks to a new file. Removes the file again when anything fails. */
export function seal(request: SealRequest, buffers: BatchBuffers, control: JobControl): SealedPiece {
  const { job, header, fileKey } = request;
  const fd = createFile(job.outPath);
  control.claim();
  let isOpen = true;
  const reader = createSegmentReader(job.segments);
  try {
    const hash = createHash('sha256');
    const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
    const start = Buffer.concat([header, nonce]);
    hash.update(start);
    writeFully(fd, job.outPath, start, 0);
    const sealChunk = chunkSealer(payloadKey(fileKey, nonce));
    let sealedBytes = start.length;
    let plainBytes = 0;
    do {
      if (control.aborted()) throw new JobAborted();
      const batch = buffers.plain.subarray(0, Math.min(buffers.plain.length, job.plaintextBytes - plainBytes));
      control.advance(reader.fill(batch));
      let length = 0;
      let read = 0;
      do {
        const end = Math.min(batch.length, read + CHUNK_BYTES);
        const last = plainBytes + end === job.plaintextBytes;
        length += sealChunk(batch.subarray(read, end), buffers.sealed, length, last);
        read = end;
      } while (read < batch.length);
      const sealed = buffers.sealed.subarray(0, length);
      hash.update(sealed);
      writeFully(fd, job.outPath, sealed, sealedBytes);
      sealedBytes += length;
      plainBytes += batch.length;
    } while (plainBytes < job.plaintextBytes);
    syncFile(fd, job.outPath, request.sync);
    isOpen = false;
    closeWritten(fd, job.outPath);
    return { digest: digestFromHex(hash.digest('hex')), sizeBytes: sealedBytes };
  } catch (error) {
    // The first failure counts; a close that fails here adds nothing to it.
    try {
      if (isOpen) closeWritten(fd, job.outPath);
    } catch {}
    rmSync(job.outPath, { force: true });
    throw error;
  } finally {
    reader.close();
    fileKey.fill(0);
  }
}
