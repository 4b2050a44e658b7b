import { createHash } from 'node:crypto';
import { digestFromHex, digestOf } from '../../core/digest.ts';
import { JobAborted, type JobControl } from '../../core/worker-pool.ts';
import {
  CHUNK_BYTES,
  chunkOpener,
  PAYLOAD_NONCE_BYTES,
  payloadKey,
  payloadSizeBytes,
  SEALED_CHUNK_BYTES,
  TAG_BYTES,
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
  const { runs, result } = request;
  const hash = createHash('sha256');
  const bytes = result === 'bytes' ? memoryFor(request) : undefined;
  let length = 0;
  for (const run of runs) {
    try {
      openRun(run, buffers, control, {
        room: () => (bytes === undefined ? undefined : { bytes, at: length }),
        take(part) {
          if (result === 'digest') hash.update(part);
          else if (result === 'zero' && !isZero(part)) {
            throw paddingNotZero(run, run.offsetBytes, run.offsetBytes + run.lengthBytes);
          }
          // Most chunks were opened into their place.
          if (bytes !== undefined && part.buffer !== bytes.buffer) bytes.set(part, length);
          length += part.length;
        },
      });
    } catch (error) {
      throw pieceReadFailure(run, error);
    } finally {
      run.fileKey.fill(0);
    }
  }
  if (result === 'digest') return digestFromHex(hash.digest('hex'));
  return request.into === undefined ? bytes : undefined;
}

function memoryFor({ runs, into }: RunsRequest): Uint8Array {
  const sizeBytes = runs.reduce((sum, run) => sum + run.lengthBytes, 0);
  return into === undefined ? new Uint8Array(sizeBytes) : new Uint8Array(into, 0, sizeBytes);
}

interface Sink {
  /** Where a chunk may be opened that is wanted whole. */
  room(): { readonly bytes: Uint8Array; readonly at: number } | undefined;
  take(part: Uint8Array): void;
}

function openRun(run: Run, buffers: BatchBuffers, control: JobControl, sink: Sink): void {
  const source = openSource(run.path);
  try {
    const payloadStart = run.header.length + PAYLOAD_NONCE_BYTES;
    const sizeBytes = run.header.length + payloadSizeBytes(run.plaintextBytes);
    if (source.sizeBytes !== sizeBytes || sizeBytes !== run.expected.sizeBytes) {
      throw pieceDamaged(run, 'it has the wrong size', sizeBytes, source.sizeBytes);
    }
    const start = Buffer.alloc(payloadStart);
    readFully(source, start, 0);
    const header = start.subarray(0, run.header.length);
    if (!header.equals(run.header)) {
      throw pieceDamaged(run, 'its header is not what it was', digestOf(run.header), digestOf(header));
    }
    const firstChunk = Math.floor(run.offsetBytes / CHUNK_BYTES);
    const openChunk = chunkOpener(payloadKey(run.fileKey, start.subarray(run.header.length)), firstChunk);
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
      for (let from = 0; from < batch.length; from += SEALED_CHUNK_BYTES) {
        const to = Math.min(batch.length, from + SEALED_CHUNK_BYTES);
        const last = sealedAt === sealedEnd && to === batch.length;
        const isWhole = plainAt >= run.offsetBytes && plainAt + (to - from - TAG_BYTES) <= end;
        const { bytes, at } = (isWhole ? sink.room() : undefined) ?? { bytes: buffers.plain, at: 0 };
        const length = openChunk(batch.subarray(from, to), bytes, at, last);
        const first = Math.max(0, run.offsetBytes - plainAt);
        sink.take(bytes.subarray(at + first, at + Math.min(length, end - plainAt)));
        plainAt += length;
      }
      control.advance(batch.length);
    }
  } finally {
    closeSource(source);
  }
}
