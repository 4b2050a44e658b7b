import { createLanes } from '../../../core/lanes.ts';
import { CHUNK_MIN_BYTES } from '../../../formats/repository/chunk-table.ts';
import type { SourceWriter } from '../../../ports/backup-source.ts';
import type { StreamRecord } from '../../../ports/chunks.ts';
import { isSparse } from './file-bytes.ts';
import type { Found, SharedFolder } from './walk.ts';

/** Small files, which are read many at a time: for each by itself the way to a worker and back would cost more than its bytes. */
export interface SmallFiles {
  /** Resolves when it is gathered, which may wait for others to be read. @throws the first failure of any */
  give(found: Found, shared: SharedFolder): Promise<void>;
  /** Reads those that are left. @throws the first failure of any */
  finish(): Promise<void>;
  /** Waits for what runs, and lets go of the folders. */
  close(): Promise<void>;
}

export interface SmallFilesSettings {
  readonly writer: SourceWriter;
  /** Of a file that was read. */
  readonly linesOf: (found: Found, record: StreamRecord) => ReturnType<Parameters<SourceWriter['smallFiles']>[1]>;
  /** Reads one that could not be read with the others, or tells why. */
  readonly alone: (found: Found, shared: SharedFolder) => Promise<void>;
}

/** In one batch. */
const MOST_FILES = 256;
const MOST_BYTES = 4 * 1024 * 1024;
/** Each is open while the batch waits. */
const MOST_FOLDERS = 32;

/** One that is read alone has holes, other names, or more than one chunk. */
export function isSmall({ facts }: Found): boolean {
  return (
    facts.kind === 'file' &&
    facts.names < 2 &&
    facts.sizeBytes > 0 &&
    facts.sizeBytes <= CHUNK_MIN_BYTES &&
    !isSparse(facts)
  );
}

interface Batch {
  readonly files: { readonly found: Found; readonly shared: SharedFolder }[];
  readonly holds: AsyncDisposable[];
  sizeBytes: number;
}

export function createSmallFiles({ writer, linesOf, alone }: SmallFilesSettings): SmallFiles {
  const lanes = createLanes(writer.workers + 1);
  let batch = newBatch();

  async function read({ files, holds }: Batch): Promise<void> {
    try {
      const paths = files.map(({ found, shared }) => shared.folder.pathOf(found.name));
      const left = await writer.smallFiles(paths, (place, record) =>
        linesOf((files[place] as Batch['files'][number]).found, record),
      );
      for (const place of left) {
        const { found, shared } = files[place] as Batch['files'][number];
        await alone(found, shared);
      }
    } finally {
      await letGo(holds);
    }
  }

  async function send(): Promise<void> {
    const full = batch;
    batch = newBatch();
    try {
      await lanes.give(() => read(full));
    } catch (error) {
      await letGo(full.holds);
      throw error;
    }
  }

  return {
    async give(found, shared) {
      if (batch.files.at(-1)?.shared !== shared) batch.holds.push(shared.hold());
      batch.files.push({ found, shared });
      batch.sizeBytes += found.facts.sizeBytes;
      const { files, holds, sizeBytes } = batch;
      if (files.length >= MOST_FILES || holds.length >= MOST_FOLDERS || sizeBytes >= MOST_BYTES) await send();
    },
    async finish() {
      if (batch.files.length > 0) await send();
      await lanes.settled();
    },
    async close() {
      await letGo(batch.holds);
      await lanes.settled().catch(() => {});
    },
  };
}

function newBatch(): Batch {
  return { files: [], holds: [], sizeBytes: 0 };
}

async function letGo(holds: AsyncDisposable[]): Promise<void> {
  for (const hold of holds.splice(0)) await hold[Symbol.asyncDispose]();
}
