import type { ChunkTable } from '../../../formats/repository/chunk-table.ts';
import type { StreamEntry } from '../../../formats/repository/contents.ts';
import { UseCaseError } from '../../errors.ts';

export interface WholeStream {
  readonly sizeBytes: number;
  readonly chunks: ChunkTable;
}

/** Streams whose lines were read, until the entry comes that they belong to. */
export interface PendingStreams {
  /** The stream, once its last line is there. */
  add(entry: StreamEntry): WholeStream | undefined;
  /** Of a file: each stream belongs to one. @throws UseCaseError SNAPSHOT_NOT_RIGHT */
  take(name: string): WholeStream;
}

/** 48 bytes for each chunk: enough for a file of some TiB, and for every file that is being read at once. */
const MOST_BYTES = 512 * 1024 * 1024;

export function createPendingStreams(): PendingStreams {
  const whole = new Map<string, WholeStream>();
  let lines: ChunkTable[] = [];
  let heldBytes = 0;
  return {
    add({ name, last, sizeBytes, chunks }) {
      lines.push(chunks);
      heldBytes += chunks.length;
      if (heldBytes > MOST_BYTES || whole.has(name)) throw notRight(name, 'it belongs to no file');
      if (!last) return undefined;
      const stream = { sizeBytes, chunks: lines.length === 1 ? chunks : new Uint8Array(Buffer.concat(lines)) };
      lines = [];
      whole.set(name, stream);
      return stream;
    },
    take(name) {
      const stream = whole.get(name);
      if (stream === undefined) throw notRight(name, 'it is not there, or belongs to two files');
      whole.delete(name);
      heldBytes -= stream.chunks.length;
      return stream;
    },
  };
}

function notRight(stream: string, why: string): UseCaseError {
  return new UseCaseError('SNAPSHOT_NOT_RIGHT', `a stream of the contents is not as it should be: ${why}`, {
    at: { file: stream },
    hint: 'Restore another snapshot: the writer of this one is broken or hostile.',
  });
}
