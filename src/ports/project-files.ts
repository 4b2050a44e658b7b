import type { LocalBlob } from './blobs.ts';

/** The files that a definition names. Paths are absolute; links are followed. */
export interface ProjectFiles {
  kind(path: string): Promise<'file' | 'folder' | 'other' | 'absent'>;
  /** A small file whole. Rejects with FILE_TOO_LARGE beyond `limitBytes`, FILE_MISSING, FILE_UNREADABLE when it is not a readable file. */
  read(path: string, limitBytes: number): Promise<Uint8Array>;
  /** What lies directly in a folder, sorted by name (code units). */
  list(folder: string): Promise<readonly ProjectEntry[]>;
  /** The path with every link resolved. */
  realPath(path: string): Promise<string>;
  open(path: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Reads a file of any size once, in constant memory. The blob's path is the file itself. */
  hash(
    path: string,
    options?: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void },
  ): Promise<LocalBlob>;
  /** Temporary name, fsync, rename, fsync of the folder. */
  write(path: string, bytes: Uint8Array | string): Promise<void>;
  /** Makes a folder with its parents. */
  makeFolder(path: string): Promise<void>;
}

export interface ProjectEntry {
  readonly name: string;
  /** Of what a link leads to. */
  readonly kind: 'file' | 'folder' | 'other' | 'absent';
  readonly isLink: boolean;
  /** Files only. */
  readonly sizeBytes: number;
  /** Whether the owner may execute it. */
  readonly executable: boolean;
}
