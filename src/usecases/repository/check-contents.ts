import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { CHUNK_RECORD_BYTES, type ChunkTable } from '../../formats/repository/chunk-table.ts';
import { packKey, type WriterName } from '../../formats/repository/keys.ts';
import type { Snapshot } from '../../formats/repository/snapshot.ts';
import type { ChunkReader, ChunkReaderSettings } from '../../ports/chunks.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import type { ReadChain } from './chains.ts';
import type { OpenedRepository } from './open.ts';
import { openSnapshot } from './open-snapshot.ts';

export interface CheckedSnapshot {
  readonly writer: WriterName;
  readonly sequence: number;
  readonly digest: Digest;
  /** Why it could not be read whole. */
  readonly problem?: PortolanError;
}

export interface ContentsCheck {
  readonly snapshots: readonly CheckedSnapshot[];
  /** Whose ids were computed again. */
  readonly chunks: number;
  readonly problems: readonly PortolanError[];
}

/**
 * Opens the newest snapshot of each writer: details, contents whole, and of the chosen packs every chunk that the contents
 * name. A chunk that lies in several streams is looked at for each.
 */
export async function checkContents(
  repository: OpenedRepository,
  chains: readonly ReadChain[],
  chosen: ReadonlySet<string>,
  identities: readonly string[],
  {
    createChunkReader,
    progress,
  }: {
    readonly createChunkReader: (settings: ChunkReaderSettings) => Promise<ChunkReader>;
    readonly progress: Progress;
  },
  signal: AbortSignal,
): Promise<ContentsCheck> {
  const snapshots: CheckedSnapshot[] = [];
  const problems: PortolanError[] = [];
  let chunks = 0;
  for (const { writer, snapshots: live } of chains) {
    const newest = live.at(-1);
    if (newest === undefined) continue;
    const { sequence, digest } = newest;
    const name = `${writer}/${sequence}`;
    try {
      const opened = await openSnapshot(repository, name, identities, { signal });
      const { document } = opened.snapshot;
      const wanted = numbersOf(document, chosen);
      const known = new Set(document.packs.map(({ number }) => number));
      const task = progress.task(`checking ${name}`);
      const reader = await createChunkReader({ ...opened.reading, onBytes: (bytes) => task.advance(bytes), signal });
      try {
        for await (const entry of opened.contents({ signal })) {
          if (entry.entry !== 'stream') continue;
          requireKnown(entry.chunks, known, entry.name);
          const table = selectChunks(entry.chunks, wanted);
          if (table.length > 0) await reader.check(table, { signal });
          chunks += table.length / CHUNK_RECORD_BYTES;
        }
      } finally {
        await reader.close();
        task.done();
      }
      snapshots.push({ writer, sequence, digest });
    } catch (error) {
      if (!(error instanceof PortolanError) || error.code.startsWith('STORE_') || signal.aborted) throw error;
      snapshots.push({ writer, sequence, digest, problem: error });
      problems.push(
        new UseCaseError('SNAPSHOT_NOT_RIGHT', `${name} cannot be read whole`, {
          cause: error,
          at: { file: name },
          hint: 'Its older snapshots may be good: run `portolan backup check` with --read-data, and restore one of them.',
          others: [error],
        }),
      );
    }
  }
  return { snapshots, chunks, problems };
}

function numbersOf({ packs }: Snapshot, chosen: ReadonlySet<string>): ReadonlySet<number> {
  return new Set(packs.filter(({ digest }) => chosen.has(packKey(digest))).map(({ number }) => number));
}

/** Where a record of 48 bytes has the number of its pack. */
const PACK_OFFSET = 32;

function requireKnown(chunks: ChunkTable, known: ReadonlySet<number>, stream: string): void {
  const view = Buffer.from(chunks.buffer, chunks.byteOffset, chunks.length);
  for (let at = PACK_OFFSET; at < view.length; at += CHUNK_RECORD_BYTES) {
    const number = view.readUInt32LE(at);
    if (known.has(number)) continue;
    throw new UseCaseError('SNAPSHOT_NOT_RIGHT', `the contents name a pack that the snapshot does not: ${number}`, {
      at: { file: stream },
      hint: 'Restore another snapshot: the writer of this one is broken or hostile.',
    });
  }
}

function selectChunks(chunks: ChunkTable, packs: ReadonlySet<number>): ChunkTable {
  const view = Buffer.from(chunks.buffer, chunks.byteOffset, chunks.length);
  const selected: Buffer[] = [];
  for (let at = 0; at < view.length; at += CHUNK_RECORD_BYTES) {
    if (packs.has(view.readUInt32LE(at + PACK_OFFSET))) selected.push(view.subarray(at, at + CHUNK_RECORD_BYTES));
  }
  return selected.length * CHUNK_RECORD_BYTES === chunks.length ? chunks : new Uint8Array(Buffer.concat(selected));
}
