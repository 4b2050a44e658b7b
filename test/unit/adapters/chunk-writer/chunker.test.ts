import { createHmac, hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK_BYTES, type Chunker, createChunker, GEAR_BYTES } from '../../../../src/adapters/chunk-writer/chunker.ts';

const LIMITS = { minBytes: 256, averageBytes: 512, maxBytes: 1024 };
const gearOf = (key: string): Uint8Array => new Uint8Array(hkdfSync('sha256', key, '', 'gear', GEAR_BYTES));
const GEAR = gearOf('one');

/** The same in the plainest words: every byte hashed anew over the 64 bytes that end with it. */
function plainChunks(input: Uint8Array, gear: Uint8Array, { minBytes, averageBytes, maxBytes } = LIMITS): number[] {
  const words = new BigUint64Array(gear.slice().buffer);
  const limit = 2n ** 64n / BigInt(averageBytes - minBytes);
  const sizes: number[] = [];
  for (let start = 0; start < input.length; ) {
    let length = Math.min(maxBytes, input.length - start);
    for (let size = minBytes; size < length; size += 1) {
      let hash = 0n;
      for (let at = start + size - 64; at < start + size; at += 1) {
        hash = BigInt.asUintN(64, hash * 2n + (words[input[at] as number] as bigint));
      }
      if (hash < limit) {
        length = size;
        break;
      }
    }
    sizes.push(length);
    start += length;
  }
  return sizes;
}

/** Bytes with runs in them, so that equal content comes again. */
const bytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ minLength: 0, maxLength: 700 }),
      fc.tuple(fc.nat(255), fc.nat(900)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
      fc.nat(1000).map((seed) => noise(`seed ${seed}`, 2000)),
    ),
    { maxLength: 6 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)));

function noise(seed: string, lengthBytes: number): Uint8Array {
  const blocks: Buffer[] = [];
  for (let block = 0; block * 32 < lengthBytes; block += 1) {
    blocks.push(createHmac('sha256', seed).update(String(block)).digest());
  }
  return new Uint8Array(Buffer.concat(blocks).subarray(0, lengthBytes));
}

interface Kept {
  readonly chunker: Chunker;
  readonly chunks: Buffer[];
}

function keep(gear = GEAR, limits = LIMITS): Kept {
  const chunks: Buffer[] = [];
  return { chunks, chunker: createChunker(gear, limits, (chunk) => chunks.push(Buffer.from(chunk))) };
}

function feed(chunker: Chunker, input: Uint8Array): void {
  for (let at = 0; at < input.length; ) {
    const room = chunker.room();
    const part = input.subarray(at, at + room.length);
    room.set(part);
    chunker.accept(part.length);
    at += part.length;
  }
}

function chunkAll(input: Uint8Array, gear = GEAR, limits = LIMITS): Buffer[] {
  const { chunker, chunks } = keep(gear, limits);
  feed(chunker, input);
  chunker.end();
  return chunks;
}

