import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHUNK_FRAME_MAX_BYTES,
  CHUNK_MAX_BYTES,
  CHUNK_RECORD_BYTES,
  type ChunkRecord,
  checkChunkTable,
  chunkCount,
  chunksOf,
  chunksSizeBytes,
  chunkTableFromJson,
  chunkTableToJson,
  createChunkTableBuilder,
  readChunk,
  renumberPacks,
} from '../../../../src/formats/repository/chunk-table.ts';
import { createPackUsage } from '../../../../src/formats/repository/pack-usage.ts';
import { codeOf } from './repository-fixture.ts';

const record: fc.Arbitrary<ChunkRecord> = fc.record({
  id: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  pack: fc.integer({ min: 0, max: 0xffff_ffff }),
  offsetBytes: fc.integer({ min: 0, max: 8 * 1024 * 1024 }),
  lengthBytes: fc.integer({ min: 1, max: CHUNK_FRAME_MAX_BYTES }),
  sizeBytes: fc.integer({ min: 1, max: CHUNK_MAX_BYTES }),
});

function tableOf(records: readonly ChunkRecord[]) {
  const builder = createChunkTableBuilder(1);
  for (const one of records) builder.add(one);
  return builder.table();
}

describe('a table of chunks', () => {
  test('has records of 48 bytes, little endian', () => {
    const id = Uint8Array.from({ length: 32 }, (_, index) => index);
    const table = tableOf([{ id, pack: 1, offsetBytes: 0x0203, lengthBytes: 0x040506, sizeBytes: 0x0708 }]);
    expect(Buffer.from(table).toString('hex')).toBe(
      `${Buffer.from(id).toString('hex')}01000000030200000605040008070000`,
    );
    expect(chunkTableToJson(table)).toEqual([[1, 0x0203, 0x040506, 0x0708, Buffer.from(id).toString('base64url')]]);
  });

  test('is read as it was built, record by record and through JSON', () => {
    fc.assert(
      fc.property(fc.array(record), (records) => {
        const table = tableOf(records);
        expect(chunkCount(table)).toBe(records.length);
        expect([...chunksOf(table)]).toEqual(records);
        expect(chunksSizeBytes(table)).toBe(records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
        checkChunkTable(table);
        const again = chunkTableFromJson(JSON.parse(JSON.stringify(chunkTableToJson(table))));
        expect(Buffer.compare(again, table)).toBe(0);
      }),
    );
  });

  test('grows by other tables, and by itself', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1 }), fc.array(record), (some, more) => {
        const builder = createChunkTableBuilder();
        builder.append(tableOf(some));
        builder.append(tableOf(more));
        expect(builder.count).toBe(some.length + more.length);
        expect([...chunksOf(builder.table())]).toEqual([...some, ...more]);
      }),
    );
  });

  test('can be given other pack numbers', () => {
    const table = tableOf([...fc.sample(record, 5)]);
    const renumbered = renumberPacks(table, (pack) => pack ^ 1);
    expect(readChunk(renumbered, 3)).toEqual({ ...readChunk(table, 3), pack: (readChunk(table, 3).pack ^ 1) >>> 0 });
  });

  test.each<[string, Partial<ChunkRecord>]>([
    ['an empty chunk', { sizeBytes: 0 }],
    ['too large a chunk', { sizeBytes: CHUNK_MAX_BYTES + 1 }],
    ['an empty frame', { lengthBytes: 0 }],
    ['too long a frame', { lengthBytes: CHUNK_FRAME_MAX_BYTES + 1 }],
    ['a frame beyond the pack', { offsetBytes: 16 * 1024 * 1024 - 9 }],
    ['a frame whose end wraps round', { offsetBytes: 0xffff_fff8 }],
  ])('is refused with %s', (_, change) => {
    const good = { id: new Uint8Array(32), pack: 0, offsetBytes: 0, lengthBytes: 10, sizeBytes: 10 };
    checkChunkTable(tableOf([good]));
    const table = tableOf([good, { ...good, ...change }]);
    expect(codeOf(() => checkChunkTable(table))).toBe('CHUNK_TABLE_INVALID');
    expect(codeOf(() => chunkTableFromJson(chunkTableToJson(table)))).toBe('CHUNK_TABLE_INVALID');
  });

  test('cut within a record is refused', () => {
    const table = tableOf([{ id: new Uint8Array(32), pack: 0, offsetBytes: 0, lengthBytes: 1, sizeBytes: 1 }]);
    for (let length = 1; length < CHUNK_RECORD_BYTES; length += 1) {
      expect(codeOf(() => checkChunkTable(table.subarray(0, length)))).toBe('CHUNK_TABLE_INVALID');
    }
  });

  const id = 'A'.repeat(43);
  test.each<[string, unknown]>([
    ['no list', {}],
    ['no list of lists', [1]],
    ['four', [[0, 0, 1, 1]]],
    ['six', [[0, 0, 1, 1, id, 0]]],
    ['a fraction', [[0, 0, 1.5, 1, id]]],
    ['a negative number', [[-1, 0, 1, 1, id]]],
    ['33 bits', [[2 ** 32, 0, 1, 1, id]]],
    ['text for a number', [['0', 0, 1, 1, id]]],
    ['a short id', [[0, 0, 1, 1, id.slice(1)]]],
    ['an id in base64', [[0, 0, 1, 1, `${id.slice(2)}/w`]]],
    ['an id with bits that count for nothing', [[0, 0, 1, 1, `${id.slice(1)}B`]]],
    ['no id', [[0, 0, 1, 1, null]]],
  ])('in JSON is refused as %s', (_, json) => {
    expect(codeOf(() => chunkTableFromJson([[0, 0, 1, 1, id]]))).toBeUndefined();
    expect(codeOf(() => chunkTableFromJson(json))).toBe('CHUNK_TABLE_INVALID');
  });
});

describe('the use of packs', () => {
  test('counts every frame once, as a Map of them would', () => {
    const few = record.map((one) => ({ ...one, pack: one.pack % 5, offsetBytes: one.offsetBytes % 7 }));
    fc.assert(
      fc.property(fc.array(fc.array(few)), (tables) => {
        const usage = createPackUsage(1);
        const model = new Map<number, Map<number, number>>();
        for (const records of tables) {
          usage.add(tableOf(records));
          for (const { pack, offsetBytes, lengthBytes } of records) {
            const frames = model.get(pack) ?? new Map<number, number>();
            if (!frames.has(offsetBytes)) frames.set(offsetBytes, lengthBytes);
            model.set(pack, frames);
          }
        }
        expect(usage.packs()).toEqual([...model.keys()].sort());
        for (const [pack, frames] of model) {
          expect(usage.usedBytes(pack)).toBe([...frames.values()].reduce((sum, length) => sum + length, 0));
        }
        expect(usage.chunks).toBe([...model.values()].reduce((sum, frames) => sum + frames.size, 0));
        expect(usage.usedBytes(99)).toBe(0);
      }),
    );
  });

  test('keeps packs apart up to the highest number', () => {
    const usage = createPackUsage();
    for (const pack of [0, 1, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      const chunk = { id: new Uint8Array(32), pack, offsetBytes: 0, lengthBytes: 3, sizeBytes: 1 };
      usage.add(tableOf([chunk, { ...chunk, offsetBytes: 0xff_ffff }]));
      expect(usage.usedBytes(pack)).toBe(6);
    }
  });
});
