import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { ChunkTable } from '../../formats/repository/chunk-table.ts';
import {
  CACHED_FILE_BYTES,
  cachedFileBytes,
  cachedFileTag,
  FILES_CACHE_DIGEST_BYTES,
  FILES_CACHE_HEAD_BYTES,
} from '../../formats/repository/files-cache.ts';

/** What a cache holds, found by the signs of a file. Memory: 16 to 32 bytes a file. */
export interface FormerFiles {
  find(signs: Buffer): ChunkTable | undefined;
}

const BLOCK_BYTES = 1024 * 1024;
const WINDOW_BYTES = 64 * 1024;
/** Records begin at multiples of this, so that 32 bits name a place in 16 GiB. */
const ALIGNMENT = 4;
const MAX_BYTES = ALIGNMENT * 2 ** 32;

/** `undefined` unless it is of this head and whole to the last bit. */
export async function readFormerFiles(
  file: FileHandle,
  head: Uint8Array,
  signal: AbortSignal,
): Promise<FormerFiles | undefined> {
  const { size } = await file.stat();
  const end = size - FILES_CACHE_DIGEST_BYTES;
  if (end < FILES_CACHE_HEAD_BYTES || size > MAX_BYTES) return undefined;
  const found = Buffer.alloc(FILES_CACHE_HEAD_BYTES);
  await readAt(file, found, 0);
  if (!found.equals(head)) return undefined;
  const table = await readTable(file, end, signal);
  return table === undefined ? undefined : createFinder(file.fd, table);
}

/** Tags and places, by open addressing, half full at most. */
interface Table {
  readonly tags: Uint32Array;
  /** In units of `ALIGNMENT`; 0 is an empty place, where no record begins. */
  readonly places: Uint32Array;
}

async function readTable(file: FileHandle, end: number, signal: AbortSignal): Promise<Table | undefined> {
  const hash = createHash('sha256');
  const block = Buffer.alloc(BLOCK_BYTES);
  let table: Table = { tags: new Uint32Array(2048), places: new Uint32Array(2048) };
  let count = 0;
  let next = FILES_CACHE_HEAD_BYTES;
  for (let at = 0; at < end; ) {
    signal.throwIfAborted();
    const bytes = block.subarray(0, Math.min(BLOCK_BYTES, end - at));
    if (!(await readAt(file, bytes, at))) return undefined;
    const limit = at + bytes.length;
    while (next + CACHED_FILE_BYTES <= limit) {
      count += 1;
      if (count * 2 > table.tags.length) table = doubled(table);
      place(table, cachedFileTag(bytes, next - at), next / ALIGNMENT);
      next += cachedFileBytes(bytes, next - at);
    }
    // The head of a record that is cut here is read again with what follows.
    const read = Math.min(next, limit) - at;
    if (read === 0) return undefined;
    hash.update(bytes.subarray(0, read));
    at += read;
  }
  const digest = Buffer.alloc(FILES_CACHE_DIGEST_BYTES);
  if (next !== end || !(await readAt(file, digest, end))) return undefined;
  return hash.digest().equals(digest) ? table : undefined;
}

function doubled({ tags, places }: Table): Table {
  const larger = { tags: new Uint32Array(tags.length * 2), places: new Uint32Array(tags.length * 2) };
  for (let slot = 0; slot < tags.length; slot += 1) {
    if (places[slot] !== 0) place(larger, tags[slot] as number, places[slot] as number);
  }
  return larger;
}

function place({ tags, places }: Table, tag: number, where: number): void {
  let slot = tag % tags.length;
  while (places[slot] !== 0) slot = (slot + 1) % tags.length;
  tags[slot] = tag;
  places[slot] = where;
}

/** Synchronous: files are asked for in about the order in which they were put, so that most are in the window already. */
function createFinder(fd: number, { tags, places }: Table): FormerFiles {
  let window = Buffer.alloc(0);
  let windowAt = 0;

  function bytesAt(at: number, length: number): Buffer | undefined {
    if (at < windowAt || at + length > windowAt + window.length) {
      const fresh = Buffer.alloc(Math.max(WINDOW_BYTES, length));
      window = fresh.subarray(0, readSync(fd, fresh, 0, fresh.length, at));
      windowAt = at;
    }
    return length > window.length ? undefined : window.subarray(at - windowAt, at - windowAt + length);
  }

  return {
    find(signs) {
      const tag = cachedFileTag(signs);
      for (let slot = tag % tags.length; places[slot] !== 0; slot = (slot + 1) % tags.length) {
        if (tags[slot] !== tag) continue;
        const at = (places[slot] as number) * ALIGNMENT;
        const head = bytesAt(at, CACHED_FILE_BYTES);
        if (head === undefined || !head.subarray(0, signs.length).equals(signs)) continue;
        return bytesAt(at, cachedFileBytes(head, 0))?.subarray(CACHED_FILE_BYTES);
      }
      return undefined;
    },
  };
}

async function readAt(file: FileHandle, into: Buffer, at: number): Promise<boolean> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, at + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}
