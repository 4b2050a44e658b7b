/** The pack that all workers of a writer fill together. Who finds it full seals it, while the others go on with the next one. */
import { createHash, randomBytes } from 'node:crypto';
import { digestFromHex } from '../../core/digest.ts';
import { CHUNK_BYTES, chunkSealer, PAYLOAD_NONCE_BYTES, payloadKey } from '../../formats/age/payload.ts';
import { CHUNK_RECORD_BYTES, writeChunk } from '../../formats/repository/chunk-table.ts';
import { encodePackTail, fitsIntoPack } from '../../formats/repository/pack.ts';
import type { SealedPack } from './messages.ts';
import {
  CHUNKS,
  FILE_KEY_BYTES,
  FRAME_BYTES,
  HEADER_BYTES,
  HEADER_END,
  locked,
  MAX_PACK_CHUNKS,
  openSlot,
  PACK_NUMBER,
  PLAIN_AT,
  readSlot,
  returnSlot,
  type SharedMemory,
  setOpenSlot,
  TABLE_AT,
  takePackNumber,
  takeSlot,
  writeSlot,
} from './shared-memory.ts';

/** So many chunks of the payload are hashed together, while they are in the processor's cache. */
const BATCH_CHUNKS = 16;

/** A chunk that is to be placed. */
export interface Frame {
  readonly id: Uint8Array;
  readonly bytes: Uint8Array;
  /** Of the chunk. */
  readonly sizeBytes: number;
}

/** Why a frame has no place yet: there is no open pack, or the pack in this slot was full and is to be sealed by the caller. */
export type NoPlace = { readonly fullSlot: number | undefined };

/** Puts a frame into the open pack. Returns its record, a view. The caller holds the lock. */
export function placeFrame(memory: SharedMemory, frame: Frame): Uint8Array | NoPlace {
  const slot = openSlot(memory);
  if (slot === undefined) return { fullSlot: undefined };
  const offsetBytes = readSlot(memory, slot, FRAME_BYTES);
  const chunks = readSlot(memory, slot, CHUNKS);
  if (chunks === MAX_PACK_CHUNKS || !fitsIntoPack(offsetBytes, chunks, frame.bytes.length)) {
    setOpenSlot(memory, undefined);
    return { fullSlot: slot };
  }
  const bytes = memory.slots[slot] as Uint8Array;
  bytes.set(frame.bytes, PLAIN_AT + offsetBytes);
  const at = TABLE_AT + chunks * CHUNK_RECORD_BYTES;
  const record = bytes.subarray(at, at + CHUNK_RECORD_BYTES);
  writeChunk(record, 0, {
    id: frame.id,
    pack: readSlot(memory, slot, PACK_NUMBER),
    offsetBytes,
    lengthBytes: frame.bytes.length,
    sizeBytes: frame.sizeBytes,
  });
  writeSlot(memory, slot, FRAME_BYTES, offsetBytes + frame.bytes.length);
  writeSlot(memory, slot, CHUNKS, chunks + 1);
  return record;
}

/** Sees to it that there is an open pack. Blocks until there is a free slot; `checkWanted` may throw meanwhile. */
export function openPack(memory: SharedMemory, checkWanted: () => void): void {
  const slot = takeSlot(memory, checkWanted);
  const isOpened = locked(memory, () => {
    if (openSlot(memory) !== undefined) return false;
    writeSlot(memory, slot, PACK_NUMBER, takePackNumber(memory));
    writeSlot(memory, slot, FRAME_BYTES, 0);
    writeSlot(memory, slot, CHUNKS, 0);
    setOpenSlot(memory, slot);
    return true;
  });
  // Another worker was quicker.
  if (!isOpened) returnSlot(memory, slot);
}

/** Takes the open pack away from all workers: the caller seals it. */
export function closePack(memory: SharedMemory): number | undefined {
  return locked(memory, () => {
    const slot = openSlot(memory);
    setOpenSlot(memory, undefined);
    return slot;
  });
}

/** Seals the pack in a slot that no worker fills any more. */
export function sealPack(memory: SharedMemory, slot: number): SealedPack {
  const bytes = memory.slots[slot] as Uint8Array;
  const frameBytes = readSlot(memory, slot, FRAME_BYTES);
  const tableBytes = readSlot(memory, slot, CHUNKS) * CHUNK_RECORD_BYTES;
  const chunks = bytes.slice(TABLE_AT, TABLE_AT + tableBytes);
  const tail = encodePackTail(chunks, frameBytes);
  bytes.set(tail, PLAIN_AT + frameBytes);
  const startAt = HEADER_END - readSlot(memory, slot, HEADER_BYTES);
  const sealed = sealInPlace(bytes, startAt, frameBytes + tail.length);
  return { slot, number: readSlot(memory, slot, PACK_NUMBER), startAt, chunks, ...sealed };
}

/** The plaintext of a slot becomes the payload of an age file. */
function sealInPlace(bytes: Uint8Array, startAt: number, plainBytes: number) {
  const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
  const fileKey = new Uint8Array(bytes.subarray(0, FILE_KEY_BYTES));
  bytes.fill(0, 0, FILE_KEY_BYTES);
  const sealChunk = chunkSealer(payloadKey(fileKey, nonce));
  fileKey.fill(0);
  bytes.set(nonce, HEADER_END);
  const hash = createHash('sha256');
  let hashed = startAt;
  let sealed = HEADER_END + PAYLOAD_NONCE_BYTES;
  for (let read = 0; read < plainBytes; ) {
    const batchEnd = Math.min(plainBytes, read + BATCH_CHUNKS * CHUNK_BYTES);
    while (read < batchEnd) {
      const end = Math.min(batchEnd, read + CHUNK_BYTES);
      sealed += sealChunk(bytes.subarray(PLAIN_AT + read, PLAIN_AT + end), bytes, sealed, end === plainBytes);
      read = end;
    }
    hash.update(bytes.subarray(hashed, sealed));
    hashed = sealed;
  }
  return { digest: digestFromHex(hash.digest('hex')), sizeBytes: sealed - startAt };
}
