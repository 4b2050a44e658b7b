import type { Digest } from '../core/digest.ts';
import type { DatabaseConnection } from './database-connection.ts';

/** Chunks of one stream in their order: records of 48 bytes (src/formats/repository/chunk-table.ts). */
export type ChunkTable = Uint8Array;

/** What one stream became. */
export interface StreamRecord {
  /** Of the plaintext. */
  readonly sizeBytes: number;
  readonly chunks: ChunkTable;
}

/** Rows that a COPY delivered. */
export interface CopyRecord extends StreamRecord {
  /** By the server's command tag; equal to the number of rows that were counted in the stream. */
  readonly rows: number;
}

/** `COPY … TO STDOUT` in text form, on a connection of its own. */
export interface CopyOutJob {
  readonly connection: DatabaseConnection;
  /** Run before, one after the other: begins the transaction, sets the snapshot and the settings. A worker keeps a session for jobs with the same list. */
  readonly session: readonly string[];
  readonly copy: string;
}

/** A pack that was written in this run. */
export interface NewPack {
  readonly number: number;
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Its chunks, with this pack's number. */
  readonly chunks: ChunkTable;
}

export interface ChunkWriterSettings {
  /** HKDF'ed by the writer: 32 bytes. */
  readonly idKey: Uint8Array;
  readonly repository: string;
  /** The run's: `age1pq1…`. */
  readonly recipient: string;
  /** Chunks that may be reused, with the numbers of their packs. */
  readonly known: AsyncIterable<ChunkTable> | Iterable<ChunkTable>;
  /** How many those are, at most. */
  readonly knownCount: number;
  /** New packs are numbered from here. */
  readonly firstPack: number;
  /** Bytes that are expected, and files of which each is a chunk at least, for the size of the table; guesses. */
  readonly expectedBytes?: number;
  readonly expectedFiles?: number;
  readonly workers?: number;
  /** Stores a finished pack; the bytes, which are memory shared with workers, are the writer's again when it resolves. */
  readonly store: (digest: Digest, bytes: Uint8Array, signal: AbortSignal) => Promise<void>;
  readonly onPack?: (pack: NewPack) => void | Promise<void>;
  /** Plaintext bytes since the call before. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Cuts streams into chunks, leaves out what is known, packs, seals and stores the rest. Calls run beside each other. */
export interface ChunkWriter {
  readonly workers: number;
  /** Bytes that come to the calling thread: the output of a child process. A part is copied before the next one is asked for: its memory may be used again then. */
  stream(input: AsyncIterable<Uint8Array>, options?: { readonly signal?: AbortSignal }): Promise<StreamRecord>;
  /** A local file (a name that is no UTF-8 as bytes), no symbolic link, read by a worker; only the runs of bytes named, end to end (a sparse file's data), or all of it. */
  file(path: string | Uint8Array, options?: FileOptions): Promise<StreamRecord>;
  /**
   * Many small files in one go, far cheaper than one by one: a record for each, in their order, since each is one chunk. Its size is 0
   * where a file is empty, has more than `CHUNK_MIN_BYTES`, changed meanwhile or could not be read: `file` tells why.
   */
  smallFiles(paths: readonly Uint8Array[], options?: { readonly signal?: AbortSignal }): Promise<ChunkTable>;
  copy(job: CopyOutJob, options?: { readonly signal?: AbortSignal }): Promise<CopyRecord>;
  /** Takes chunks by their ids, unread; `undefined`, and nothing is taken, unless every one of them is known. */
  known(chunks: ChunkTable): StreamRecord | undefined;
  /** Seals and stores the open packs. After it, every record that was returned is readable from the store. */
  finish(): Promise<{
    readonly packs: number;
    readonly storedBytes: number;
    readonly newBytes: number;
    readonly reusedBytes: number;
  }>;
  /** Ends workers; what was not finished is dropped. */
  close(): Promise<void>;
}

export interface FileOptions {
  readonly extents?: readonly { readonly offsetBytes: number; readonly lengthBytes: number }[];
  readonly signal?: AbortSignal;
}

/** Where the chunk reader finds a pack. */
export interface PackSource {
  readonly number: number;
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The run's `AGE-SECRET-KEY-PQ-1…`. */
  readonly identity: string;
}

export interface ChunkReaderSettings {
  readonly idKey: Uint8Array;
  readonly repository: string;
  readonly pack: (number: number) => PackSource;
  /** Bytes of a sealed pack, into `into`. */
  readonly read: (
    pack: PackSource,
    range: { readonly offsetBytes: number; readonly lengthBytes: number },
    into: Uint8Array,
    options: { readonly version?: string; readonly signal: AbortSignal },
  ) => Promise<void>;
  /** A version of the pack's object that has the pack's digest, where the newest has not. */
  readonly findVersion: (pack: PackSource, signal: AbortSignal) => Promise<string | undefined>;
  readonly workers?: number;
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** `COPY … FROM STDIN` in text form. */
export interface CopyInJob {
  readonly connection: DatabaseConnection;
  readonly session: readonly string[];
  /** Begins and ends in one transaction with these around it. */
  readonly before: readonly string[];
  readonly copy: string;
  readonly after: readonly string[];
}

/** Opens chunks: every one is authenticated, decompressed within its stated size, and its id computed again before a byte of it is handed on. */
export interface ChunkReader {
  readonly workers: number;
  /** To the calling thread, in order, in pieces of at most 4 MiB; each is valid until the next is asked for. */
  stream(chunks: ChunkTable, options?: { readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Into an existing file, end to end into the runs named, or from its start. */
  file(chunks: ChunkTable, path: string, options?: FileOptions): Promise<void>;
  /** Resolves with the rows that the server counted. */
  copy(chunks: ChunkTable, job: CopyInJob, options?: { readonly signal?: AbortSignal }): Promise<number>;
  /** Opens and checks, and hands on nothing. */
  check(chunks: ChunkTable, options?: { readonly signal?: AbortSignal }): Promise<void>;
  close(): Promise<void>;
}
