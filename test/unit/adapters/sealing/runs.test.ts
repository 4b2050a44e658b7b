import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateX25519Identity } from 'age-encryption';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { CHUNK_BYTES } from '../../../../src/formats/age/payload.ts';
import type { SealedRun } from '../../../../src/ports/sealing.ts';
import { identity, recipients, temporaryFolder, testEngine, wholeFile } from './fixtures.ts';

const folder = temporaryFolder();
const engine = testEngine();

/** Three pieces, the last chunk of each full or not. */
const sizes = [3 * CHUNK_BYTES, 20 * CHUNK_BYTES + 5, 1];
const pieces = await Promise.all(
  sizes.map(async (plaintextBytes, index) => {
    const plaintext = randomBytes(plaintextBytes);
    const path = join(folder, `piece-${index}`);
    const segments = [wholeFile(join(folder, `plain-${index}`), plaintext)];
    const expected = await engine.seal({ segments, plaintextBytes, outPath: path }, recipients);
    return { plaintext, sealed: { path, expected, plaintextBytes } };
  }),
);

function run(piece: number, offsetBytes: number, lengthBytes: number): SealedRun {
  const sealed = pieces[piece]?.sealed;
  if (sealed === undefined) throw new Error(`no piece ${piece}`);
  return { ...sealed, offsetBytes, lengthBytes };
}

function plaintextOf(runs: readonly (readonly [number, number, number])[]): Uint8Array {
  return Buffer.concat(
    runs.map(
      ([piece, offset, length]) => pieces[piece]?.plaintext.subarray(offset, offset + length) ?? Buffer.alloc(0),
    ),
  );
}

function failure(runs: readonly SealedRun[], identities = [identity]): Promise<unknown> {
  return engine.readSealed(runs, identities).then(
    () => expect.unreachable(),
    (error) => error,
  );
}

describe('runs of sealed pieces', () => {
  test('any runs give their bytes and their digest', async () => {
    const place = fc.nat(sizes.length - 1).chain((piece) => {
      const size = sizes[piece] ?? 0;
      return fc.nat(size).chain((offset) => fc.tuple(fc.constant(piece), fc.constant(offset), fc.nat(size - offset)));
    });
    await fc.assert(
      fc.asyncProperty(fc.array(place, { maxLength: 4 }), async (places) => {
        const runs = places.map(([piece, offset, length]) => run(piece, offset, length));
        const expected = plaintextOf(places);
        expect(Buffer.compare(await engine.readSealed(runs, [identity]), expected)).toBe(0);
        const into = new SharedArrayBuffer(expected.length + 1);
        const read = await engine.readSealed(runs, [identity], { into });
        expect(read.buffer).toBe(into);
        expect(Buffer.compare(read, expected)).toBe(0);
        expect(await engine.digestSealed(runs, [identity])).toBe(digestOf(expected));
      }),
      { numRuns: 40 },
    );
  });

  test('runs that begin or end on the edges of chunks and pieces', async () => {
    const edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES];
    for (const from of edges) {
      for (const to of edges.filter((edge) => edge >= from)) {
        const bytes = await engine.readSealed([run(0, from, to - from)], [identity]);
        expect(Buffer.compare(bytes, plaintextOf([[0, from, to - from]]))).toBe(0);
      }
    }
  });

  test('a run that leaves its piece is refused, and does not hang', async () => {
    const outside = { name: 'AdapterError', code: 'PIECE_RUN_OUT_OF_RANGE' };
    const size = sizes[0] ?? 0;
    for (const [offset, length] of [
      [0, size + 1],
      [size, 1],
      [-1, 2],
      [0, -1],
      [Number.NaN, 1],
      [2 ** 53, 2 ** 53],
    ] as const) {
      expect(await failure([run(0, offset, length)])).toMatchObject(outside);
      await expect(engine.digestSealed([run(0, offset, length)], [identity])).rejects.toMatchObject(outside);
    }
  });

  test('damage is found in every chunk that is read, and told as damage in the header too', async () => {
    const [piece] = pieces;
    if (piece === undefined) throw new Error('no piece');
    const path = join(folder, 'damaged');
    const damagedRun = (offset: number, length: number) => ({ ...run(0, offset, length), path });
    const original = readFileSync(piece.sealed.path);
    const damaged = {
      name: 'AdapterError',
      code: 'PIECE_DAMAGED',
      at: { file: path, digest: piece.sealed.expected.digest },
    };
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.nat(200), fc.nat(original.length - 1)), fc.nat(7), async (offset, bit) => {
        const flipped = Buffer.from(original);
        flipped[offset] = (flipped[offset] ?? 0) ^ (1 << bit);
        writeFileSync(path, flipped);
        expect(await failure([damagedRun(0, 3 * CHUNK_BYTES)])).toMatchObject(damaged);
      }),
      { numRuns: 40 },
    );
    const lastByte = Buffer.from(original);
    lastByte[original.length - 1] = (lastByte[original.length - 1] ?? 0) ^ 1;
    writeFileSync(path, lastByte);
    expect(await failure([damagedRun(2 * CHUNK_BYTES, 1)])).toMatchObject(damaged);
    expect((await engine.readSealed([damagedRun(0, 2 * CHUNK_BYTES)], [identity])).length).toBe(2 * CHUNK_BYTES);
  });

  test('a header that changes after it was read once', async () => {
    const path = join(folder, 'changing');
    const changing = { ...run(1, CHUNK_BYTES, 1), path };
    const original = readFileSync(pieces[1]?.sealed.path ?? '');
    writeFileSync(path, original);
    await engine.readSealed([changing], [identity]);
    // The last byte of the header's text: of its MAC.
    const flipped = Buffer.from(original);
    const end = flipped.indexOf('\n', flipped.indexOf('\n---') + 1);
    flipped[end - 1] = (flipped[end - 1] ?? 0) ^ 1;
    writeFileSync(path, flipped);
    expect(await failure([changing])).toMatchObject({ code: 'PIECE_DAMAGED', at: { file: path } });
    writeFileSync(path, original);
    expect((await engine.readSealed([changing], [identity])).length).toBe(1);
    rmSync(path);
  });

  test('a piece of another size, or a missing one', async () => {
    expect(await failure([{ ...run(0, 0, 1), plaintextBytes: 2 * CHUNK_BYTES }])).toMatchObject({
      code: 'PIECE_DAMAGED',
    });
    expect(await failure([{ ...run(0, 0, 1), path: join(folder, 'nowhere') }])).toMatchObject({
      code: 'PIECE_MISSING',
    });
    const path = join(folder, 'short-lived');
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, readFileSync(pieces[0]?.sealed.path ?? '').subarray(0, -1));
    expect(await failure([{ ...run(0, 0, 1), path }])).toMatchObject({ code: 'PIECE_DAMAGED', at: { file: path } });
    rmSync(path);
  });

  test('no matching identity', async () => {
    const stranger = await generateX25519Identity();
    expect(await failure([run(0, 0, 1)], [stranger])).toMatchObject({
      name: 'FormatError',
      code: 'NO_MATCHING_IDENTITY',
    });
  });
});

