import { createHmac } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { AdapterError } from '../../src/adapters/errors.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { openBytes, sealBytes } from '../../src/formats/age/sealed-bytes.ts';
import { deriveChunkIdKey } from '../../src/formats/repository/chunk-keys.ts';
import {
  type ChunkRecord,
  type ChunkTableBuilder,
  chunksOf,
  createChunkTableBuilder,
} from '../../src/formats/repository/chunk-table.ts';
import { encodePackTail, PACK_BYTES } from '../../src/formats/repository/pack.ts';
import type {
  ChunkReader,
  ChunkReaderSettings,
  ChunkTable,
  ChunkWriter,
  ChunkWriterSettings,
  PackSource,
  StreamRecord,
} from '../../src/ports/chunks.ts';
import { isCode } from '../../src/usecases/repository/objects.ts';

/** Small, so that little content makes many chunks and several packs. */
export const INLINE_CHUNK_BYTES = 4096;
const PACK_FRAME_BYTES = 24 * 1024;

const hexOfId = (id: Uint8Array) => Buffer.from(id).toString('hex');

/**
 * The chunk writer of the format without its worker threads and its speed: for tests that make hundreds of runs. What it writes
 * is what the true one writes, but for where it cuts.
 */
export async function createInlineChunkWriter(settings: ChunkWriterSettings): Promise<ChunkWriter> {
  const { idKey, repository, recipient, firstPack, store, onPack, onBytes, signal } = settings;
  const key = deriveChunkIdKey(idKey, repository);
  const known = new Map<string, ChunkRecord>();
  for await (const table of settings.known) {
    for (const record of chunksOf(table)) known.set(hexOfId(record.id), { ...record, id: record.id.slice() });
  }
  const totals = { packs: 0, storedBytes: 0, newBytes: 0, reusedBytes: 0 };
  let open: { readonly frames: Buffer[]; readonly table: ChunkTableBuilder; frameBytes: number } | undefined;
  const number = () => firstPack + totals.packs;

  async function closePack(): Promise<void> {
    if (open === undefined) return;
    const { frames, table, frameBytes } = open;
    signal?.throwIfAborted();
    const chunks = table.table();
    const sealed = await sealBytes(Buffer.concat([...frames, encodePackTail(chunks, frameBytes)]), [recipient]);
    const digest = digestOf(sealed);
    await store(digest, sealed, signal ?? new AbortController().signal);
    await onPack?.({ number: number(), digest, sizeBytes: sealed.length, chunks });
    totals.packs += 1;
    totals.storedBytes += sealed.length;
    open = undefined;
  }

  async function write(chunk: Buffer, into: ChunkTableBuilder): Promise<void> {
    const id = createHmac('sha256', key).update(chunk).digest();
    const found = known.get(hexOfId(id));
    onBytes?.(chunk.length);
    if (found !== undefined) {
      totals.reusedBytes += chunk.length;
      into.add(found);
      return;
    }
    open ??= { frames: [], table: createChunkTableBuilder(), frameBytes: 0 };
    const frame = zstdCompressSync(chunk);
    const record = {
      ...{ id, pack: number(), offsetBytes: open.frameBytes, lengthBytes: frame.length, sizeBytes: chunk.length },
    };
    open.frames.push(frame);
    open.table.add(record);
    open.frameBytes += frame.length;
    known.set(hexOfId(id), record);
    totals.newBytes += chunk.length;
    into.add(record);
    if (open.frameBytes >= PACK_FRAME_BYTES) await closePack();
  }

  return {
    workers: 1,
    async stream(input): Promise<StreamRecord> {
      const parts: Buffer[] = [];
      for await (const part of input) parts.push(Buffer.from(part));
      const bytes = Buffer.concat(parts);
      const table = createChunkTableBuilder();
      for (let at = 0; at < bytes.length; at += INLINE_CHUNK_BYTES)
        await write(bytes.subarray(at, at + INLINE_CHUNK_BYTES), table);
      return { sizeBytes: bytes.length, chunks: table.table() };
    },
    file: () => Promise.reject(new Error('no files here')),
    smallFiles: () => Promise.reject(new Error('no files here')),
    copy: () => Promise.reject(new Error('no database here')),
    known: () => {
      throw new Error('no files here');
    },
    async finish() {
      await closePack();
      return totals;
    },
    async close() {},
  };
}

