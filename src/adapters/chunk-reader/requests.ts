/** What the reader asks of its workers. Keys and slots are shared between threads of one process, not copied. */
import type { KeyObject } from 'node:crypto';
import type { ChunkTable, CopyInJob } from '../../ports/chunks.ts';

/** Sealed age chunks that lie in a slot, and the frames in them that are wanted. */
export interface SealedFrames {
  readonly slot: SharedArrayBuffer;
  /** From the slot's start: whole age chunks. */
  readonly sealedBytes: number;
  /** Number of the first of them in the payload. */
  readonly firstChunk: number;
  /** The last of them is the last of the payload. */
  readonly endsPayload: boolean;
  readonly payloadKey: KeyObject;
  readonly chunks: ChunkTable;
}

/** Where a run of the opened bytes goes in a file. */
export interface FileWrite {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export type ReaderRequest =
  | { readonly kind: 'check'; readonly frames: SealedFrames }
  | { readonly kind: 'bytes'; readonly frames: SealedFrames }
  | {
      readonly kind: 'file';
      readonly frames: SealedFrames;
      readonly path: string;
      readonly writes: readonly FileWrite[];
    }
  | { readonly kind: 'copy-open'; readonly job: CopyInJob }
  | { readonly kind: 'copy-frames'; readonly frames: SealedFrames }
  | { readonly kind: 'copy-end' }
  | { readonly kind: 'copy-abort' }
  | { readonly kind: 'close' };

/** Why frames are not what they should be, after `done` of them were handed on. */
export interface FrameDamage {
  readonly why: string;
  readonly done: number;
}

export interface ReaderReply {
  readonly damage?: FrameDamage;
  readonly pieces?: readonly Uint8Array[];
  readonly rows?: number;
}

export interface WorkerSettings {
  /** Of `HMAC-SHA-256(key, plaintext)`. */
  readonly chunkIdKey: Uint8Array;
  /** Of a database: see ../postgres/silence.ts. */
  readonly silenceMs?: number | undefined;
}

export type WorkerMessage =
  | { readonly call: number; readonly reply: ReaderReply }
  | { readonly call: number; readonly failure: unknown };
