import type { FileSigns } from '../formats/repository/files-cache.ts';
import type { ChunkTable } from './chunks.ts';

/**
 * What the run before knew of files, on the writer's machine. It only ever saves work: whatever is wrong with it, files are read again.
 * Nothing here rejects but by the signal.
 */
export interface FilesCache extends AsyncDisposable {
  /** The chunks of a file with the same signs under the same path; its bytes are the path's. */
  find(path: Uint8Array, signs: FileSigns): ChunkTable | undefined;
  /** For the run after. */
  put(path: Uint8Array, signs: FileSigns, chunks: ChunkTable): void;
  /** What was put replaces what was there; without it nothing does. */
  commit(): Promise<void>;
}

export type OpenFilesCache = (options: { readonly signal: AbortSignal }) => Promise<FilesCache>;
