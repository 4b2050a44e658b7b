import { CHUNK_RECORD_BYTES, chunksSizeBytes } from '../../formats/repository/chunk-table.ts';
import type { ChunkTable, FileOptions } from '../../ports/chunks.ts';
import { AdapterError } from '../errors.ts';
import { planRuns, WORKER_RUN } from './plan-runs.ts';
import type { FileWrite } from './requests.ts';
import type { RunOpening } from './run-opener.ts';

/**
 * The runs of a file, each with the places in the file that its bytes go to. `extents` tell where, end to end; without
 * them from the start.
 *
 * @throws AdapterError FILE_SIZE_MISMATCH when the extents are not as long as the chunks
 */
export function* fileRuns(
  chunks: ChunkTable,
  path: string,
  extents: FileOptions['extents'],
): Generator<Pick<RunOpening, 'run' | 'request'>> {
  const sizeBytes = chunksSizeBytes(chunks);
  if (extents !== undefined) {
    const placed = extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    if (placed !== sizeBytes) {
      throw new AdapterError('FILE_SIZE_MISMATCH', 'The runs of a file are not as long as its data', {
        at: { file: path },
        expected: sizeBytes,
        found: placed,
        hint: 'The snapshot says two things that do not fit: restore another one.',
      });
    }
  }
  const take = placer(extents ?? [{ offsetBytes: 0, lengthBytes: sizeBytes }]);
  for (const run of planRuns(chunks, WORKER_RUN)) {
    const writes = take(run.plainBytes);
    yield {
      run,
      request(frames, done) {
        // Chunks that were written by an attempt before are not given again: their places are left out too.
        const doneBytes = chunksSizeBytes(run.chunks.subarray(0, done * CHUNK_RECORD_BYTES));
        return { kind: 'file', frames, path, writes: doneBytes === 0 ? writes : withoutFirst(writes, doneBytes) };
      },
    };
  }
}

/** Cuts extents in order: each call takes the next so many bytes of them. */
function placer(extents: NonNullable<FileOptions['extents']>): (lengthBytes: number) => FileWrite[] {
  let index = 0;
  let used = 0;
  return (lengthBytes) => {
    const writes: FileWrite[] = [];
    for (let left = lengthBytes; left > 0; ) {
      const extent = extents[index];
      if (extent === undefined) throw new Error('the extents end before the data');
      const length = Math.min(left, extent.lengthBytes - used);
      if (length > 0) writes.push({ offsetBytes: extent.offsetBytes + used, lengthBytes: length });
      left -= length;
      used += length;
      if (used === extent.lengthBytes) {
        index += 1;
        used = 0;
      }
    }
    return writes;
  };
}

function withoutFirst(writes: readonly FileWrite[], doneBytes: number): FileWrite[] {
  const take = placer(writes);
  take(doneBytes);
  return take(writes.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0) - doneBytes);
}
