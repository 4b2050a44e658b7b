import type { ContentsEntry } from '../formats/repository/contents.ts';
import type { SnapshotSource } from '../formats/repository/snapshot-details.ts';
import type { ChunkTable, CopyOutJob, CopyRecord, FileOptions, StreamRecord } from './chunks.ts';

/** Something that a run backs up: a PostgreSQL server's databases, a folder. */
export interface BackupSource {
  readonly kind: 'postgres' | 'files';
  /** Of this source within the snapshot: `[a-z0-9][a-z0-9-]*`. */
  readonly name: string;
  /** For messages, without secrets. */
  readonly place: string;
  /** About how much there is to read; also finds what would fail later. */
  prepare(options: { readonly signal: AbortSignal }): Promise<Expected>;
  /** Reads everything in one consistent state. Rejects rather than leave anything out. */
  backUp(writer: SourceWriter, options: { readonly signal: AbortSignal }): Promise<SourceSummary>;
}

export interface Expected {
  readonly expectedBytes: number;
  /** Streams of their own, each a chunk at least. */
  readonly expectedFiles?: number;
}

/** What stands of a source in the sealed part of a snapshot and, at its end, in the contents. */
export interface SourceSummary extends SnapshotSource {
  /** What was there in the run before and is gone, or less than half: nothing may be forgotten until a person has looked. */
  readonly collapses?: readonly string[];
}

/** Where a source writes to; entries keep the order in which they were given. */
export interface SourceWriter {
  /** How many streams are worth running at once. */
  readonly workers: number;
  stream(name: string, input: AsyncIterable<Uint8Array>): Promise<StreamRecord>;
  file(name: string, path: string | Uint8Array, options?: FileOptions): Promise<StreamRecord>;
  /**
   * `ChunkWriter.smallFiles`, with the lines of every file that is a chunk now: `linesOf` is told its place in `paths`. Resolves with
   * the places of those that are none.
   */
  smallFiles(
    paths: readonly Uint8Array[],
    linesOf: (place: number, record: StreamRecord) => { readonly stream: string; readonly entry: ContentsEntry },
  ): Promise<readonly number[]>;
  copy(name: string, job: CopyOutJob): Promise<CopyRecord>;
  /** `ChunkWriter.known`: the stream is written, or there is none. */
  known(name: string, chunks: ChunkTable): Promise<StreamRecord | undefined>;
  entry(entry: ContentsEntry): Promise<void>;
}
