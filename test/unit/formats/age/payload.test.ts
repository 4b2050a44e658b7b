import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHUNK_BYTES,
  chunkOpener,
  chunkSealer,
  decryptPayload,
  encryptPayload,
  openPayload,
  PAYLOAD_NONCE_BYTES,
  payloadKey,
  payloadSizeBytes,
  plaintextSizeBytes,
  SEALED_CHUNK_BYTES,
  sealPayload,
  TAG_BYTES,
} from '../../../../src/formats/age/payload.ts';
import { collect, failureOf, splitAt, streamOf } from './bytes.ts';

const fileKey = randomBytes(16);
const DAMAGED = { name: 'FormatError', code: 'AGE_PAYLOAD_DAMAGED' };
/** Sizes on both sides of every edge of the first three chunks. */
const EDGES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 17];

function open(payload: Uint8Array): Uint8Array {
  return openPayload(fileKey, payload);
}

function decrypt(pieces: readonly Uint8Array[]): Promise<Uint8Array> {
  return collect(streamOf(pieces).pipeThrough(decryptPayload(fileKey)));
}

/** Seals with a `last` flag for each chunk, so that payloads which no honest writer makes can be made. */
function sealChunks(chunks: readonly { readonly size: number; readonly last: boolean }[]): Uint8Array {
  const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
  const seal = chunkSealer(payloadKey(fileKey, nonce));
  const sealed = chunks.map(({ size, last }) => {
    const output = new Uint8Array(size + TAG_BYTES);
    seal(randomBytes(size), output, 0, last);
    return output;
  });
  return Buffer.concat([nonce, ...sealed]);
}

