import type { Digest } from '../core/digest.ts';

/** Copies files between disks and reads them back, without memory that grows with their size. */
export interface FileTransfer {
  /**
   * Writes a new file with what `from` holds and syncs it. The bytes are hashed as they are read; when they are not what the
   * digest says, or anything else fails, nothing is left at `to`.
   *
   * @throws AdapterError BLOB_DAMAGED, FILE_MISSING, FILE_UNREADABLE, FILE_SIZE_MISMATCH, SOURCE_CHANGED, DISK_GONE at `from`;
   *   NO_SPACE, READ_ONLY, FILE_UNWRITABLE, DISK_GONE at `to`
   */
  copy(job: CopyJob, options?: TransferOptions): Promise<void>;
  /**
   * Hashes a file as its disk gives it back, past the kernel's cache where the file system can do that.
   *
   * @throws AdapterError FILE_MISSING, FILE_UNREADABLE, FILE_SIZE_MISMATCH, DISK_GONE
   */
  readBack(file: FileToRead, options?: TransferOptions): Promise<ReadBack>;
}

export interface CopyJob {
  readonly from: string;
  readonly to: string;
  readonly sizeBytes: number;
  readonly digest: Digest;
}

export interface FileToRead {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface ReadBack {
  readonly digest: Digest;
  /** Absent when the bytes came from the disk. */
  readonly cached?: CacheDoubt;
}

/**
 * Why what was read back may have come from memory: the file system lives in memory; a program runs it (FUSE) or another
 * machine does, with caches of their own; or it knows no reading past the cache (O_DIRECT).
 */
export type CacheDoubt = 'memory' | 'program' | 'network' | 'unsupported';

export interface TransferOptions {
  readonly signal?: AbortSignal;
  /** Called now and then with the bytes that were read since the call before. */
  readonly onBytes?: (bytes: number) => void;
}
