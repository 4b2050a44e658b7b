import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { constants, zstdDecompressSync } from 'node:zlib';
import { CHUNK_BYTES, chunkOpener, SEALED_CHUNK_BYTES } from '../../formats/age/payload.ts';
import { FormatError } from '../../formats/errors.ts';
import { chunksOf } from '../../formats/repository/chunk-table.ts';
import type { FrameDamage, SealedFrames } from './requests.ts';

/** Frames are made with windows of at most 8 MiB; what asks for more would take memory that nobody expects. */
const WINDOW_LOG_MAX = 23;

/** Thrown when bytes are not what the snapshot says; the caller may find a better version of the pack. */
export class FramesDamaged extends Error {
  readonly damage: FrameDamage;
  constructor(damage: FrameDamage) {
    super(damage.why);
    this.damage = damage;
  }
}

export function chunkIdKeyObject(bytes: Uint8Array): KeyObject {
  return createSecretKey(bytes);
}

/**
 * Opens the age chunks of a slot in their place and hands out the chunks, one after the other: each authenticated,
 * decompressed within its stated size, its id computed again. The bytes are the caller's: `release` gives them back.
 */
export function* openFrames(frames: SealedFrames, idKey: KeyObject): Generator<Uint8Array> {
  const plain = openInPlace(frames);
  const baseBytes = frames.firstChunk * CHUNK_BYTES;
  let done = 0;
  for (const { id, offsetBytes, lengthBytes, sizeBytes } of chunksOf(frames.chunks)) {
    const start = offsetBytes - baseBytes;
    if (start < 0 || start + lengthBytes > plain.length) throw damaged('a chunk lies outside of its pack', done);
    const chunk = decompress(plain.subarray(start, start + lengthBytes), sizeBytes, done);
    const found = createHmac('sha256', idKey).update(chunk).digest();
    if (!found.equals(id)) {
      release(chunk);
      throw damaged('a chunk is not the one that its id names', done);
    }
    yield chunk;
    done += 1;
  }
}

/** Frees a chunk at once: left to the garbage collector, chunks cost several times the memory. */
export function release(chunk: Uint8Array): void {
  const memory = chunk.buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength > 0 && !memory.detached) memory.transfer(0);
}

/** A chunk of plaintext is shorter than its ciphertext: it fits where that was. */
function openInPlace({ slot, sealedBytes, firstChunk, endsPayload, payloadKey }: SealedFrames): Uint8Array {
  const bytes = new Uint8Array(slot, 0, sealedBytes);
  const open = chunkOpener(payloadKey, firstChunk);
  let written = 0;
  try {
    for (let read = 0; read < sealedBytes; read += SEALED_CHUNK_BYTES) {
      const end = Math.min(sealedBytes, read + SEALED_CHUNK_BYTES);
      written += open(bytes.subarray(read, end), bytes, written, endsPayload && end === sealedBytes);
    }
  } catch (error) {
    if (error instanceof FormatError) throw damaged('a part of it does not authenticate', 0);
    throw error;
  }
  return bytes.subarray(0, written);
}

function decompress(frame: Uint8Array, sizeBytes: number, done: number): Uint8Array {
  let chunk: Uint8Array;
  try {
    chunk = zstdDecompressSync(frame, {
      maxOutputLength: sizeBytes,
      // One byte more than needed: with exactly as much, zlib takes a second buffer.
      chunkSize: Math.max(constants.Z_MIN_CHUNK, sizeBytes + 1),
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
    });
  } catch {
    throw damaged('a chunk does not decompress to its size', done);
  }
  // A small one may lie in the pool that all small buffers share, which can neither be freed nor handed over.
  if (chunk.buffer.byteLength <= Buffer.poolSize) chunk = new Uint8Array(chunk);
  if (chunk.length === sizeBytes) return chunk;
  release(chunk);
  throw damaged('a chunk does not decompress to its size', done);
}

function damaged(why: string, done: number): FramesDamaged {
  return new FramesDamaged({ why, done });
}
