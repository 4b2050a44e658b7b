import { createHmac } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { type ChunkWriterOptions, createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { openHeader, splitFile } from '../../src/formats/age/header.ts';
import { createIdentity, type NewIdentity } from '../../src/formats/age/new-identity.ts';
import { openPayload } from '../../src/formats/age/payload.ts';
import { deriveChunkIdKey } from '../../src/formats/repository/chunk-keys.ts';
import { chunksOf } from '../../src/formats/repository/chunk-table.ts';
import { decodePackTail, PACK_FOOTER_BYTES, readPackFooter } from '../../src/formats/repository/pack.ts';
import type { ChunkTable, ChunkWriter, ChunkWriterSettings, NewPack } from '../../src/ports/chunks.ts';

export const REPOSITORY = '0123456789abcdef'.repeat(2);
export const ID_KEY = new Uint8Array(32).fill(7);

/** A chunk writer whose packs are kept in memory and opened again. */
export interface PackCollector {
  readonly writer: ChunkWriter;
  readonly identity: NewIdentity;
  /** In the order in which they were stored. */
  readonly packs: readonly NewPack[];
  /** The age file. */
  sealed(digest: Digest): Uint8Array;
  /** What the chunks of a record hold, checked on the way; of packs that this collector has. */
  read(chunks: ChunkTable): Promise<Buffer>;
}

/** The writer is closed when the test ends. `store` may wait or throw before a pack is kept. */
export async function collectPacks(
  settings: Partial<Omit<ChunkWriterSettings, 'store'>> & { readonly store?: ChunkWriterSettings['store'] } = {},
  options: ChunkWriterOptions = {},
): Promise<PackCollector> {
  const identity = await createIdentity('post-quantum');
  const files = new Map<Digest, Uint8Array>();
  const packs: NewPack[] = [];
  const plaintexts = new Map<number, Uint8Array>();
  const writer = await createChunkWriter(
    {
      idKey: ID_KEY,
      repository: REPOSITORY,
      recipient: identity.recipient,
      known: [],
      knownCount: 0,
      firstPack: 1,
      ...settings,
      async store(digest, bytes, signal) {
        await settings.store?.(digest, bytes, signal);
        files.set(digest, new Uint8Array(bytes));
      },
      async onPack(pack) {
        packs.push(pack);
        await settings.onPack?.(pack);
      },
    },
    options,
  );
  onTestFinished(() => writer.close());
  const key = deriveChunkIdKey(settings.idKey ?? ID_KEY, settings.repository ?? REPOSITORY);

  async function plaintext(number: number): Promise<Uint8Array> {
    const known = plaintexts.get(number);
    if (known !== undefined) return known;
    const pack = packs.find((one) => one.number === number);
    const file = pack === undefined ? undefined : files.get(pack.digest);
    if (pack === undefined || file === undefined) throw new Error(`no pack has the number ${number}`);
    if (digestOf(file) !== pack.digest || file.length !== pack.sizeBytes) throw new Error('a pack was told wrong');
    const { header, payload } = splitFile(file);
    const plain = openPayload(await openHeader(header, [identity.identity]), payload);
    const { tableOffset } = readPackFooter(plain.subarray(-PACK_FOOTER_BYTES), plain.length);
    const inside = [...chunksOf(decodePackTail(plain.subarray(tableOffset), plain.length))];
    const told = [...chunksOf(pack.chunks)];
    if (JSON.stringify(told) !== JSON.stringify(inside.map((chunk) => ({ ...chunk, pack: number })))) {
      throw new Error('the table in a pack is not the one that was told');
    }
    plaintexts.set(number, plain);
    return plain;
  }

  return {
    writer,
    identity,
    packs,
    sealed: (digest) => files.get(digest) as Uint8Array,
    async read(chunks) {
      const parts: Buffer[] = [];
      for (const { id, pack, offsetBytes, lengthBytes, sizeBytes } of chunksOf(chunks)) {
        const frame = (await plaintext(pack)).subarray(offsetBytes, offsetBytes + lengthBytes);
        const chunk = zstdDecompressSync(frame);
        if (chunk.length !== sizeBytes) throw new Error('a chunk has another size');
        if (!createHmac('sha256', key).update(chunk).digest().equals(id)) throw new Error('a chunk has another id');
        parts.push(chunk);
      }
      return Buffer.concat(parts);
    },
  };
}

/** Bytes in parts, as a stream brings them. */
export async function* inParts(bytes: Uint8Array, partBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += partBytes) yield bytes.subarray(at, at + partBytes);
}
