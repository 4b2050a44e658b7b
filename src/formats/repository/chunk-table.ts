/**
 * Where chunks lie (docs/format-repository.md, "Chunk table"): records of 48 bytes end to end, numbers little endian.
 *
 *     id       32 bytes    HMAC-SHA-256 of the chunk under the repository's chunk id key
 *     pack      4 bytes    number of the pack; in the table inside of a pack 0, which means that pack
 *     offset    4 bytes    of the chunk's zstd frame in the pack's plaintext
 *     length    4 bytes    of the frame
 *     size      4 bytes    of the chunk
 *
 * In JSON a record is [pack, offset, length, size, id in base64url].
 */
import { FormatError } from '../errors.ts';

/** A stream of so many bytes at most is one chunk. */
export const CHUNK_MIN_BYTES = 256 * 1024;
export const CHUNK_AVERAGE_BYTES = 1024 * 1024;
export const CHUNK_MAX_BYTES = 4 * 1024 * 1024;
/** Of a chunk that does not compress: what ZSTD_compressBound says of CHUNK_MAX_BYTES. */
export const CHUNK_FRAME_MAX_BYTES = CHUNK_MAX_BYTES + (CHUNK_MAX_BYTES >> 8);

/** The most that the plaintext of a pack has (pack.ts). */
export const PACK_BYTES = 16 * 1024 * 1024;

export const CHUNK_RECORD_BYTES = 48;
const CHUNK_ID_BYTES = 32;

const PACK = 32;
const OFFSET = 36;
const LENGTH = 40;
const SIZE = 44;

/** Records of 48 bytes; also what the ports call so. */
export type ChunkTable = Uint8Array;

export interface ChunkRecord {
  /** 32 bytes; a view into the table. */
  readonly id: Uint8Array;
  readonly pack: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Of the chunk itself. */
  readonly sizeBytes: number;
}

/** [pack, offset, length, size, id] */
export type ChunkJson = readonly [number, number, number, number, string];

export function chunkCount(table: ChunkTable): number {
  return Math.floor(table.length / CHUNK_RECORD_BYTES);
}

export function readChunk(table: ChunkTable, index: number): ChunkRecord {
  const at = index * CHUNK_RECORD_BYTES;
  return {
    id: table.subarray(at, at + CHUNK_ID_BYTES),
    pack: readUint32(table, at + PACK),
    offsetBytes: readUint32(table, at + OFFSET),
    lengthBytes: readUint32(table, at + LENGTH),
    sizeBytes: readUint32(table, at + SIZE),
  };
}

export function writeChunk(table: ChunkTable, index: number, record: ChunkRecord): void {
  const at = index * CHUNK_RECORD_BYTES;
  table.set(record.id.subarray(0, CHUNK_ID_BYTES), at);
  writeUint32(table, at + PACK, record.pack);
  writeUint32(table, at + OFFSET, record.offsetBytes);
  writeUint32(table, at + LENGTH, record.lengthBytes);
  writeUint32(table, at + SIZE, record.sizeBytes);
}

export function* chunksOf(table: ChunkTable): Generator<ChunkRecord> {
  for (let index = 0; index < chunkCount(table); index += 1) yield readChunk(table, index);
}

/** Bytes of the chunks themselves, all together. */
export function chunksSizeBytes(table: ChunkTable): number {
  let total = 0;
  for (let at = SIZE; at < table.length; at += CHUNK_RECORD_BYTES) total += readUint32(table, at);
  return total;
}

/** A copy in which every pack has another number. */
export function renumberPacks(table: ChunkTable, numberOf: (pack: number) => number): ChunkTable {
  const copy = table.slice();
  for (let at = PACK; at < copy.length; at += CHUNK_RECORD_BYTES) {
    writeUint32(copy, at, numberOf(readUint32(copy, at)));
  }
  return copy;
}

export interface ChunkTableBuilder {
  readonly count: number;
  add(record: ChunkRecord): void;
  append(table: ChunkTable): void;
  /** A view of what was added so far; adding more may move the builder to other memory, the view stays as it is. */
  table(): ChunkTable;
}

