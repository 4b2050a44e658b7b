import type { Digest } from '../../core/digest.ts';
import { digestOf } from '../../core/digest.ts';
import { giveBack } from '../../core/give-back.ts';
import { sealBytes } from '../../formats/age/sealed-bytes.ts';
import { CHUNK_RECORD_BYTES, type ChunkTable, chunksSizeBytes } from '../../formats/repository/chunk-table.ts';
import { streamEntries } from '../../formats/repository/contents.ts';
import { createContentsEncoder } from '../../formats/repository/contents-file.ts';
import { encodeIndexPart, type IndexPack, splitIndex } from '../../formats/repository/index-table.ts';
import {
  contentsKey,
  indexKey,
  packKey,
  type RepositoryId,
  type RunId,
  type WriterName,
} from '../../formats/repository/keys.ts';
import { createPackUsage } from '../../formats/repository/pack-usage.ts';
import type { SnapshotIndex, SnapshotObject } from '../../formats/repository/snapshot.ts';
import type { SourceWriter } from '../../ports/backup-source.ts';
import type { ChunkWriter, NewPack, StreamRecord } from '../../ports/chunks.ts';
import type { ObjectStore } from '../../ports/object-store.ts';
import { putOnce } from '../repository/objects.ts';

/** What a run writes besides its snapshot. Everything is sealed before it comes to the store. */
export interface RunOutput {
  /** For `ChunkWriterSettings.store`. */
  storePack(digest: Digest, bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /** For `ChunkWriterSettings.onPack`. */
  addPack(pack: NewPack): void;
  /** Where a source writes to. */
  sourceWriter(writer: ChunkWriter): SourceWriter;
  /** After the last source and `ChunkWriter.finish`: the rest of the contents, and the index. */
  finish(reused: (number: number) => UsedPack | undefined): Promise<WrittenRun>;
}

/** A pack of a former run. */
export interface UsedPack {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface WrittenRun {
  /** All that the snapshot names, ascending by number. */
  readonly packs: readonly IndexPack[];
  /** Digests of those that this run wrote. */
  readonly written: ReadonlySet<Digest>;
  readonly contents: readonly SnapshotObject[];
  readonly indexes: readonly SnapshotIndex[];
  /** Bytes of the frames that the snapshot uses. */
  readonly usedBytes: number;
}

export interface RunOutputSettings {
  readonly store: ObjectStore;
  readonly repository: RepositoryId;
  readonly writer: WriterName;
  readonly run: RunId;
  /** The run's: `age1pq1…`. */
  readonly recipient: string;
  /** The writer's: `age1pq1…`. */
  readonly indexRecipient: string;
  readonly signal: AbortSignal;
}

export function createRunOutput(settings: RunOutputSettings): RunOutput {
  const { store, repository, writer, run, recipient, indexRecipient, signal } = settings;
  const usage = createPackUsage();
  const newPacks = new Map<number, NewPack>();
  const contents: SnapshotObject[] = [];

  const putSealed = async (key: string, plaintext: Uint8Array, recipients: readonly string[]) => {
    const bytes = await sealBytes(plaintext, recipients);
    await putOnce(store, key, bytes, { signal });
    const object = { key, digest: digestOf(bytes), sizeBytes: bytes.length };
    giveBack(bytes);
    return object;
  };
  const encoder = createContentsEncoder({
    onPart: async (part, bytes) => {
      contents.push(await putSealed(contentsKey(writer, run, part), bytes, [recipient]));
      giveBack(bytes);
    },
  });

  return {
    async storePack(digest, bytes, packSignal) {
      // A pack is named by its digest: what lies there already is the same, if it has its size.
      const key = packKey(digest);
      const put = await store.put(key, bytes, { signal: packSignal });
      if (put === 'created') return;
      const found = await store.stat(key, { signal: packSignal });
      if (found?.sizeBytes !== bytes.length) await putOnce(store, key, bytes, { signal: packSignal });
    },
    addPack(pack) {
      newPacks.set(pack.number, pack);
    },
    sourceWriter(chunks) {
      const keep = async <R extends StreamRecord>(name: string, record: R): Promise<R> => {
        usage.add(record.chunks);
        await encoder.write(...streamEntries(sourceOf(name), name, record));
        return record;
      };
      return {
        workers: chunks.workers,
        stream: async (name, input) => keep(name, await chunks.stream(input, { signal })),
        file: async (name, path, options = {}) => keep(name, await chunks.file(path, { signal, ...options })),
        async smallFiles(paths, linesOf) {
          const table = await chunks.smallFiles(paths, { signal });
          const left: number[] = [];
          for (let place = 0; place < paths.length; place += 1) {
            const record = oneRecord(table, place);
            if (record.sizeBytes === 0) {
              left.push(place);
              continue;
            }
            usage.add(record.chunks);
            const { stream, entry } = linesOf(place, record);
            await encoder.write(...streamEntries(sourceOf(stream), stream, record), entry);
          }
          return left;
        },
        copy: async (name, job) => keep(name, await chunks.copy(job, { signal })),
        async known(name, table) {
          const record = chunks.known(table);
          return record === undefined ? undefined : await keep(name, record);
        },
        entry: (entry) => encoder.write(entry),
      };
    },
    async finish(reused) {
      await encoder.end();
      const packs = usage.packs().map((number): IndexPack => {
        const pack = newPacks.get(number) ?? reused(number);
        // The chunk writer gave this number itself.
        if (pack === undefined) throw new Error(`the run uses a pack of an unknown number: ${number}`);
        return { number, digest: pack.digest, sizeBytes: pack.sizeBytes, usedBytes: usage.usedBytes(number) };
      });
      const indexes: SnapshotIndex[] = [];
      for (const index of splitIndex(packs, ({ number }) => newPacks.get(number)?.chunks)) {
        const bytes = encodeIndexPart({ repository, run, ...index });
        const object = await putSealed(indexKey(writer, run, index.part), bytes, [indexRecipient, recipient]);
        indexes.push({ run, ...object });
        giveBack(bytes);
        giveBack(index.chunks);
      }
      return {
        packs,
        written: new Set([...newPacks.values()].map(({ digest }) => digest)),
        contents,
        indexes,
        usedBytes: packs.reduce((sum, pack) => sum + pack.usedBytes, 0),
      };
    },
  };
}

function oneRecord(table: ChunkTable, place: number): StreamRecord {
  const chunks = table.subarray(place * CHUNK_RECORD_BYTES, (place + 1) * CHUNK_RECORD_BYTES);
  return { sizeBytes: chunksSizeBytes(chunks), chunks };
}

/** Streams are named `SOURCE/…`. */
function sourceOf(name: string): string {
  return name.slice(0, name.indexOf('/'));
}
