/**
 * How much of each pack a run uses: every frame counts once, however many streams hold its chunk. Open addressing over one
 * typed array, at most 27 bytes a chunk: a Set of a million numbers takes more.
 */
import { CHUNK_RECORD_BYTES, type ChunkTable } from './chunk-table.ts';

export interface PackUsage {
  add(chunks: ChunkTable): void;
  /** Bytes of the pack's frames that were added. */
  usedBytes(pack: number): number;
  /** Numbers of packs of which something was added, ascending. */
  packs(): readonly number[];
  /** Different chunks. */
  readonly chunks: number;
}

export function createPackUsage(expectedChunks = 1024): PackUsage {
  /** Two numbers a slot: pack, and offset and 1; 0 there is an empty slot. A pair has 56 bits, more than one number holds. */
  let slots = new Uint32Array(2 * 2 ** Math.ceil(Math.log2(Math.max(16, expectedChunks * 1.5))));
  let count = 0;
  const used = new Map<number, number>();

  /** Whether it was new. */
  const insert = (table: Uint32Array, pack: number, place: number): boolean => {
    const mask = table.length / 2 - 1;
    const hash = Math.imul(Math.imul(pack, 0x9e37_79b1) ^ place, 0x85eb_ca6b);
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      if (table[2 * slot] === pack && table[2 * slot + 1] === place) return false;
      if (table[2 * slot + 1] !== 0) continue;
      table[2 * slot] = pack;
      table[2 * slot + 1] = place;
      return true;
    }
  };
  const grow = () => {
    const larger = new Uint32Array(slots.length * 2);
    for (let at = 0; at < slots.length; at += 2) {
      const place = slots[at + 1] as number;
      if (place !== 0) insert(larger, slots[at] as number, place);
    }
    slots = larger;
  };
  return {
    get chunks() {
      return count;
    },
    add(chunks) {
      const view = Buffer.from(chunks.buffer, chunks.byteOffset, chunks.length);
      for (let at = 0; at < view.length; at += CHUNK_RECORD_BYTES) {
        const pack = view.readUInt32LE(at + 32);
        if (!insert(slots, pack, view.readUInt32LE(at + 36) + 1)) continue;
        count += 1;
        used.set(pack, (used.get(pack) ?? 0) + view.readUInt32LE(at + 40));
        if (count * 3 > slots.length) grow();
      }
    },
    usedBytes: (pack) => used.get(pack) ?? 0,
    packs: () => [...used.keys()].sort((a, b) => a - b),
  };
}
