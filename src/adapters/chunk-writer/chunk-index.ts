/**
 * The table of known chunks, in memory that all threads share: records as in a ChunkTable (48 bytes, little endian, which every
 * platform of Node.js is) with open addressing, three quarters full at most: 64 bytes a chunk. A place whose size is 0 is
 * empty. When a part of the table is full, a second one of double size follows; nothing moves.
 *
 *     words 0, 1      the number of parts; chunks in the last one
 *     words 2 …       the capacity of each part
 *
 * Calls of more than one thread need the lock of shared-memory.ts round them.
 */
import { CHUNK_RECORD_BYTES } from '../../formats/repository/chunk-table.ts';

const RECORD_WORDS = CHUNK_RECORD_BYTES / 4;
const ID_WORDS = 8;
const SIZE_WORD = 11;
const PARTS = 0;
const USED = 1;
const CAPACITIES = 2;
const MAX_PARTS = 14;
const FIRST_PART_AT = 64;
const FILL = 0.75;
const MIN_CAPACITY = 4096;
/** Room for 32 million chunks, about 32 TiB. What is more is not found again, and stored again. */
const MAX_BYTES = 2 * 1024 * 1024 * 1024;

export interface ChunkIndex {
  readonly memory: SharedArrayBuffer;
  /** The record with the id that `record` begins with. A view. */
  find(id: Uint8Array): Uint8Array | undefined;
  /** Adds a record whose id is not there yet. */
  add(record: Uint8Array): void;
}

/** With room for `chunks` in the first part. */
export function createChunkIndexMemory(chunks: number): SharedArrayBuffer {
  const wanted = Math.max(MIN_CAPACITY, Math.ceil(chunks / FILL));
  const capacity = Math.min(wanted, Math.floor((MAX_BYTES - FIRST_PART_AT) / CHUNK_RECORD_BYTES));
  const memory = new SharedArrayBuffer(FIRST_PART_AT + capacity * CHUNK_RECORD_BYTES, { maxByteLength: MAX_BYTES });
  const words = new Int32Array(memory, 0, FIRST_PART_AT / 4);
  words[PARTS] = 1;
  words[CAPACITIES] = capacity;
  return memory;
}

/** A view for one thread. */
export function openChunkIndex(memory: SharedArrayBuffer): ChunkIndex {
  const head = new Int32Array(memory, 0, FIRST_PART_AT / 4);
  const parts: Part[] = [];

  /** Another thread may have added parts. */
  function update(): void {
    while (parts.length < (head[PARTS] as number)) {
      const capacity = head[CAPACITIES + parts.length] as number;
      const last = parts.at(-1);
      const at = last === undefined ? FIRST_PART_AT : last.bytes.byteOffset + last.bytes.byteLength;
      parts.push({
        capacity,
        bytes: new Uint8Array(memory, at, capacity * CHUNK_RECORD_BYTES),
        words: new Int32Array(memory, at, capacity * RECORD_WORDS),
      });
    }
  }

  function grow(): boolean {
    const last = parts.at(-1) as Part;
    const capacity = last.capacity * 2;
    const lengthBytes = last.bytes.byteOffset + last.bytes.byteLength + capacity * CHUNK_RECORD_BYTES;
    if (parts.length === MAX_PARTS || lengthBytes > MAX_BYTES) return false;
    memory.grow(lengthBytes);
    head[CAPACITIES + parts.length] = capacity;
    head[USED] = 0;
    head[PARTS] = parts.length + 1;
    update();
    return true;
  }

  return {
    memory,
    find(id) {
      update();
      const wanted = wordsOf(id);
      for (const part of parts) {
        const place = placeOf(part, wanted);
        if (part.words[place * RECORD_WORDS + SIZE_WORD] !== 0) {
          return part.bytes.subarray(place * CHUNK_RECORD_BYTES, (place + 1) * CHUNK_RECORD_BYTES);
        }
      }
      return undefined;
    },
    add(record) {
      update();
      let part = parts.at(-1) as Part;
      if ((head[USED] as number) >= part.capacity * FILL) {
        if (!grow()) return;
        part = parts.at(-1) as Part;
      }
      part.bytes.set(record, placeOf(part, wordsOf(record)) * CHUNK_RECORD_BYTES);
      head[USED] = (head[USED] as number) + 1;
    },
  };
}

interface Part {
  readonly capacity: number;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly words: Int32Array<SharedArrayBuffer>;
}

const ID = new Uint8Array(ID_WORDS * 4);
const ID_AS_WORDS = new Int32Array(ID.buffer);

/** The id as eight words; valid until the next call. */
function wordsOf(id: Uint8Array): Int32Array {
  ID.set(id.subarray(0, ID.length));
  return ID_AS_WORDS;
}

/** Where the id is, or the empty place where it would be. An id is a MAC: its first word is as good as any hash. */
function placeOf({ capacity, words }: Part, id: Int32Array): number {
  let place = Math.floor((((id[0] as number) >>> 0) / 2 ** 32) * capacity);
  for (;;) {
    const at = place * RECORD_WORDS;
    if (words[at + SIZE_WORD] === 0) return place;
    let word = 0;
    while (word < ID_WORDS && words[at + word] === id[word]) word += 1;
    if (word === ID_WORDS) return place;
    place = place + 1 === capacity ? 0 : place + 1;
  }
}
