import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gathered } from '../../../../src/adapters/files/gathered.ts';

const MEBIBYTE = 1024 * 1024;

/** Parts of these lengths, all in the same memory. */
async function* inOneMemory(lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  const memory = Buffer.alloc(3 * MEBIBYTE);
  for (const [index, length] of lengths.entries()) yield memory.subarray(0, length).fill(index + 1);
}

describe('parts that are gathered', () => {
  it('keep their bytes, although whoever gives them uses the memory again', async () => {
    const lengths = fc.oneof(fc.nat(5000), fc.integer({ min: MEBIBYTE - 2, max: MEBIBYTE + 2 }), fc.constant(0));
    await fc.assert(
      fc.asyncProperty(fc.array(lengths, { maxLength: 6 }), async (parts) => {
        const expected = Buffer.concat(parts.map((length, index) => Buffer.alloc(length, index + 1)));
        const got: Buffer[] = [];
        for await (const part of gathered(inOneMemory(parts))) got.push(Buffer.from(part));
        expect(Buffer.concat(got).equals(expected)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('are few, and an empty one lets what came before it pass', async () => {
    const sizes: number[] = [];
    for await (const part of gathered(inOneMemory([10, 20, 0, 30, 40, 2 * MEBIBYTE, 5]))) sizes.push(part.length);
    expect(sizes).toEqual([30, 70 + 2 * MEBIBYTE, 5]);
  });
});