describe('whole blobs inside a piece that is opened', () => {
  test('blobs of any sizes, end to end, are checked on the opened bytes', async () => {
    let count = 0;
    const lengths = fc.array(fc.oneof(fc.nat(10), fc.nat(1_200_000)), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(), async (blobSizes, wrong) => {
        count += 1;
        const blobs = blobSizes.map((size) => randomBytes(size));
        const plaintext = Buffer.concat(blobs);
        const path = join(folder, `blobs-${count}`);
        const segments = [wholeFile(join(folder, `blobs-plain-${count}`), plaintext)];
        const plaintextBytes = plaintext.length;
        const expected = await engine.seal({ segments, plaintextBytes, outPath: path }, recipients);
        let offsetBytes = 0;
        const wholeBlobs = blobs.map((blob) => {
          const entry = { digest: digestOf(blob), offsetBytes, lengthBytes: blob.length };
          offsetBytes += blob.length;
          return entry;
        });
        const job = { path, expected, plaintextBytes, writes: [], zeroRuns: [] };
        await engine.open({ ...job, wholeBlobs: wholeBlobs.toReversed() }, [identity]);
        const other = digestOf('another blob');
        const index = wrong % wholeBlobs.length;
        const untrue = wholeBlobs.map((blob, at) => (at === index ? { ...blob, digest: other } : blob));
        await expect(engine.open({ ...job, wholeBlobs: untrue }, [identity])).rejects.toMatchObject({
          name: 'AdapterError',
          code: 'PIECE_BLOB_NOT_TRUE',
          at: { digest: other },
        });
        rmSync(path);
      }),
      { numRuns: 20 },
    );
  });

  test('a blob that leaves its piece is refused', async () => {
    const sealed = pieces[0]?.sealed;
    if (sealed === undefined) throw new Error('no piece');
    const wholeBlobs = [{ digest: digestOf(''), offsetBytes: sealed.plaintextBytes, lengthBytes: 1 }];
    const job = { ...sealed, writes: [], zeroRuns: [], wholeBlobs };
    await expect(engine.open(job, [identity])).rejects.toMatchObject({ code: 'PIECE_RUN_OUT_OF_RANGE' });
  });
});
