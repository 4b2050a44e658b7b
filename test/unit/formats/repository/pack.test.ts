import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createChunkTableBuilder } from '../../../../src/formats/repository/chunk-table.ts';
import {
  decodePackTail,
  encodePackTail,
  fitsIntoPack,
  PACK_BYTES,
  PACK_FOOTER_BYTES,
  PACK_STEP_BYTES,
  packBytesOf,
  paddedPackBytes,
  readPackFooter,
} from '../../../../src/formats/repository/pack.ts';
import { compressFrame, frameLengthBytes, openFrames } from '../../../../src/formats/repository/zstd-frames.ts';
import { codeOf } from './repository-fixture.ts';

/** A pack's plaintext of chunks, and its table. */
function packOf(chunks: readonly Uint8Array[]) {
  const frames: Uint8Array[] = [];
  const table = createChunkTableBuilder();
  let offsetBytes = 0;
  for (const chunk of chunks) {
    const frame = compressFrame(chunk, 1);
    table.add({ id: randomBytes(32), pack: 0, offsetBytes, lengthBytes: frame.length, sizeBytes: chunk.length });
    frames.push(frame);
    offsetBytes += frame.length;
  }
  const tail = encodePackTail(table.table(), offsetBytes);
  return {
    bytes: new Uint8Array(Buffer.concat([...frames, tail])),
    tail,
    table: table.table(),
    frameBytes: offsetBytes,
  };
}

describe('the size of a pack', () => {
  test('is at least what it holds and at most an eighth more, or the smallest step', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: PACK_BYTES }), (bytes) => {
        const padded = paddedPackBytes(bytes);
        expect(padded).toBeGreaterThanOrEqual(bytes);
        expect(padded).toBeLessThanOrEqual(Math.max(Math.ceil(bytes * 1.12), Math.ceil(bytes / 4096) * 4096));
        expect(paddedPackBytes(padded)).toBe(padded);
        if (bytes > PACK_BYTES / 2) expect(padded % PACK_STEP_BYTES).toBe(0);
      }),
    );
  });

  test('grows with what it holds', () => {
    const sizes = fc.integer({ min: 1, max: PACK_BYTES });
    fc.assert(
      fc.property(sizes, sizes, (a, b) => {
        expect(paddedPackBytes(Math.min(a, b))).toBeLessThanOrEqual(paddedPackBytes(Math.max(a, b)));
      }),
    );
  });

  test('is one of few: 256 up to 16 MiB', () => {
    const sizes = new Set<number>();
    for (let bytes = 1; bytes <= PACK_BYTES; bytes += 1024) sizes.add(paddedPackBytes(bytes));
    expect(sizes.size).toBeLessThanOrEqual(256);
  });

  test('never exceeds 16 MiB when what fits was asked before', () => {
    const frames = fc.array(fc.integer({ min: 1, max: 4 * 1024 * 1024 + 16_384 }), { minLength: 4, maxLength: 100 });
    fc.assert(
      fc.property(frames, (lengths) => {
        let [frameBytes, chunks] = [0, 0];
        for (const length of lengths) {
          if (!fitsIntoPack(frameBytes, chunks, length)) break;
          frameBytes += length;
          chunks += 1;
        }
        expect(chunks).toBeGreaterThanOrEqual(3);
        expect(packBytesOf(frameBytes, chunks)).toBeLessThanOrEqual(PACK_BYTES);
      }),
    );
  });
});

