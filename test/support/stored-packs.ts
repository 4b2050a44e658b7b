import { onTestFinished } from 'vitest';
import { type ChunkReaderOptions, createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { AdapterError } from '../../src/adapters/errors.ts';
import type { ChunkReader, ChunkReaderSettings, PackSource } from '../../src/ports/chunks.ts';
import { collectPacks, ID_KEY, type PackCollector, REPOSITORY } from './pack-collector.ts';

/** Packs as a store has them: each under its number, in versions. */
export interface StoredPacks extends Pick<PackCollector, 'writer' | 'packs'> {
  /** Another reader each time; closed when the test ends. */
  reader(settings?: Partial<ChunkReaderSettings>, options?: ChunkReaderOptions): Promise<ChunkReader>;
  /** From here on the newest version of a pack is this one; what the writer stored is an older one. `undefined`: it is gone. */
  replace(number: number, bytes: Uint8Array | undefined): void;
  /** What the writer stored. */
  original(number: number): Uint8Array;
  /** Whether older versions are found. */
  keepsVersions: boolean;
  /** All that was read. */
  readonly reads: { readonly pack: number; readonly lengthBytes: number; readonly version: string | undefined }[];
}

export async function storePacks(): Promise<StoredPacks> {
  const { writer, packs, sealed, identity } = await collectPacks();
  const newest = new Map<number, Uint8Array | undefined>();
  const packOf = (number: number): PackSource => {
    const pack = packs.find((one) => one.number === number);
    if (pack === undefined) throw new Error(`no pack has the number ${number}`);
    return { number, digest: pack.digest, sizeBytes: pack.sizeBytes, identity: identity.identity };
  };
  const original = (number: number) => sealed(packOf(number).digest);
  const stored: StoredPacks = {
    writer,
    packs,
    original,
    keepsVersions: false,
    reads: [],
    replace: (number, bytes) => newest.set(number, bytes),
    async reader(settings = {}, options = {}) {
      const reader = await createChunkReader(
        {
          ...{ idKey: ID_KEY, repository: REPOSITORY, pack: packOf },
          async read({ number }, { offsetBytes, lengthBytes }, into, { version }) {
            stored.reads.push({ pack: number, lengthBytes, version });
            const isNewest = version === undefined && newest.has(number);
            const bytes = isNewest ? newest.get(number) : original(number);
            const part = bytes?.subarray(offsetBytes, offsetBytes + lengthBytes);
            if (part?.length === lengthBytes) return into.set(part);
            const code = part === undefined ? 'OBJECT_MISSING' : 'OBJECT_DAMAGED';
            throw new AdapterError(code, 'not there', { hint: 'none' });
          },
          findVersion: async () => (stored.keepsVersions ? 'first' : undefined),
          ...settings,
        },
        options,
      );
      onTestFinished(() => reader.close());
      return reader;
    },
  };
  return stored;
}

/** All bytes of a stream: a piece is valid until the next one is asked for. */
export async function collected(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const piece of pieces) parts.push(Buffer.from(piece));
  return Buffer.concat(parts);
}
