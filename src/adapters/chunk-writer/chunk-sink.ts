import { createHmac, createSecretKey } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';
import {
  CHUNK_FRAME_MAX_BYTES,
  CHUNK_RECORD_BYTES,
  type ChunkTableBuilder,
  createChunkTableBuilder,
} from '../../formats/repository/chunk-table.ts';
import type { ChunkTable } from '../../ports/chunks.ts';
import type { ChunkIndex } from './chunk-index.ts';
import type { SealedPack } from './messages.ts';
import { closePack, type Frame, type NoPlace, openPack, placeFrame, sealPack } from './open-pack.ts';
import { locked, type SharedMemory } from './shared-memory.ts';

const ZSTD = {
  // One output buffer, of which nothing is copied.
  chunkSize: CHUNK_FRAME_MAX_BYTES,
  // Level 2, but it looks back over 256 KiB, which stay in the processor's cache, and for matches of at least 7 bytes: tables take a
  // fifth less time for it and become 1 % larger.
  params: {
    [constants.ZSTD_c_compressionLevel]: 2,
    [constants.ZSTD_c_windowLog]: 18,
    [constants.ZSTD_c_minMatch]: 7,
  },
};

const NO_CHUNK = new Uint8Array(CHUNK_RECORD_BYTES);

/** A chunk of so many bytes fits into a small output buffer, however badly it compresses. */
const SMALL_BYTES = 120 * 1024;
/** Above what Node takes from its pool, which cannot be given back. */
const SMALL_ZSTD = { ...ZSTD, chunkSize: 128 * 1024 };

/** Takes the chunks of one stream after the other: leaves out what is known, packs the rest, and records where each is. */
export interface ChunkSink {
  take(chunk: Uint8Array): void;
  /** A record without a chunk in the place of one. */
  leaveOut(): void;
  /** What was taken since the call before. */
  finish(): { readonly sizeBytes: number; readonly reusedBytes: number; readonly chunks: ChunkTable };
  /** Seals the open pack. */
  flush(): void;
}

export interface ChunkSinkSettings {
  readonly memory: SharedMemory;
  readonly index: ChunkIndex;
  readonly chunkIdKey: Uint8Array;
  /** Throws when nobody waits for the work any more. */
  readonly checkWanted: () => void;
  readonly onSealed: (pack: SealedPack) => void;
}

export function createChunkSink({ memory, index, chunkIdKey, checkWanted, onSealed }: ChunkSinkSettings): ChunkSink {
  const key = createSecretKey(chunkIdKey);
  // Of one chunk, as most files are: what a table has in reserve would travel to the other thread with it.
  let table: ChunkTableBuilder = createChunkTableBuilder(1);
  let sizeBytes = 0;
  let reusedBytes = 0;

  /** With the lock. */
  function findKnown(id: Uint8Array): boolean {
    const known = index.find(id);
    if (known !== undefined) table.append(known);
    return known !== undefined;
  }

  /** With the lock. Another worker may have met the same chunk meanwhile: the first to come here stores it. */
  function place(frame: Frame): 'known' | 'placed' | NoPlace {
    if (findKnown(frame.id)) return 'known';
    const record = placeFrame(memory, frame);
    if (!(record instanceof Uint8Array)) return record;
    index.add(record);
    table.append(record);
    return 'placed';
  }

  function store(frame: Frame): 'known' | 'placed' {
    for (;;) {
      const placed = locked(memory, () => place(frame));
      if (typeof placed === 'string') return placed;
      if (placed.fullSlot !== undefined) onSealed(sealPack(memory, placed.fullSlot));
      openPack(memory, checkWanted);
    }
  }

  return {
    take(chunk) {
      const id = createHmac('sha256', key).update(chunk).digest();
      sizeBytes += chunk.length;
      if (locked(memory, () => findKnown(id))) {
        reusedBytes += chunk.length;
        return;
      }
      const bytes = zstdCompressSync(chunk, chunk.length > SMALL_BYTES ? ZSTD : SMALL_ZSTD);
      if (store({ id, bytes, sizeBytes: chunk.length }) === 'known') reusedBytes += chunk.length;
      giveBack(bytes);
    },
    leaveOut: () => table.append(NO_CHUNK),
    finish() {
      const result = { sizeBytes, reusedBytes, chunks: table.table() };
      table = createChunkTableBuilder(1);
      sizeBytes = 0;
      reusedBytes = 0;
      return result;
    },
    flush() {
      const slot = closePack(memory);
      if (slot !== undefined) onSealed(sealPack(memory, slot));
    },
  };
}

/** Frees the memory at once. Left to the garbage collector it costs twice the memory. */
function giveBack(frame: Buffer): void {
  const memory = frame.buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength >= SMALL_ZSTD.chunkSize) memory.transfer(0);
}
