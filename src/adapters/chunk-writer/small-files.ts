import { constants } from 'node:fs';
import { CHUNK_MIN_BYTES } from '../../formats/repository/chunk-table.ts';
import { AdapterError } from '../errors.ts';
import { assertUnchanged, closeSource, openSource, readFully } from '../sealing/local-files.ts';
import type { Chunker } from './chunker.ts';
import type { SmallFilesRead } from './messages.ts';

export interface SmallFilesControl {
  /** Told of the bytes of each file; may throw. */
  readonly advance: (bytes: number) => void;
  /** Of this file there is no chunk. */
  readonly leaveOut: () => void;
}

/** Feeds many files to the chunker, each as a stream of its own that becomes one chunk. */
export function feedSmallFiles(
  { paths, count }: SmallFilesRead,
  chunker: Chunker,
  { advance, leaveOut }: SmallFilesControl,
): void {
  const joined = Buffer.from(paths.buffer, paths.byteOffset, paths.length);
  for (let index = 0, at = 0; index < count; index += 1) {
    const found = joined.indexOf(0, at);
    const end = found < 0 ? joined.length : found;
    const sizeBytes = readSmall(joined.subarray(at, end), chunker);
    at = end + 1;
    if (sizeBytes === undefined) {
      leaveOut();
      continue;
    }
    chunker.accept(sizeBytes);
    chunker.end();
    advance(sizeBytes);
  }
}

/** Into the chunker's room. `undefined` when it is not to be had as one chunk, for whatever reason. */
function readSmall(path: Uint8Array, chunker: Chunker): number | undefined {
  try {
    const source = openSource(path, constants.O_NOFOLLOW);
    try {
      const { sizeBytes } = source;
      if (sizeBytes === 0 || sizeBytes > CHUNK_MIN_BYTES) return undefined;
      readFully(source, chunker.room().subarray(0, sizeBytes), 0);
      // Before the chunk is taken: nothing of a file that changed meanwhile is stored.
      assertUnchanged(source);
      return sizeBytes;
    } finally {
      closeSource(source);
    }
  } catch (error) {
    if (error instanceof AdapterError) return undefined;
    throw error;
  }
}
