import { CHUNK_BYTES, SEALED_CHUNK_BYTES } from '../../formats/age/payload.ts';

/** Chunks that are read, ciphered, hashed and written together. Fewer than 8 are erratic, more than 16 buy nothing. */
const BATCH_CHUNKS = 16;
const BATCH_PLAIN_BYTES = BATCH_CHUNKS * CHUNK_BYTES;
export const BATCH_SEALED_BYTES = BATCH_CHUNKS * SEALED_CHUNK_BYTES;

/** The two buffers of a worker, made once: memory stays the same however much is sealed. */
export interface BatchBuffers {
  readonly plain: Uint8Array;
  readonly sealed: Uint8Array;
}

export function createBatchBuffers(): BatchBuffers {
  return { plain: new Uint8Array(BATCH_PLAIN_BYTES), sealed: new Uint8Array(BATCH_SEALED_BYTES) };
}