/** Something that happens while a run writes: once its first stream is read. */
export function inlineChunkWriterWith(meanwhile: () => Promise<void>) {
  return async (settings: ChunkWriterSettings): Promise<ChunkWriter> => {
    const writer = await createInlineChunkWriter(settings);
    let pending: (() => Promise<void>) | undefined = meanwhile;
    return {
      ...writer,
      async stream(...input) {
        const record = await writer.stream(...input);
        const now = pending;
        pending = undefined;
        await now?.();
        return record;
      },
    };
  };
}

/** The same for reading: every pack whole, its digest, every chunk's size and id looked at. */
export async function createInlineChunkReader(settings: ChunkReaderSettings): Promise<ChunkReader> {
  const { idKey, repository, onBytes } = settings;
  const key = deriveChunkIdKey(idKey, repository);
  const plaintexts = new Map<number, Promise<Uint8Array>>();

  async function sealed(pack: PackSource, version: string | undefined, signal: AbortSignal): Promise<Uint8Array> {
    const into = new Uint8Array(pack.sizeBytes);
    const range = { offsetBytes: 0, lengthBytes: pack.sizeBytes };
    await settings.read(pack, range, into, { signal, ...(version === undefined ? {} : { version }) });
    if (digestOf(into) !== pack.digest) throw damaged(pack.digest);
    return into;
  }

  async function plaintext(number: number, signal: AbortSignal): Promise<Uint8Array> {
    const pack = settings.pack(number);
    const bytes = await sealed(pack, undefined, signal).catch(async (error: unknown) => {
      if (!isCode(error, 'OBJECT_MISSING', 'OBJECT_DAMAGED')) throw error;
      const version = await settings.findVersion(pack, signal);
      if (version === undefined) throw error;
      return await sealed(pack, version, signal);
    });
    return await openBytes(bytes, [pack.identity], { maxBytes: PACK_BYTES });
  }

  async function* read(chunks: ChunkTable, signal: AbortSignal): AsyncGenerator<Buffer> {
    for (const { id, pack, offsetBytes, lengthBytes, sizeBytes } of chunksOf(chunks)) {
      const opened = plaintexts.get(pack) ?? plaintext(pack, signal);
      plaintexts.set(pack, opened);
      const frame = (await opened).subarray(offsetBytes, offsetBytes + lengthBytes);
      const chunk = openChunk(frame, sizeBytes);
      if (chunk === undefined || !createHmac('sha256', key).update(chunk).digest().equals(id)) {
        throw damaged(settings.pack(pack).digest);
      }
      onBytes?.(chunk.length);
      yield chunk;
    }
  }

  const signalOf = (options?: { readonly signal?: AbortSignal }) =>
    options?.signal ?? settings.signal ?? new AbortController().signal;
  return {
    workers: 1,
    stream: (chunks, options) => read(chunks, signalOf(options)),
    async check(chunks, options) {
      for await (const _chunk of read(chunks, signalOf(options)));
    },
    file: () => Promise.reject(new Error('no files here')),
    copy: () => Promise.reject(new Error('no database here')),
    async close() {},
  };
}

function openChunk(frame: Uint8Array, sizeBytes: number): Buffer | undefined {
  try {
    const chunk = zstdDecompressSync(frame, { maxOutputLength: sizeBytes });
    return chunk.length === sizeBytes ? chunk : undefined;
  } catch {
    return undefined;
  }
}

function damaged(pack: Digest): AdapterError {
  return new AdapterError('OBJECT_DAMAGED', `the pack ${pack} is not what its name says`, {
    hint: 'Run `portolan backup check`.',
  });
}
