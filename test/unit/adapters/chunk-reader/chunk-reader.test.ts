import { randomBytes } from 'node:crypto';
import { readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES, SEALED_CHUNK_BYTES } from '../../../../src/formats/age/payload.ts';
import {
  CHUNK_RECORD_BYTES,
  chunkCount,
  chunksOf,
  readChunk,
  writeChunk,
} from '../../../../src/formats/repository/chunk-table.ts';
import type { ChunkReader, ChunkTable } from '../../../../src/ports/chunks.ts';
import { inParts } from '../../../support/pack-collector.ts';
import { raised } from '../../../support/raised.ts';
import { collected, type StoredPacks, storePacks } from '../../../support/stored-packs.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const MIB = 1024 * 1024;
/** More than one pack. */
const INPUT = randomBytes(24 * MIB);

async function stored(input: Uint8Array = INPUT): Promise<StoredPacks & { readonly chunks: ChunkTable }> {
  const packs = await storePacks();
  const { chunks } = await packs.writer.stream(inParts(input, 300_000));
  await packs.writer.finish();
  return Object.assign(packs, { chunks });
}

/** The table in another order, or with other records. */
function tableOf(records: readonly Parameters<typeof writeChunk>[2][]): ChunkTable {
  const table = new Uint8Array(records.length * CHUNK_RECORD_BYTES);
  for (const [index, record] of records.entries()) writeChunk(table, index, record);
  return table;
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}

/** Where the record's frame lies in the sealed pack. */
function sealedOffset(pack: Uint8Array, offsetBytes: number): number {
  const header = Buffer.from(pack.buffer, pack.byteOffset, pack.length).indexOf('\n--- ');
  const payload = header + '\n--- '.length + 43 + 1 + 16;
  return payload + Math.floor(offsetBytes / CHUNK_BYTES) * SEALED_CHUNK_BYTES + (offsetBytes % CHUNK_BYTES);
}

describe('streams', () => {
  test('come back byte for byte over several packs, in pieces of at most 4 MiB', async () => {
    const { reader, chunks, packs } = await stored();
    expect(packs.length).toBeGreaterThan(1);
    let largest = 0;
    const told: number[] = [];
    const parts: Buffer[] = [];
    for await (const piece of (await reader({ onBytes: (bytes) => told.push(bytes) })).stream(chunks)) {
      largest = Math.max(largest, piece.length);
      parts.push(Buffer.from(piece));
    }
    expect(Buffer.concat(parts).equals(INPUT)).toBe(true);
    expect(largest).toBeLessThanOrEqual(4 * MIB);
    expect(told.reduce((sum, bytes) => sum + bytes, 0)).toBe(INPUT.length);
  });

  test('come in the order of their chunks, backwards and twice as well', async () => {
    const { reader, chunks } = await stored();
    const records = [...chunksOf(chunks)];
    const pieces = new Map<string, Buffer>();
    let at = 0;
    for (const { id, sizeBytes } of records) {
      pieces.set(Buffer.from(id).toString('hex'), INPUT.subarray(at, at + sizeBytes));
      at += sizeBytes;
    }
    const mixed = [...records.toReversed(), ...records.slice(0, 3)];
    const expected = Buffer.concat(mixed.map(({ id }) => pieces.get(Buffer.from(id).toString('hex')) as Buffer));
    expect((await collected((await reader()).stream(tableOf(mixed)))).equals(expected)).toBe(true);
  });

  test('of nothing and of one byte', async () => {
    const { reader, chunks } = await stored(new Uint8Array([7]));
    expect(await collected((await reader()).stream(chunks))).toEqual(Buffer.from([7]));
    expect(await collected((await reader()).stream(new Uint8Array(0)))).toHaveLength(0);
  });

  test('read of a pack what they need and little more', async () => {
    const { reader, chunks, reads } = await stored();
    const record = readChunk(chunks, 3);
    await collected((await reader()).stream(tableOf([record])));
    const readBytes = reads.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    expect(readBytes).toBeLessThan(record.lengthBytes + 3 * SEALED_CHUNK_BYTES);
  });

  test('of which no more is wanted leave the reader as it was', async () => {
    const { reader, chunks } = await stored();
    const one = await reader();
    for await (const piece of one.stream(chunks)) {
      expect(INPUT.subarray(0, piece.length).equals(piece)).toBe(true);
      break;
    }
    expect((await collected(one.stream(chunks))).equals(INPUT)).toBe(true);
  });
});

