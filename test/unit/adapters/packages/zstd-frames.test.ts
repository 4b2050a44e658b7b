import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdDecompress, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NotZstdError, splitZstdFrames } from '../../../../src/adapters/packages/zstd-frames.ts';

async function split(chunks: Iterable<Uint8Array>): Promise<Buffer[]> {
  const parts: Buffer[] = [];
  for await (const part of splitZstdFrames(Readable.from(chunks))) parts.push(Buffer.from(part));
  return parts;
}

async function expand(chunks: Iterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  await pipeline(Readable.from(chunks), splitZstdFrames, createZstdDecompress(), async (source) => {
    for await (const part of source) parts.push(part as Buffer);
  });
  return Buffer.concat(parts);
}

const skippable = fc.uint8Array({ maxLength: 20 }).map((content) => {
  const frame = Buffer.concat([Buffer.alloc(8), content]);
  frame.writeUInt32LE(0x184d2a50 + (content.length % 16), 0);
  frame.writeUInt32LE(content.length, 4);
  return { frame, content: Buffer.alloc(0) };
});
const real = fc
  .record({
    content: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(400_000).map((size) => new Uint8Array(size).fill(7)),
    ),
    checksum: fc.boolean(),
    sized: fc.boolean(),
    level: fc.constantFrom(1, 3, 12),
  })
  .map(({ content, checksum, sized, level }) => {
    const params = {
      [constants.ZSTD_c_checksumFlag]: Number(checksum),
      [constants.ZSTD_c_contentSizeFlag]: Number(sized),
      [constants.ZSTD_c_compressionLevel]: level,
    };
    return { frame: zstdCompressSync(content, { params }), content: Buffer.from(content) };
  });

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

test('any frames, cut anywhere, expand to what went in', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(real, skippable), { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat()),
      async (frames, cuts) => {
        const chunks = cutAt(Buffer.concat(frames.map(({ frame }) => frame)), cuts);
        const content = Buffer.concat(frames.map((one) => one.content));
        expect((await expand(chunks)).equals(content)).toBe(true);
      },
    ),
  );
});

test('the parts are the frames when everything comes at once, and bytes are neither lost nor moved byte by byte', async () => {
  const frames = ['a', 'bb', ''].map((text) => zstdCompressSync(text));
  const whole = Buffer.concat(frames);
  expect(await split([whole])).toEqual(frames);
  expect(Buffer.concat(await split([...whole].map((byte) => Uint8Array.of(byte))))).toEqual(whole);
});

test('what follows a frame and is none is refused', async () => {
  await expect(split([Buffer.concat([zstdCompressSync('a'), Buffer.from('garbage')])])).rejects.toBeInstanceOf(
    NotZstdError,
  );
});

test('arbitrary bytes after a magic number end, and are passed on or refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const input = Buffer.concat([Buffer.from('28b52ffd', 'hex'), bytes]);
      const parts = await split([input]).catch((error: unknown) => {
        expect(error).toBeInstanceOf(NotZstdError);
        return undefined;
      });
      if (parts !== undefined) expect(Buffer.concat(parts)).toEqual(input);
    }),
  );
});