/** `capacity` in records is a guess: the builder grows. */
export function createChunkTableBuilder(capacity = 64): ChunkTableBuilder {
  let bytes = new Uint8Array(Math.max(1, capacity) * CHUNK_RECORD_BYTES);
  let used = 0;
  const reserve = (more: number) => {
    if (used + more <= bytes.length) return;
    const larger = new Uint8Array(Math.max(used + more, bytes.length * 2));
    larger.set(bytes.subarray(0, used));
    bytes = larger;
  };
  return {
    get count() {
      return used / CHUNK_RECORD_BYTES;
    },
    add(record) {
      reserve(CHUNK_RECORD_BYTES);
      writeChunk(bytes, used / CHUNK_RECORD_BYTES, record);
      used += CHUNK_RECORD_BYTES;
    },
    append(table) {
      reserve(table.length);
      bytes.set(table, used);
      used += table.length;
    },
    table: () => bytes.subarray(0, used),
  };
}

export function chunkTableToJson(table: ChunkTable): ChunkJson[] {
  const buffer = Buffer.from(table.buffer, table.byteOffset, table.length);
  return Array.from({ length: chunkCount(table) }, (_, index) => {
    const at = index * CHUNK_RECORD_BYTES;
    return [
      readUint32(table, at + PACK),
      readUint32(table, at + OFFSET),
      readUint32(table, at + LENGTH),
      readUint32(table, at + SIZE),
      buffer.toString('base64url', at, at + CHUNK_ID_BYTES),
    ];
  });
}

/**
 * By hand: there may be a million of them, and a schema takes several times as long.
 *
 * @throws FormatError CHUNK_TABLE_INVALID
 */
export function chunkTableFromJson(json: unknown): ChunkTable {
  if (!Array.isArray(json)) throw invalid('the chunks are not a list');
  const table = Buffer.alloc(json.length * CHUNK_RECORD_BYTES);
  json.forEach((entry: unknown, index) => {
    if (!Array.isArray(entry) || entry.length !== 5) throw invalid('a chunk is not a list of five', index);
    const [pack, offset, length, size, id] = entry as unknown[];
    const at = index * CHUNK_RECORD_BYTES;
    if (
      typeof id !== 'string' ||
      id.length !== 43 ||
      table.write(id, at, CHUNK_ID_BYTES, 'base64url') !== CHUNK_ID_BYTES
    )
      throw invalid('the id of a chunk is not base64url of 32 bytes', index);
    if (table.toString('base64url', at, at + CHUNK_ID_BYTES) !== id)
      throw invalid('the id of a chunk is in an unusual spelling', index);
    for (const number of [pack, offset, length, size]) {
      if (typeof number !== 'number' || number >>> 0 !== number)
        throw invalid('a number of a chunk is not one of 32 bits', index);
    }
    writeUint32(table, at + PACK, pack as number);
    writeUint32(table, at + OFFSET, offset as number);
    writeUint32(table, at + LENGTH, length as number);
    writeUint32(table, at + SIZE, size as number);
  });
  checkChunkTable(table);
  return table;
}

/**
 * Whole records, each of a size that a chunk can have, inside of a pack of `packBytes`.
 *
 * @throws FormatError CHUNK_TABLE_INVALID
 */
export function checkChunkTable(table: ChunkTable, packBytes = PACK_BYTES): void {
  if (table.length % CHUNK_RECORD_BYTES !== 0) throw invalid('the last record is cut');
  for (let at = 0, index = 0; at < table.length; at += CHUNK_RECORD_BYTES, index += 1) {
    const length = readUint32(table, at + LENGTH);
    const size = readUint32(table, at + SIZE);
    if (size < 1 || size > CHUNK_MAX_BYTES) throw invalid('a chunk has no possible size', index, size);
    if (length < 1 || length > CHUNK_FRAME_MAX_BYTES) throw invalid('a frame has no possible length', index, length);
    if (readUint32(table, at + OFFSET) + length > packBytes) throw invalid('a frame leaves its pack', index);
  }
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function invalid(problem: string, index?: number, found?: number): FormatError {
  return new FormatError('CHUNK_TABLE_INVALID', `a table of chunks is not right: ${problem}`, {
    ...(found === undefined ? {} : { found }),
    ...(index === undefined ? {} : { at: { key: `[${index}]` } }),
  });
}