describe('age payload', () => {
  test.each(EDGES)('%i bytes come back, at once and as a stream', async (size) => {
    const plaintext = randomBytes(size);
    const payload = sealPayload(fileKey, plaintext);
    expect(payload.length).toBe(payloadSizeBytes(size));
    expect(plaintextSizeBytes(payload.length)).toBe(size);
    expect(Buffer.compare(open(payload), plaintext)).toBe(0);
    expect(Buffer.compare(await decrypt([payload]), plaintext)).toBe(0);
    const streamed = await collect(streamOf([plaintext]).pipeThrough(encryptPayload(fileKey)));
    expect(Buffer.compare(open(streamed), plaintext)).toBe(0);
  });

  test('streams cut anywhere give the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...EDGES),
        fc.array(fc.nat(3 * CHUNK_BYTES), { maxLength: 12 }),
        async (size, cuts) => {
          const plaintext = randomBytes(size);
          const sealed = await collect(streamOf(splitAt(plaintext, cuts)).pipeThrough(encryptPayload(fileKey)));
          expect(Buffer.compare(open(sealed), plaintext)).toBe(0);
          expect(Buffer.compare(await decrypt(splitAt(sealed, cuts)), plaintext)).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a stream that comes byte by byte gives the same bytes', async () => {
    const plaintext = randomBytes(CHUNK_BYTES + 3);
    const payload = sealPayload(fileKey, plaintext);
    const bytes = [...payload].map((byte) => Uint8Array.of(byte));
    expect(Buffer.compare(await decrypt(bytes), plaintext)).toBe(0);
  });

  test('every size has one payload size, and sizes between them are refused', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), (size) => {
        expect(plaintextSizeBytes(payloadSizeBytes(size))).toBe(size);
      }),
    );
    const impossible = [0, 15, 31, 32 + CHUNK_BYTES + 1, 32 + CHUNK_BYTES + TAG_BYTES];
    for (const size of impossible) expect(failureOf(() => plaintextSizeBytes(size))).toMatchObject(DAMAGED);
  });

  test('a payload cut at any offset near an edge is refused', async () => {
    const payload = sealPayload(fileKey, randomBytes(2 * CHUNK_BYTES));
    const edges = [0, PAYLOAD_NONCE_BYTES, PAYLOAD_NONCE_BYTES + SEALED_CHUNK_BYTES, payload.length];
    const offsets = edges.flatMap((edge) => Array.from({ length: 41 }, (_, step) => edge - 20 + step));
    for (const offset of offsets.filter((offset) => offset >= 0 && offset < payload.length)) {
      const cut = payload.subarray(0, offset);
      expect(
        failureOf(() => open(cut)),
        `cut at ${offset}`,
      ).toMatchObject(DAMAGED);
      await expect(decrypt([cut]), `cut at ${offset}`).rejects.toMatchObject(DAMAGED);
    }
  });

  test('a small payload cut at every offset is refused', () => {
    const payload = sealPayload(fileKey, randomBytes(100));
    for (let offset = 0; offset < payload.length; offset += 1) {
      expect(failureOf(() => open(payload.subarray(0, offset)))).toMatchObject(DAMAGED);
    }
  });

  test('every flipped bit of a small payload is refused', () => {
    const payload = sealPayload(fileKey, randomBytes(20));
    for (let bit = 0; bit < payload.length * 8; bit += 1) {
      const flipped = Uint8Array.from(payload);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(failureOf(() => open(flipped))).toMatchObject(DAMAGED);
    }
  });

  test('a flipped bit anywhere in a payload of chunks is refused, and nothing of its chunk comes out', async () => {
    const payload = sealPayload(fileKey, randomBytes(2 * CHUNK_BYTES + 100));
    await fc.assert(
      fc.asyncProperty(fc.nat(payload.length * 8 - 1), async (bit) => {
        const flipped = Uint8Array.from(payload);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(failureOf(() => open(flipped))).toMatchObject(DAMAGED);
        const released: Uint8Array[] = [];
        const reading = (async () => {
          for await (const bytes of streamOf([flipped]).pipeThrough(decryptPayload(fileKey))) released.push(bytes);
        })();
        await expect(reading).rejects.toMatchObject(DAMAGED);
        const chunk = Math.floor(Math.max(0, (bit >> 3) - PAYLOAD_NONCE_BYTES) / SEALED_CHUNK_BYTES);
        expect(Buffer.concat(released).length).toBeLessThanOrEqual(chunk * CHUNK_BYTES);
      }),
      { numRuns: 40 },
    );
  });

  test.each([
    ['an empty chunk after others', [CHUNK_BYTES, 0], [false, true]],
    ['a short chunk in the middle', [100, 100], [false, true]],
    ['no last chunk', [CHUNK_BYTES, 100], [false, false]],
    ['two last chunks', [CHUNK_BYTES, 100], [true, true]],
    ['an empty chunk that is not the last', [0], [false]],
  ])('%s is refused', async (_, sizes, lasts) => {
    const payload = sealChunks(sizes.map((size, index) => ({ size, last: lasts[index] === true })));
    expect(failureOf(() => open(payload))).toMatchObject(DAMAGED);
    await expect(decrypt([payload])).rejects.toMatchObject(DAMAGED);
  });

  test('a short chunk that is sealed as one of the middle is refused even where it authenticates', () => {
    const payload = sealChunks([{ size: 100, last: false }]);
    const openChunk = chunkOpener(payloadKey(fileKey, payload.subarray(0, PAYLOAD_NONCE_BYTES)));
    const output = new Uint8Array(100);
    expect(failureOf(() => openChunk(payload.subarray(PAYLOAD_NONCE_BYTES), output, 0, false))).toMatchObject(DAMAGED);
  });

  test('chunks can be opened from any one on', () => {
    const plaintext = randomBytes(3 * CHUNK_BYTES + 5);
    const payload = sealPayload(fileKey, plaintext);
    for (const start of [0, 1, 2, 3]) {
      const openChunk = chunkOpener(payloadKey(fileKey, payload.subarray(0, PAYLOAD_NONCE_BYTES)), start);
      const output = new Uint8Array(CHUNK_BYTES);
      const from = PAYLOAD_NONCE_BYTES + start * SEALED_CHUNK_BYTES;
      const length = openChunk(payload.subarray(from, from + SEALED_CHUNK_BYTES), output, 0, start === 3);
      const expected = plaintext.subarray(start * CHUNK_BYTES, (start + 1) * CHUNK_BYTES);
      expect(Buffer.compare(output.subarray(0, length), expected)).toBe(0);
    }
  });

  test('swapped chunks and chunks of another payload are refused', () => {
    const payload = sealPayload(fileKey, randomBytes(3 * CHUNK_BYTES));
    const other = sealPayload(fileKey, randomBytes(3 * CHUNK_BYTES));
    const chunk = (of: Uint8Array, index: number) =>
      of.subarray(
        PAYLOAD_NONCE_BYTES + index * SEALED_CHUNK_BYTES,
        PAYLOAD_NONCE_BYTES + (index + 1) * SEALED_CHUNK_BYTES,
      );
    const nonce = payload.subarray(0, PAYLOAD_NONCE_BYTES);
    const swapped = Buffer.concat([nonce, chunk(payload, 1), chunk(payload, 0), chunk(payload, 2)]);
    const mixed = Buffer.concat([nonce, chunk(payload, 0), chunk(other, 1), chunk(payload, 2)]);
    expect(failureOf(() => open(swapped))).toMatchObject(DAMAGED);
    expect(failureOf(() => open(mixed))).toMatchObject(DAMAGED);
  });
});