describe('content-defined chunks', () => {
  test('are cut where the plain definition says, whatever parts the input comes in', () => {
    const { chunker, chunks } = keep();
    fc.assert(
      fc.property(bytes, fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 20 }), (input, cuts) => {
        chunks.length = 0;
        let at = 0;
        for (const cut of cuts) {
          feed(chunker, input.subarray(at, at + cut));
          at = Math.min(input.length, at + cut);
        }
        feed(chunker, input.subarray(at));
        chunker.end();
        expect(chunks.map(({ length }) => length)).toEqual(plainChunks(input, GEAR));
        expect(Buffer.concat(chunks).equals(input)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('keep to the minimum and the maximum, and come near the average', () => {
    const limits = { minBytes: 256 * 1024, averageBytes: 1024 * 1024, maxBytes: 4 * 1024 * 1024 };
    const input = noise('much', 24 * 1024 * 1024);
    const sizes = chunkAll(input, GEAR, limits).map(({ length }) => length);
    const inner = sizes.slice(0, -1);
    expect(Math.min(...inner)).toBeGreaterThanOrEqual(limits.minBytes);
    expect(Math.max(...inner)).toBeLessThanOrEqual(limits.maxBytes);
    expect(sizes.length).toBeGreaterThan(12);
    expect(sizes.length).toBeLessThan(48);
    // Nothing in it says "cut here".
    expect(chunkAll(new Uint8Array(9 * 1024 * 1024), GEAR, limits).map(({ length }) => length)).toEqual([
      limits.maxBytes,
      limits.maxBytes,
      1024 * 1024,
    ]);
  });

  test('are cut elsewhere under another key', () => {
    const input = noise('keyed', 100_000);
    const ends = (gear: Uint8Array) => {
      let at = 0;
      return chunkAll(input, gear)
        .slice(0, -1)
        .map(({ length }) => {
          at += length;
          return at;
        });
    };
    const one = new Set(ends(GEAR));
    const both = ends(gearOf('two')).filter((end) => one.has(end));
    expect(one.size).toBeGreaterThan(100);
    expect(both.length).toBeLessThan(one.size / 20);
  });

  test('find themselves again behind an insertion', () => {
    const input = noise('again', 60_000);
    const changed = Buffer.concat([input.subarray(0, 10_000), Buffer.from('something new'), input.subarray(10_000)]);
    const before = new Set(chunkAll(input).map((chunk) => chunk.toString('latin1')));
    const after = chunkAll(new Uint8Array(changed)).map((chunk) => chunk.toString('latin1'));
    expect(after.filter((chunk) => !before.has(chunk)).length).toBeLessThan(8);
  });

  test('of an empty stream are none; a stream starts anew', () => {
    expect(chunkAll(new Uint8Array(0))).toEqual([]);
    const { chunker, chunks } = keep();
    feed(chunker, noise('left', 700));
    chunker.reset();
    const input = noise('fresh', 5000);
    chunks.length = 0;
    feed(chunker, input);
    chunker.end();
    expect(chunks.map(({ length }) => length)).toEqual(plainChunks(input, GEAR));
  });
});

describe('what a database sends', () => {
  const message = (type: string, body: Uint8Array) => {
    const head = Buffer.alloc(5);
    head.write(type, 'latin1');
    head.writeUInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };

  /** Hands parts to the chunker as a socket does; messages that are no data are collected. */
  function receive({ chunker }: Kept, sent: Uint8Array, cuts: readonly number[]): { others: Buffer; input: number } {
    const others: Buffer[] = [];
    let pending = 0;
    let header: number[] = [];
    let input = 0;
    const other = (part: Uint8Array) => {
      let taken = 0;
      while (taken < part.length && header.length < 5) header.push(part[taken++] as number);
      if (header.length < 5) {
        pending = -1;
        others.push(Buffer.from(part));
        return part.length;
      }
      if (pending <= 0) pending = Buffer.from(header).readUInt32BE(1) - 4;
      const rest = Math.min(pending, part.length - taken);
      pending -= rest;
      if (pending === 0) header = [];
      others.push(Buffer.from(part.subarray(0, taken + rest)));
      return taken + rest;
    };
    let at = 0;
    for (let cut = 0; at < sent.length; cut += 1) {
      const part = sent.subarray(at, at + Math.min(cuts[cut % cuts.length] ?? BLOCK_BYTES, BLOCK_BYTES));
      chunker.received.set(part);
      const from = header.length > 0 ? other(part) : 0;
      if (from < part.length) input += chunker.acceptCopy(from, part.length, other);
      at += part.length;
    }
    return { others: Buffer.concat(others), input };
  }

  const rows = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(3000).map((length) => noise(`row ${length}`, length)),
    ),
    { maxLength: 30 },
  );

  test('loses its headers, and nothing else, in whatever parts it arrives', () => {
    const kept = keep();
    fc.assert(
      fc.property(rows, fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 12 }), (list, cuts) => {
        kept.chunker.reset();
        kept.chunks.length = 0;
        const before = message('H', Buffer.of(0, 0, 0));
        const between = message('N', Buffer.from('SNOTICE\0'));
        const after = Buffer.concat([message('c', Buffer.alloc(0)), message('C', Buffer.from('COPY 1\0'))]);
        const half = Math.floor(list.length / 2);
        const data = (part: readonly Uint8Array[]) => part.map((row) => message('d', row));
        const sent = Buffer.concat([before, ...data(list.slice(0, half)), between, ...data(list.slice(half)), after]);
        const { others, input } = receive(kept, sent, cuts);
        kept.chunker.end();
        const plain = Buffer.concat(list);
        expect(Buffer.concat(kept.chunks).equals(plain)).toBe(true);
        expect(others.equals(Buffer.concat([before, between, after]))).toBe(true);
        expect(input).toBe(plain.length);
        expect(kept.chunker.rows()).toBe(list.length);
        expect(kept.chunks.map(({ length }) => length)).toEqual(plainChunks(plain, GEAR));
      }),
      { numRuns: 60 },
    );
  });

  test('may hold a row that is larger than every buffer', () => {
    const kept = keep(GEAR, { minBytes: 256 * 1024, averageBytes: 1024 * 1024, maxBytes: 4 * 1024 * 1024 });
    const row = noise('large', 12 * 1024 * 1024);
    receive(kept, Buffer.concat([message('d', row), message('d', Buffer.from('x'))]), [BLOCK_BYTES, 70_000, 3]);
    kept.chunker.end();
    expect(Buffer.concat(kept.chunks).equals(Buffer.concat([row, Buffer.from('x')]))).toBe(true);
    expect(kept.chunker.rows()).toBe(2);
  });

  test('is left alone from a header on that says an impossible length', () => {
    const kept = keep();
    const sent = Buffer.concat([message('d', Buffer.from('good')), Buffer.of(0x64, 0, 0, 0, 3), Buffer.from('tail')]);
    const seen: Buffer[] = [];
    kept.chunker.received.set(sent);
    kept.chunker.acceptCopy(0, sent.length, (part) => {
      seen.push(Buffer.from(part));
      return part.length;
    });
    kept.chunker.end();
    expect(Buffer.concat(kept.chunks).toString()).toBe('good');
    expect(Buffer.concat(seen).toString('latin1')).toBe('d\0\0\0\x03tail');
  });
});
