/**
 * What a writer keeps of files between its runs, on its own machine (docs/backup-files.md, "Files that did not change"). Numbers little endian:
 *
 *     magic     8 bytes    "ptlnfc01"
 *     scope    32 bytes    SHA-256 of what the cache is of
 *     records, each a multiple of 4 bytes:
 *       path     16 bytes    the first of SHA-256 of the path
 *       size      8 bytes
 *       mtime     8 bytes    nanoseconds since 1970
 *       ctime     8 bytes
 *       inode     8 bytes
 *       chunks    4 bytes    how many
 *       table    48 bytes each, as in a chunk table
 *     digest   32 bytes    SHA-256 of all that is before
 */
import { hash } from 'node:crypto';
import { CHUNK_RECORD_BYTES, type ChunkTable } from './chunk-table.ts';

const MAGIC = Buffer.from('ptlnfc01');
export const FILES_CACHE_HEAD_BYTES = MAGIC.length + 32;
export const FILES_CACHE_DIGEST_BYTES = 32;
/** What of a record comes before its table. */
export const CACHED_FILE_BYTES = 52;

const PATH_BYTES = 16;
const COUNT_AT = 48;

/** Of a file: what tells that its bytes are those of the run before. */
export interface FileSigns {
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
}

/** `scope`: whatever makes a cache of one thing useless for another. */
export function encodeFilesCacheHead(scope: string): Buffer {
  return Buffer.concat([MAGIC, hash('sha256', scope, 'buffer')]);
}

/** The first 48 bytes of its record. */
export function signsOfFile(path: Uint8Array, { sizeBytes, mtimeNs, ctimeNs, inode }: FileSigns): Buffer {
  const signs = Buffer.alloc(COUNT_AT);
  hash('sha256', path, 'buffer').copy(signs, 0, 0, PATH_BYTES);
  [BigInt(sizeBytes), mtimeNs, ctimeNs, inode].forEach((value, index) => {
    signs.writeBigUInt64LE(BigInt.asUintN(64, value), PATH_BYTES + index * 8);
  });
  return signs;
}

export function encodeCachedFile(signs: Uint8Array, chunks: ChunkTable): Buffer {
  const record = Buffer.alloc(CACHED_FILE_BYTES + chunks.length);
  record.set(signs);
  record.writeUInt32LE(chunks.length / CHUNK_RECORD_BYTES, COUNT_AT);
  record.set(chunks, CACHED_FILE_BYTES);
  return record;
}

/** Of the record that begins at `at`, table and all. */
export function cachedFileBytes(bytes: Buffer, at: number): number {
  return CACHED_FILE_BYTES + bytes.readUInt32LE(at + COUNT_AT) * CHUNK_RECORD_BYTES;
}

/** By which a record is looked for: its path. */
export function cachedFileTag(bytes: Buffer, at = 0): number {
  return bytes.readUInt32LE(at);
}
