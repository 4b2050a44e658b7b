/**
 * Memory that the threads of a writer share. A worker in a synchronous loop reads no messages, so what it must see at once
 * stands in integers:
 *
 *     0          LOCK      1 while a thread looks into the index, or at the open pack, or changes one of them
 *     1          WAKE      rises when something happened that a worker may wait for
 *     2          BROKEN    1 once the writer is of no use any more
 *     3          PACKS     the number that the next pack gets
 *     4          OPEN      the slot of the pack that is being filled, from 1; 0 when there is none
 *     5 …        for each slot: FREE or TAKEN; bytes of its header; the number of its pack; bytes of frames; chunks
 *
 * A slot holds one pack, which all workers fill. It is sealed where it lies: the plaintext stands so far behind the ciphertext
 * that no byte is written over before it was read.
 *
 *     0                    the file key, until the pack is sealed
 *     … to HEADER_END      the age header; the file begins with it
 *     HEADER_END           nonce, then chunks of ciphertext
 *     PLAIN_AT             plaintext
 *     TABLE_AT             records of the chunks
 */
import { CHUNK_BYTES, PAYLOAD_NONCE_BYTES, TAG_BYTES } from '../../formats/age/payload.ts';
import { CHUNK_RECORD_BYTES } from '../../formats/repository/chunk-table.ts';
import { PACK_BYTES } from '../../formats/repository/pack.ts';

const LOCK = 0;
const WAKE = 1;
const BROKEN = 2;
const PACKS = 3;
const OPEN = 4;
const SLOT_WORDS_AT = 5;
const SLOT_WORDS = 5;

const FREE = 0;
const TAKEN = 1;

export const FILE_KEY_BYTES = 16;
export const HEADER_END = 4096;
const MAX_HEADER_BYTES = HEADER_END - FILE_KEY_BYTES;
export const PLAIN_AT = HEADER_END + PAYLOAD_NONCE_BYTES + Math.ceil(PACK_BYTES / CHUNK_BYTES) * TAG_BYTES;
export const TABLE_AT = PLAIN_AT + PACK_BYTES;
/** Of one pack: reached only by chunks that compress to a hundredth. */
export const MAX_PACK_CHUNKS = 8192;
const SLOT_BYTES = TABLE_AT + MAX_PACK_CHUNKS * CHUNK_RECORD_BYTES;

/** A wake-up that was missed costs no more than this. */
const WAIT_MS = 1000;

export interface SharedMemory {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly slots: readonly Uint8Array<SharedArrayBuffer>[];
}

/** What is known of the pack in a slot. */
export const HEADER_BYTES = 1;
export const PACK_NUMBER = 2;
export const FRAME_BYTES = 3;
export const CHUNKS = 4;
type SlotWord = typeof HEADER_BYTES | typeof PACK_NUMBER | typeof FRAME_BYTES | typeof CHUNKS;

export function createSharedMemory(slots: number, firstPack: number): SharedMemory {
  const words = new Int32Array(
    new SharedArrayBuffer((SLOT_WORDS_AT + slots * SLOT_WORDS) * Int32Array.BYTES_PER_ELEMENT),
  );
  words[PACKS] = firstPack;
  // A slot is free once there is a header in it.
  for (let slot = 0; slot < slots; slot += 1) words[stateOf(slot)] = TAKEN;
  // Pages that were never touched take no memory.
  const buffers = Array.from({ length: slots }, () => new Uint8Array(new SharedArrayBuffer(SLOT_BYTES)));
  return { words, slots: buffers };
}

const stateOf = (slot: number) => SLOT_WORDS_AT + slot * SLOT_WORDS;

export function readSlot({ words }: SharedMemory, slot: number, word: SlotWord): number {
  return words[stateOf(slot) + word] as number;
}

export function writeSlot({ words }: SharedMemory, slot: number, word: SlotWord, value: number): void {
  words[stateOf(slot) + word] = value;
}

/** Puts a header into a slot and gives it to whoever asks first. */
export function freeSlot(memory: SharedMemory, slot: number, header: Uint8Array, fileKey: Uint8Array): void {
  const bytes = memory.slots[slot] as Uint8Array;
  if (header.length > MAX_HEADER_BYTES) throw new Error(`a header of ${header.length} bytes for one recipient`);
  bytes.set(fileKey, 0);
  fileKey.fill(0);
  bytes.set(header, HEADER_END - header.length);
  writeSlot(memory, slot, HEADER_BYTES, header.length);
  returnSlot(memory, slot);
}

/** Gives a slot back in which nothing was changed. */
export function returnSlot(memory: SharedMemory, slot: number): void {
  Atomics.store(memory.words, stateOf(slot), FREE);
  wake(memory);
}

/** Takes a slot; blocks the thread until there is one. `checkWanted` is called before each wait, and may throw. */
export function takeSlot(memory: SharedMemory, checkWanted: () => void): number {
  for (;;) {
    const seen = Atomics.load(memory.words, WAKE);
    for (let slot = 0; slot < memory.slots.length; slot += 1) {
      if (Atomics.compareExchange(memory.words, stateOf(slot), FREE, TAKEN) === FREE) return slot;
    }
    checkWanted();
    Atomics.wait(memory.words, WAKE, seen, WAIT_MS);
  }
}

/** The slot of the open pack. */
export function openSlot({ words }: SharedMemory): number | undefined {
  const slot = Atomics.load(words, OPEN);
  return slot === 0 ? undefined : slot - 1;
}

export function setOpenSlot({ words }: SharedMemory, slot: number | undefined): void {
  Atomics.store(words, OPEN, slot === undefined ? 0 : slot + 1);
}

export function takePackNumber({ words }: SharedMemory): number {
  return Atomics.add(words, PACKS, 1);
}

export function nextPackNumber({ words }: SharedMemory): number {
  return Atomics.load(words, PACKS);
}

/** Lets every worker that waits look again. */
export function wake({ words }: SharedMemory): void {
  Atomics.add(words, WAKE, 1);
  Atomics.notify(words, WAKE);
}

export function setBroken(memory: SharedMemory): void {
  Atomics.store(memory.words, BROKEN, 1);
  wake(memory);
}

export function isBroken({ words }: SharedMemory): boolean {
  return Atomics.load(words, BROKEN) === 1;
}

/** Runs `work` while no other thread does. For short work in workers: it blocks. */
export function locked<T>({ words }: SharedMemory, work: () => T): T {
  while (Atomics.compareExchange(words, LOCK, 0, 1) !== 0) Atomics.wait(words, LOCK, 1, WAIT_MS);
  try {
    return work();
  } finally {
    Atomics.store(words, LOCK, 0);
    Atomics.notify(words, LOCK, 1);
  }
}
