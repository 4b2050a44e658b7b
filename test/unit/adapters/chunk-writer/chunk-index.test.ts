import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createChunkIndexMemory, openChunkIndex } from '../../../../src/adapters/chunk-writer/chunk-index.ts';
import { CHUNK_RECORD_BYTES, readChunk, writeChunk } from '../../../../src/formats/repository/chunk-table.ts';

function recordOf(name: number, pack = name): Uint8Array {
  const record = new Uint8Array(CHUNK_RECORD_BYTES);
  const id = createHash('sha256').update(String(name)).digest();
  writeChunk(record, 0, { id, pack, offsetBytes: name, lengthBytes: 7, sizeBytes: name + 1 });
  return record;
}

describe('the table of known chunks', () => {
  test('finds what was added and nothing else, also beyond the size that was guessed', () => {
    const memory = createChunkIndexMemory(10);
    const before = memory.byteLength;
    const writer = openChunkIndex(memory);
    const reader = openChunkIndex(memory);
    for (let name = 0; name < 30_000; name += 1) writer.add(recordOf(name));
    expect(memory.byteLength).toBeGreaterThan(before);
    for (let name = 0; name < 30_000; name += 7) {
      expect(readChunk(reader.find(recordOf(name)) as Uint8Array, 0)).toMatchObject({
        pack: name,
        sizeBytes: name + 1,
      });
    }
    for (let name = 30_000; name < 31_000; name += 1) expect(reader.find(recordOf(name))).toBeUndefined();
  });

  test('takes 64 bytes a chunk', () => {
    expect(createChunkIndexMemory(1_000_000).byteLength).toBeLessThanOrEqual(64_000_128);
  });

  test('tells ids apart that begin alike', () => {
    const index = openChunkIndex(createChunkIndexMemory(10));
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(5000), { maxLength: 40 }), (tails) => {
        const records = tails.map((tail) => {
          const record = recordOf(tail);
          // All of them want the same place, at the very end of the table.
          record.fill(0xff, 0, 28);
          new DataView(record.buffer).setUint32(28, tail, true);
          return record;
        });
        for (const record of records) if (index.find(record) === undefined) index.add(record);
        for (const record of records) expect(Buffer.from(index.find(record) as Uint8Array).equals(record)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });
});