describe('files', () => {
  test('get their bytes from the start, or end to end into their runs', async () => {
    const { reader, chunks } = await stored();
    const folder = await temporaryFolder();
    const [whole, sparse] = [join(folder, 'whole'), join(folder, 'sparse')];
    for (const path of [whole, sparse]) await writeFile(path, '');
    const one = await reader();
    await one.file(chunks, whole);
    expect((await readFile(whole)).equals(INPUT)).toBe(true);
    await truncate(sparse, 64 * MIB);
    await one.file(chunks, sparse, {
      extents: [
        { offsetBytes: 1000, lengthBytes: 5 },
        { offsetBytes: 32 * MIB, lengthBytes: INPUT.length - 5 },
      ],
    });
    const written = await readFile(sparse);
    expect(written.length).toBe(64 * MIB);
    expect(written.subarray(1000, 1005).equals(INPUT.subarray(0, 5))).toBe(true);
    expect(written.subarray(32 * MIB, 32 * MIB + INPUT.length - 5).equals(INPUT.subarray(5))).toBe(true);
    expect(written.subarray(1005, 32 * MIB).every((byte) => byte === 0)).toBe(true);
  });

  test('are not as long as their runs: nothing is written', async () => {
    const { reader, chunks } = await stored(randomBytes(1000));
    const path = join(await temporaryFolder(), 'file');
    await writeFile(path, 'before');
    const work = (await reader()).file(chunks, path, { extents: [{ offsetBytes: 0, lengthBytes: 999 }] });
    expect(await raised(() => work)).toMatchObject({ code: 'FILE_SIZE_MISMATCH', expected: 1000, found: 999 });
    expect(await readFile(path, 'utf8')).toBe('before');
  });

  test('are not written through a link that stands in their place', async () => {
    const { reader, chunks } = await stored(randomBytes(1000));
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'elsewhere'), 'kept');
    await symlink('elsewhere', join(folder, 'file'));
    const one = await reader();
    expect((await raised(() => one.file(chunks, join(folder, 'file')))).name).toBe('AdapterError');
    expect(await readFile(join(folder, 'elsewhere'), 'utf8')).toBe('kept');
  });
});

describe('a pack with a wrong byte', () => {
  const ways: readonly [string, (reader: ChunkReader, chunks: ChunkTable) => Promise<unknown>][] = [
    ['stream', (reader, chunks) => collected(reader.stream(chunks))],
    ['check', (reader, chunks) => reader.check(chunks)],
    [
      'file',
      async (reader, chunks) => {
        const path = join(await temporaryFolder(), 'file');
        await writeFile(path, '');
        await reader.file(chunks, path);
      },
    ],
  ];
  test.each(ways)('is named by %s, wherever the byte is', async (_, read) => {
    const packs = await stored();
    const { chunks, original, replace, reader } = packs;
    const record = readChunk(chunks, chunkCount(chunks) - 1);
    const good = original(record.pack);
    const frame = sealedOffset(good, record.offsetBytes);
    const header = Buffer.from(good.buffer, good.byteOffset, good.length).indexOf('\n--- ');
    for (const at of [
      0,
      40,
      header - 5,
      header + 10,
      sealedOffset(good, 0) - 1,
      frame,
      frame + record.lengthBytes - 1,
    ]) {
      replace(record.pack, flipped(good, at));
      const one = await reader();
      const error = await raised(() => read(one, chunks));
      expect([at, error.code, error.expected]).toEqual([
        at,
        'OBJECT_DAMAGED',
        packs.packs.find(({ number }) => number === record.pack)?.digest,
      ]);
      await one.close();
    }
  });

  test('is read in an older version that has its digest, and nothing is handed on twice', async () => {
    const packs = await stored();
    const { chunks, original, replace, reader, reads } = packs;
    packs.keepsVersions = true;
    const damaged = readChunk(chunks, 5);
    const good = original(damaged.pack);
    replace(damaged.pack, flipped(good, sealedOffset(good, damaged.offsetBytes + damaged.lengthBytes - 1)));
    const path = join(await temporaryFolder(), 'file');
    await writeFile(path, '');
    const one = await reader();
    expect((await collected(one.stream(chunks))).equals(INPUT)).toBe(true);
    await one.file(chunks, path);
    expect((await readFile(path)).equals(INPUT)).toBe(true);
    expect(reads.some(({ pack, version }) => pack === damaged.pack && version === 'first')).toBe(true);
    expect(reads.every(({ pack, version }) => pack === damaged.pack || version === undefined)).toBe(true);
  });

  test.each([
    ['missing', () => undefined],
    ['cut', (good: Uint8Array) => good.subarray(0, good.length - 1000)],
    ['cut in its header', (good: Uint8Array) => good.subarray(0, 100)],
    ['another one', (good: Uint8Array) => Uint8Array.from(good).fill(0)],
  ])('and one that is %s as well', async (_, change) => {
    const packs = await stored(randomBytes(100_000));
    const { chunks, original, replace, reader } = packs;
    replace(1, change(original(1)));
    const broken = await reader();
    expect((await raised(() => broken.check(chunks))).code).toBe('OBJECT_DAMAGED');
    packs.keepsVersions = true;
    await (await reader()).check(chunks);
  });
});