describe('the tail of a pack', () => {
  const pack = packOf([Buffer.from('one'), randomBytes(2000), Buffer.alloc(5000, 'two')]);

  test('is read back as the table that it was made of', () => {
    const footer = readPackFooter(pack.bytes.subarray(-PACK_FOOTER_BYTES), pack.bytes.length);
    expect(footer).toEqual({ tableOffset: pack.frameBytes, chunks: 3 });
    const table = decodePackTail(pack.bytes.subarray(footer.tableOffset), pack.bytes.length);
    expect(Buffer.compare(table, pack.table)).toBe(0);
    expect(pack.bytes.length).toBe(packBytesOf(pack.frameBytes, 3));
  });

  test('is skipped by whoever decompresses the whole', () => {
    const opened = [...openFrames(pack.bytes, 10_000)];
    expect(opened.map((bytes) => bytes?.length)).toEqual([3, 2000, 5000]);
    expect(frameLengthBytes(pack.bytes, pack.frameBytes)).toBe(8 + pack.table.length);
  });

  test('cut or with a flipped bit is refused, but for the ids of chunks, which the chunks are held against', () => {
    const tail = new Uint8Array(pack.tail);
    const decode = (bytes: Uint8Array) => {
      const table = decodePackTail(bytes, pack.bytes.length);
      if (Buffer.compare(table, pack.table) === 0) throw new Error('the change went unseen');
    };
    for (let length = 0; length < tail.length; length += 7) {
      expect(codeOf(() => decode(tail.slice(0, length)))).toBeDefined();
    }
    for (let at = 0; at < tail.length; at += 1) {
      const flipped = tail.slice();
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      const inRecord = (at - 8) % 48;
      const isFree = at >= 8 && at < 8 + pack.table.length && (inRecord < 32 || inRecord >= 44);
      const code = codeOf(() => decode(flipped));
      if (!isFree) expect(code, `flipped at ${at}`).toBeDefined();
    }
  });

  test('whose frames overlap, or leave a gap, is refused', () => {
    const builder = createChunkTableBuilder();
    const chunk = { id: new Uint8Array(32), pack: 0, offsetBytes: 0, lengthBytes: 100, sizeBytes: 100 };
    builder.add(chunk);
    builder.add({ ...chunk, offsetBytes: 90 });
    const tail = encodePackTail(builder.table(), 190);
    expect(codeOf(() => decodePackTail(tail, packBytesOf(190, 2)))).toBe('PACK_INVALID');
    const gap = encodePackTail(builder.table().subarray(0, 48), 110);
    expect(codeOf(() => decodePackTail(gap, packBytesOf(110, 1)))).toBe('PACK_INVALID');
  });

  test('of a later version is said to be one', () => {
    const later = new Uint8Array(pack.tail);
    later[later.length - 4] = 2;
    expect(codeOf(() => decodePackTail(later, pack.bytes.length))).toBe('REPOSITORY_VERSION_UNSUPPORTED');
  });

  test('names no pack: the one that it is in is its own', () => {
    const builder = createChunkTableBuilder();
    builder.add({ id: new Uint8Array(32), pack: 77, offsetBytes: 0, lengthBytes: 100, sizeBytes: 100 });
    const table = decodePackTail(encodePackTail(builder.table(), 100), packBytesOf(100, 1));
    expect(table[32]).toBe(0);
  });
});

describe('zstd frames', () => {
  test('are found by their own lengths', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 })), fc.constantFrom(1, 3, 9), (chunks, level) => {
        const file = Buffer.concat(chunks.map((chunk) => compressFrame(chunk, level)));
        const opened = [...openFrames(file, 3000)];
        expect(opened.map((bytes) => bytes && Buffer.from(bytes).toString('hex'))).toEqual(
          chunks.map((chunk) => Buffer.from(chunk).toString('hex')),
        );
      }),
    );
  });

  test('of several blocks, and of bytes that do not compress, are found too', () => {
    for (const chunk of [Buffer.alloc(1_000_000), randomBytes(1_000_000), Buffer.alloc(700_000, randomBytes(1000))]) {
      const frame = compressFrame(chunk, 1);
      expect(frameLengthBytes(Buffer.concat([frame, Buffer.alloc(9)]), 0)).toBe(frame.length);
    }
  });

  test('cut at any place are no frames, where Node’s own decompression says nothing', () => {
    const [first, second] = [compressFrame(Buffer.from('first'), 1), compressFrame(randomBytes(500), 1)];
    const file = Buffer.concat([first, second]);
    for (let length = first.length + 1; length < file.length; length += 1) {
      expect([...openFrames(file.subarray(0, length), 1000)].at(-1), `cut at ${length}`).toBeUndefined();
    }
  });

  test('that hold more than the limit are not opened', () => {
    const bomb = compressFrame(Buffer.alloc(10_000_000), 1);
    expect([...openFrames(bomb, 9_999_999)]).toEqual([undefined]);
    expect([...openFrames(bomb, 10_000_000)][0]).toHaveLength(10_000_000);
  });

  test('that are none are no frames', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
        for (const opened of openFrames(bytes, 1000))
          if (opened !== undefined) expect(opened.length).toBeLessThanOrEqual(1000);
      }),
    );
    expect([...openFrames(Buffer.from('no frame at all'), 1000)]).toEqual([undefined]);
  });
});
