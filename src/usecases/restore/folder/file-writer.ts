import { createLanes } from '../../../core/lanes.ts';
import { retold } from '../../../core/retold.ts';
import { type ChunkTable, chunksSizeBytes, readChunk } from '../../../formats/repository/chunk-table.ts';
import type { ChunkReader } from '../../../ports/chunks.ts';
import type { Extent, FileMarks, RefusedMark } from '../../../ports/file-tree.ts';
import { UseCaseError } from '../../errors.ts';
import { isCode } from '../../repository/objects.ts';
import type { IsEqual } from './equal-file.ts';
import type { HeldFolder } from './open-folders.ts';

export interface FileToWrite {
  /** Let go when the file is there. */
  readonly held: HeldFolder;
  readonly name: Buffer;
  /** For messages. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly chunks: ChunkTable;
  /** Without them the chunks are all of the file. */
  readonly extents?: readonly Extent[];
  readonly marks: FileMarks;
}

export interface FileWriter {
  write(file: FileToWrite): Promise<void>;
  /** When everything has its name. */
  settle(): Promise<void>;
  /** Lets go of what was given and not written, after a failure. */
  drop(): Promise<void>;
}

export interface FileWriterSettings {
  readonly reader: ChunkReader;
  readonly isEqual: IsEqual;
  /** Whether there may be files of a restore before, or others. */
  readonly looksFirst: boolean;
  readonly onRefused: (refused: readonly RefusedMark[], path: string) => void;
  readonly onKept: () => void;
  readonly signal: AbortSignal;
}

/** Files up to this size are fetched together: many of them lie in a row in one pack. */
const SMALL_BYTES = 256 * 1024;
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_FILES = 512;
const FILES_AT_ONCE = 16;

/** Writes files with their bytes. A large one is written by the reader's workers; small ones are fetched in one go, many at a time. */
export function createFileWriter(settings: FileWriterSettings): FileWriter {
  const { reader, isEqual, looksFirst, onRefused, onKept, signal } = settings;
  const lanes = createLanes(FILES_AT_ONCE);
  let batch: FileToWrite[] = [];
  let batchBytes = 0;

  const isThere = async ({ held: { folder }, name, ...expected }: FileToWrite): Promise<boolean> => {
    if (!looksFirst) return false;
    const found = await folder.look(name);
    if (found?.kind !== 'file' || found.sizeBytes !== expected.sizeBytes) return false;
    try {
      await using file = await folder.open(name);
      return file !== undefined && (await isEqual(file, expected, { signal }));
    } catch (error) {
      // Closed to its owner, or on a bad place of the disk: it is written again.
      if (isCode(error, 'FILE_UNREADABLE')) return false;
      throw error;
    }
  };
  const writeLarge = async ({ held: { folder }, name, path, sizeBytes, chunks, extents, marks }: FileToWrite) => {
    const file = await folder.create(sizeBytes);
    try {
      await reader.file(chunks, file.path, { signal, ...(extents === undefined ? {} : { extents }) });
      onRefused(await file.commit(name, marks), path);
    } catch (error) {
      throw retold(error, file.path, `${folder.place}/${name}`);
    } finally {
      await file.discard();
    }
  };
  const writeSmall = async ({ held, name, path, sizeBytes, extents, marks }: FileToWrite, bytes: Uint8Array) => {
    await using _ = held;
    // One without holes gets its length by what is written.
    const file = await held.folder.create(extents === undefined ? 0 : sizeBytes);
    try {
      let done = 0;
      for (const { offsetBytes, lengthBytes } of extents ?? [{ offsetBytes: 0, lengthBytes: sizeBytes }]) {
        await file.write(bytes.subarray(done, done + lengthBytes), offsetBytes);
        done += lengthBytes;
      }
      onRefused(await file.commit(name, marks), path);
    } finally {
      await file.discard();
    }
  };
  /** Whether the file is small, and its folder is still held for it. Otherwise all is done. */
  const takes = async (file: FileToWrite): Promise<boolean> => {
    let isWaiting = false;
    try {
      requireFitting(file);
      if (await isThere(file)) {
        onRefused(await file.held.folder.mark(file.name, file.marks), file.path);
        onKept();
      } else {
        isWaiting = chunksSizeBytes(file.chunks) <= SMALL_BYTES;
        if (!isWaiting) await writeLarge(file);
      }
      return isWaiting;
    } finally {
      if (!isWaiting) await file.held[Symbol.asyncDispose]();
    }
  };
  const flush = async () => {
    // In the order in which they lie in their packs, so that few reads fetch them.
    const files = batch.sort(byPlace);
    const bytes = createCutter(reader.stream(joined(files), { signal }));
    try {
      for (let file = files.shift(); file !== undefined; file = files.shift()) {
        const next = file;
        try {
          const content = await bytes.take(chunksSizeBytes(next.chunks));
          await lanes.give(() => writeSmall(next, content));
        } catch (error) {
          await next.held[Symbol.asyncDispose]();
          throw error;
        }
      }
    } finally {
      await bytes.end();
    }
    batch = [];
    batchBytes = 0;
  };
  return {
    async write(file) {
      if (!(await takes(file))) return;
      batch.push(file);
      batchBytes += chunksSizeBytes(file.chunks);
      if (batch.length >= BATCH_FILES || batchBytes >= BATCH_BYTES) await flush();
    },
    async settle() {
      await flush();
      await lanes.settled();
    },
    async drop() {
      await lanes.settled().catch(() => {});
      for (const { held } of batch.splice(0)) await held[Symbol.asyncDispose]();
    },
  };
}

