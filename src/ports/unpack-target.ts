/**
 * A folder that appears whole or not at all: everything is written under a temporary name beside it and renamed at the end.
 * Paths are relative, with forward slashes, and were checked by the caller to stay inside.
 */
export interface UnpackTarget {
  /** Creates the file with its final size, and its folders. Returns its present absolute path. */
  createFile(path: string, sizeBytes: number): Promise<string>;
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  /** A second file with the same content. */
  copyFile(from: string, to: string): Promise<void>;
  /** Unix permission bits. */
  setMode(path: string, mode: number): Promise<void>;
  freeBytes(): Promise<number>;
  /** Makes everything durable and gives the folder its name. */
  commit(): Promise<void>;
  /** Removes what was written. Does nothing after `commit`. */
  discard(): Promise<void>;
}