describe('a record that lies about a good pack', () => {
  const lies: readonly [string, (record: ReturnType<typeof readChunk>) => Partial<ReturnType<typeof readChunk>>][] = [
    ['its id', ({ id }) => ({ id: flipped(id, 31) })],
    ['its size, by one more', ({ sizeBytes }) => ({ sizeBytes: sizeBytes + 1 })],
    ['its size, by one less', ({ sizeBytes }) => ({ sizeBytes: sizeBytes - 1 })],
    ['its size, as if it were tiny', () => ({ sizeBytes: 1 })],
    ['where it lies', ({ offsetBytes }) => ({ offsetBytes: offsetBytes + 1 })],
    ['how long its frame is', ({ lengthBytes }) => ({ lengthBytes: lengthBytes - 1 })],
    ['where it lies, outside of the pack', () => ({ offsetBytes: 12 * MIB })],
  ];
  test.each(lies)('about %s gives no bytes', async (_, lie) => {
    const packs = await stored(Buffer.alloc(700_000, 'a row of a table\n'));
    const record = readChunk(packs.chunks, 0);
    const table = tableOf([{ ...record, ...lie(record) }]);
    const read = async () => collected((await packs.reader()).stream(table));
    expect((await raised(read)).code).toBe('OBJECT_DAMAGED');
    // The object is what the snapshot says: it is the record that is wrong.
    packs.keepsVersions = true;
    expect((await raised(read)).code).toBe('CHUNK_DAMAGED');
  });

  test('about the form of a table is refused before anything is read', async () => {
    const { reader, chunks, reads } = await stored(randomBytes(1000));
    const one = await reader();
    const tooLarge = tableOf([{ ...readChunk(chunks, 0), sizeBytes: 5 * MIB }]);
    for (const table of [chunks.subarray(0, 40), tooLarge]) {
      expect((await raised(() => collected(one.stream(table)))).code).toBe('CHUNK_TABLE_INVALID');
    }
    expect(reads).toHaveLength(0);
  });
});

test('chunks of another repository are none of ours: ids are keyed', async () => {
  const { reader, chunks } = await stored(randomBytes(1000));
  for (const other of [{ idKey: new Uint8Array(32).fill(8) }, { repository: 'f'.repeat(32) }]) {
    const one = await reader(other);
    expect((await raised(() => one.check(chunks))).code).toBe('OBJECT_DAMAGED');
  }
});

describe('the end', () => {
  /** Storage that answers from the second pack on never. */
  function stuck(packs: StoredPacks, chunks: ChunkTable) {
    const first = readChunk(chunks, 0).pack;
    let reached = () => {};
    const isReached = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const read: Parameters<StoredPacks['reader']>[0] = {
      async read({ number }, { offsetBytes, lengthBytes }, into, { signal }) {
        if (number !== first) {
          reached();
          await new Promise((_, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
          );
        }
        into.set(packs.original(number).subarray(offsetBytes, offsetBytes + lengthBytes));
      },
    };
    return { read, isReached };
  }

  test('comes to a stream, a check and a file when they are aborted, and the reader goes on', async () => {
    const packs = await stored();
    const { read, isReached } = stuck(packs, packs.chunks);
    const one = await packs.reader(read);
    const abort = new AbortController();
    const cause = new Error('enough');
    const works = [one.check(packs.chunks, abort), collected(one.stream(packs.chunks, abort))];
    const outcomes = Promise.allSettled(works);
    await isReached;
    abort.abort(cause);
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: cause });
    await one.check(packs.chunks.subarray(0, 2 * CHUNK_RECORD_BYTES));
  });

  test('comes to all that is under way when the reader is closed, and to what is asked afterwards', async () => {
    const packs = await stored();
    const { read, isReached } = stuck(packs, packs.chunks);
    const one = await packs.reader(read);
    const outcomes = Promise.allSettled([one.check(packs.chunks), collected(one.stream(packs.chunks))]);
    await isReached;
    await one.close();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ENGINE_CLOSED' } });
    }
    expect((await raised(() => one.check(packs.chunks))).code).toBe('ENGINE_CLOSED');
  });

  test('of a worker is told to whoever waits for it', async () => {
    const { reader, chunks } = await stored(randomBytes(1000));
    const one = await reader({}, { workerUrl: new URL('./dying.worker.ts', import.meta.url) });
    expect((await raised(() => one.check(chunks))).code).toBe('WORKER_DIED');
  });
});
