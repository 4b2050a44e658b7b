/**
 * The chunk writer: streams become chunks, chunks packs, packs objects of the store. Worker threads do all that grows with the
 * size; the calling thread hands streams to them, wraps file keys, and puts sealed packs into the store. Memory is a fixed
 * number of slots of 16 MiB, and 64 bytes for each chunk that is known.
 */

import { deriveChunkIdKey, deriveGearTable } from '../../formats/repository/chunk-keys.ts';
import {
  CHUNK_AVERAGE_BYTES,
  CHUNK_RECORD_BYTES,
  checkChunkTable,
  chunksSizeBytes,
} from '../../formats/repository/chunk-table.ts';
import type { ChunkWriter, ChunkWriterSettings, StreamRecord } from '../../ports/chunks.ts';
import { AdapterError } from '../errors.ts';
import { workerDied } from '../worker-died.ts';
import { createChunkIndexMemory, openChunkIndex } from './chunk-index.ts';
import type { JobReply } from './messages.ts';
import { createPackStore } from './pack-store.ts';
import { endRing, type RingMemory, writeRing } from './ring.ts';
import { createSharedMemory, locked, nextPackNumber, setBroken } from './shared-memory.ts';
import { createSeats } from './worker-seats.ts';

export interface ChunkWriterOptions {
  /** The module that a worker runs. A single executable passes a `data:` URL of the bundled module. */
  readonly workerUrl?: URL;
  /** How long a database may send nothing before it is given up. 10 minutes. */
  readonly silenceMs?: number;
}

const WORKERS = 2;
const SILENCE_MS = 600_000;
/** Packs in memory: one that is filled while the other is stored. */
const SLOTS = 2;
/** For the table of chunks, where nobody has a guess. */
const EXPECTED_BYTES = 4 * 1024 * 1024 * 1024;

/** @throws FormatError CHUNK_TABLE_INVALID, RECIPIENT_INVALID */
export async function createChunkWriter(
  settings: ChunkWriterSettings,
  options: ChunkWriterOptions = {},
): Promise<ChunkWriter> {
  const { idKey, repository, signal, onBytes } = settings;
  signal?.throwIfAborted();
  const workers = settings.workers ?? WORKERS;
  const memory = createSharedMemory(SLOTS, settings.firstPack);
  const index = await indexOf(settings);
  const known = openChunkIndex(index);
  const ending = new AbortController();
  const packs = createPackStore(memory, settings, ending.signal, fail);
  await packs.open();
  const seats = createSeats({
    url: options.workerUrl ?? new URL('./worker.ts', import.meta.url),
    workers,
    start: {
      memory,
      index,
      chunkIdKey: deriveChunkIdKey(idKey, repository),
      gear: deriveGearTable(idKey, repository),
      silenceMs: options.silenceMs ?? SILENCE_MS,
    },
    onPack: packs.put,
    onBytes: (bytes) => onBytes?.(bytes),
    onLost: (cause) => fail(workerDied(cause)),
  });
  let reusedBytes = 0;
  let failure: { readonly error: unknown } | undefined;
  let closing: Promise<void> | undefined;
  const onAbort = () => fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();

  /** A pack is lost: records that were handed out already may name it, so nothing of this run can be trusted. */
  function fail(error: unknown): void {
    failure ??= { error };
    setBroken(memory);
    seats.fail(failure.error);
    ending.abort(failure.error);
  }

  function record(reply: Pick<JobReply, 'sizeBytes' | 'reusedBytes' | 'chunks'>): StreamRecord {
    reusedBytes += reply.reusedBytes;
    return { sizeBytes: reply.sizeBytes, chunks: reply.chunks };
  }

  return {
    workers,
    async stream(input, streamOptions = {}) {
      const reply = await seats.run({
        job: { kind: 'stream' },
        signal: streamOptions.signal,
        onStart: (ring, stop, isOver) => void pour(input, ring, isOver).catch(stop),
      });
      return record(reply);
    },
    async file(path, { extents, signal: fileSignal } = {}) {
      const file = { path, ...(extents === undefined ? {} : { extents }) };
      return record(await seats.run({ job: { kind: 'file', file }, signal: fileSignal }));
    },
    async smallFiles(paths, { signal: filesSignal } = {}) {
      const files = { paths: joined(paths), count: paths.length };
      return record(await seats.run({ job: { kind: 'small-files', files }, signal: filesSignal })).chunks;
    },
    async copy(job, copyOptions = {}) {
      const reply = await seats.run({ job: { kind: 'copy', copy: job }, signal: copyOptions.signal });
      return { ...record(reply), rows: reply.rows };
    },
    known(chunks) {
      const records: Uint8Array[] = [];
      for (let at = 0; at < chunks.length; at += CHUNK_RECORD_BYTES) {
        const found = locked(memory, () => known.find(chunks.subarray(at, at + CHUNK_RECORD_BYTES))?.slice());
        if (found === undefined) return undefined;
        records.push(found);
      }
      const table = Buffer.concat(records);
      const sizeBytes = chunksSizeBytes(table);
      onBytes?.(sizeBytes);
      return record({ sizeBytes, reusedBytes: sizeBytes, chunks: table });
    },
    finish: () =>
      seats.flush(async () => {
        await packs.settled();
        if (failure !== undefined) throw failure.error;
        const totals = packs.totals();
        // A worker that failed while it sealed has told so in one job only; the chunks are in the records of others.
        if (totals.packs !== nextPackNumber(memory) - settings.firstPack) throw workerDied(undefined);
        return { ...totals, reusedBytes };
      }),
    close() {
      closing ??= (async () => {
        signal?.removeEventListener('abort', onAbort);
        fail(closed());
        await seats.close();
        await packs.settled();
      })();
      return closing;
    },
  };
}

/** Brings a stream to a worker, as fast as that takes it. */
async function pour(input: AsyncIterable<Uint8Array>, ring: RingMemory, isOver: () => boolean): Promise<void> {
  for await (const bytes of input) {
    await writeRing(ring, bytes, isOver);
    if (isOver()) return;
  }
  if (!isOver()) endRing(ring);
}

/** By NUL. In memory of its own: what a message shares with other buffers travels with it. */
function joined(paths: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(paths.reduce((sum, path) => sum + path.length + 1, 0));
  let at = 0;
  for (const path of paths) {
    bytes.set(path, at);
    at += path.length + 1;
  }
  return bytes;
}

async function indexOf(settings: ChunkWriterSettings): Promise<SharedArrayBuffer> {
  const { known, knownCount, expectedBytes = EXPECTED_BYTES, expectedFiles = 0, signal } = settings;
  const expectedChunks = Math.ceil(expectedBytes / CHUNK_AVERAGE_BYTES);
  // Most files are known after the first run.
  const newFiles = Math.max(0, expectedFiles - knownCount);
  const memory = createChunkIndexMemory(knownCount + newFiles + expectedChunks);
  const index = openChunkIndex(memory);
  for await (const table of known) {
    signal?.throwIfAborted();
    checkChunkTable(table);
    for (let at = 0; at < table.length; at += CHUNK_RECORD_BYTES) {
      const record = table.subarray(at, at + CHUNK_RECORD_BYTES);
      if (index.find(record) === undefined) index.add(record);
    }
  }
  return memory;
}

function closed(): AdapterError {
  return new AdapterError('ENGINE_CLOSED', 'the chunk writer was closed before this was done', {
    hint: 'Run the command again.',
  });
}
