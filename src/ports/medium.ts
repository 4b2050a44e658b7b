import type { Digest } from '../core/digest.ts';
import type { Descriptor } from '../formats/oci/types.ts';

/**
 * A medium: an OCI image layout in a folder that may be a stick. Bundles are its tags. Nothing on it is trusted:
 * `readBlob` hashes what it returns; whoever reads a blob by its path checks it as well.
 */
export interface Medium {
  /** Absolute path of the folder. */
  readonly folder: string;
  /** The manifests of index.json. Empty for a new medium. */
  readIndex(): Promise<readonly Descriptor[]>;
  /** Replaces index.json: the one step that makes a bundle appear or change. Everything it names is durable before. */
  commitIndex(manifests: readonly Descriptor[]): Promise<void>;
  /** Where a blob lies, present or not. */
  blobPath(digest: Digest): string;
  /** `undefined` when the blob is not there. */
  statBlob(digest: Digest): Promise<BlobFacts | undefined>;
  /** A small blob, checked against its digest. */
  readBlob(digest: Digest, maxBytes: number): Promise<Uint8Array>;
  /** The first bytes of a blob, unchecked. */
  readBlobStart(digest: Digest, maxBytes: number): Promise<Uint8Array>;
  /** Writes a small blob, durably. */
  putBlob(bytes: Uint8Array): Promise<Digest>;
  /** A new name on the medium's file system, for `commitBlob`. */
  temporaryPath(): string;
  /** Renames a file that was written and synced at `temporaryPath` to its blob's name. */
  commitBlob(temporaryPath: string, digest: Digest): Promise<BlobFacts>;
  /** Makes the names of all committed blobs durable. */
  syncBlobs(): Promise<void>;
  /** A small file beside index.json; `undefined` when it is not there. */
  readFile(name: string, maxBytes: number): Promise<Uint8Array | undefined>;
  writeFile(name: string, bytes: Uint8Array): Promise<void>;
  removeFile(name: string): Promise<void>;
  /** Names of the files beside index.json. */
  listFiles(): Promise<string[]>;
  /** What an ordinary user may still write, in bytes. */
  freeBytes(): Promise<number>;
  volume(): Promise<Volume>;
  /** Removes a blob, durably: one that turned out not to be what its name says. */
  removeBlob(digest: Digest): Promise<void>;
  /**
   * Whether the folder is still the one that was opened: under the name of a mount that is gone lies another folder.
   *
   * @throws AdapterError DISK_GONE
   */
  assertThere(): Promise<void>;
  /** Removes every blob that is not in `keep`. Called with the lock held, after the index was committed. */
  removeOtherBlobs(keep: ReadonlySet<Digest>): Promise<void>;
  /** Takes the medium for writing and clears what an interrupted writer left under temporary names. */
  lock(): Promise<AsyncDisposable>;
}

/** The file system that a medium lies on. */
export interface Volume {
  /** What a file takes is a multiple of this. */
  readonly blockBytes: number;
  /** Undefined where no file of a bundle comes near it. */
  readonly maxFileBytes?: number;
}

export interface BlobFacts {
  readonly sizeBytes: number;
  /** Changes when the file is written or replaced: device, inode, size and times. Good for nothing on another machine. */
  readonly fingerprint: string;
}