/** @throws UseCaseError SNAPSHOT_NOT_RIGHT when extents, chunks and size do not fit each other */
function requireFitting({ path, sizeBytes, chunks, extents }: FileToWrite): void {
  let end = 0;
  let dataBytes = 0;
  let isRight = true;
  for (const { offsetBytes, lengthBytes } of extents ?? [{ offsetBytes: 0, lengthBytes: sizeBytes }]) {
    if (offsetBytes < end || offsetBytes + lengthBytes > sizeBytes) isRight = false;
    end = offsetBytes + lengthBytes;
    dataBytes += lengthBytes;
  }
  if (isRight && dataBytes === chunksSizeBytes(chunks)) return;
  throw new UseCaseError('SNAPSHOT_NOT_RIGHT', 'what the contents say of a file does not fit together', {
    at: { file: path },
    expected: `${sizeBytes} bytes, ${dataBytes} of them data`,
    found: `${chunksSizeBytes(chunks)} bytes of data`,
    hint: 'Restore another snapshot: the writer of this one is broken or hostile.',
  });
}

function byPlace(a: FileToWrite, b: FileToWrite): number {
  if (a.chunks.length === 0 || b.chunks.length === 0) return a.chunks.length - b.chunks.length;
  const [first, second] = [readChunk(a.chunks, 0), readChunk(b.chunks, 0)];
  return first.pack - second.pack || first.offsetBytes - second.offsetBytes;
}

function joined(files: readonly FileToWrite[]): ChunkTable {
  return new Uint8Array(Buffer.concat(files.map(({ chunks }) => chunks)));
}

/** Cuts a stream into parts of given lengths, each a copy of its own. */
function createCutter(stream: AsyncIterable<Uint8Array>) {
  const pieces = stream[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  return {
    async take(lengthBytes: number): Promise<Uint8Array> {
      const part = new Uint8Array(lengthBytes);
      for (let done = 0; done < lengthBytes; ) {
        if (rest.length === 0) {
          const next = await pieces.next();
          if (next.done === true) throw new Error('a stream of chunks ended before its size');
          rest = next.value;
        }
        const length = Math.min(rest.length, lengthBytes - done);
        part.set(rest.subarray(0, length), done);
        rest = rest.subarray(length);
        done += length;
      }
      return part;
    },
    async end(): Promise<void> {
      await pieces.return?.();
    },
  };
}
