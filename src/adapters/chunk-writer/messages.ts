import type { Digest } from '../../core/digest.ts';
import type { ChunkTable, CopyOutJob } from '../../ports/chunks.ts';
import type { RingMemory } from './ring.ts';
import type { SharedMemory } from './shared-memory.ts';

/** What a worker is given when it starts. Keys travel by structured clone between threads of one process. */
export interface WorkerStart {
  readonly memory: SharedMemory;
  readonly index: SharedArrayBuffer;
  readonly ring: RingMemory;
  /** Word 0: the number of the job that is to end at once. */
  readonly control: Int32Array<SharedArrayBuffer>;
  /** Of HMAC-SHA-256. */
  readonly chunkIdKey: Uint8Array;
  readonly gear: Uint8Array;
  /** How long a database may say nothing. */
  readonly silenceMs: number;
}

export interface FileRead {
  readonly path: string | Uint8Array;
  readonly extents?: readonly { readonly offsetBytes: number; readonly lengthBytes: number }[];
}

/** Paths joined by NUL, which none of them has. */
export interface SmallFilesRead {
  readonly paths: Uint8Array;
  readonly count: number;
}

export type WorkerJob =
  | { readonly kind: 'stream' }
  | { readonly kind: 'file'; readonly file: FileRead }
  | { readonly kind: 'small-files'; readonly files: SmallFilesRead }
  | { readonly kind: 'copy'; readonly copy: CopyOutJob }
  /** Seals the open pack, and ends the session with the database. */
  | { readonly kind: 'flush' };

export interface JobReply {
  readonly sizeBytes: number;
  readonly chunks: ChunkTable;
  readonly reusedBytes: number;
  /** Of a COPY. */
  readonly rows: number;
}

export type ToWorker =
  | { readonly type: 'job'; readonly number: number; readonly job: WorkerJob }
  /** For a worker that waits for the database; one that is in a loop sees its control word. */
  | { readonly type: 'abort'; readonly number: number };

/** A sealed pack: bytes of a slot, which is the main thread's until it is free again. */
export interface SealedPack {
  readonly slot: number;
  readonly number: number;
  readonly startAt: number;
  readonly sizeBytes: number;
  readonly digest: Digest;
  readonly chunks: ChunkTable;
}

export type FromWorker =
  | { readonly type: 'bytes'; readonly bytes: number }
  | { readonly type: 'pack'; readonly pack: SealedPack }
  | { readonly type: 'done'; readonly reply: JobReply; readonly bytes: number }
  | { readonly type: 'failed'; readonly failure: unknown; readonly bytes: number }
  | { readonly type: 'aborted' };
