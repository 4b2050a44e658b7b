import { CHUNK_BYTES } from '../../formats/age/payload.ts';
import {
  CHUNK_MAX_BYTES,
  CHUNK_RECORD_BYTES,
  type ChunkRecord,
  checkChunkTable,
  chunksOf,
} from '../../formats/repository/chunk-table.ts';
import type { ChunkTable } from '../../ports/chunks.ts';

/** Frames of one pack that lie close together, read at once. Offsets are of the pack's plaintext. */
export interface ChunkRun {
  readonly pack: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** In the order of the stream. */
  readonly chunks: ChunkTable;
  /** What they open to. */
  readonly plainBytes: number;
}

interface RunLimits {
  readonly readBytes: number;
  readonly plainBytes: number;
}

/** Frames that are read at once lie within this many bytes. The largest frame of all fits. */
export const READ_BYTES = CHUNK_MAX_BYTES + CHUNK_BYTES;
/** What is opened for a stream goes to the calling thread: this much at a time. */
export const STREAM_RUN: RunLimits = { readBytes: READ_BYTES, plainBytes: CHUNK_MAX_BYTES };
/** What stays in a worker: as much as lies between two looks at an abort, and two words of progress. */
export const WORKER_RUN: RunLimits = { readBytes: READ_BYTES, plainBytes: 64 * 1024 * 1024 };

/** What lies between two frames is read along when it is at most this much: less than what a second request costs. */
const GAP_BYTES = 64 * 1024;

/** Cuts the chunks of a stream into runs, in order. @throws FormatError CHUNK_TABLE_INVALID */
export function* planRuns(chunks: ChunkTable, limits: RunLimits): Generator<ChunkRun> {
  checkChunkTable(chunks);
  let first: ChunkRecord | undefined;
  let firstIndex = 0;
  let endBytes = 0;
  let plainBytes = 0;
  let index = 0;
  const run = (from: ChunkRecord): ChunkRun => ({
    pack: from.pack,
    offsetBytes: from.offsetBytes,
    lengthBytes: endBytes - from.offsetBytes,
    chunks: chunks.subarray(firstIndex * CHUNK_RECORD_BYTES, index * CHUNK_RECORD_BYTES),
    plainBytes,
  });
  for (const record of chunksOf(chunks)) {
    const joins =
      first !== undefined &&
      record.pack === first.pack &&
      record.offsetBytes >= endBytes &&
      record.offsetBytes - endBytes <= GAP_BYTES &&
      record.offsetBytes + record.lengthBytes - first.offsetBytes <= limits.readBytes &&
      plainBytes + record.sizeBytes <= limits.plainBytes;
    if (!joins) {
      if (first !== undefined) yield run(first);
      first = record;
      firstIndex = index;
      plainBytes = 0;
    }
    endBytes = record.offsetBytes + record.lengthBytes;
    plainBytes += record.sizeBytes;
    index += 1;
  }
  if (first !== undefined) yield run(first);
}
