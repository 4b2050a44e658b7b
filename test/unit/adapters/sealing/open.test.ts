import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateX25519Identity } from 'age-encryption';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { CHUNK_BYTES } from '../../../../src/formats/age/payload.ts';
import type { OpenJob } from '../../../../src/ports/sealing.ts';
import { identity, openToFile, recipients, temporaryFolder, testEngine, wholeFile } from './fixtures.ts';

const folder = temporaryFolder();
const engine = testEngine();
const MIB = 1024 * 1024;

/** One piece for all tests: 1.5 MiB of content, then zeros up to 2 MiB. */
const content = randomBytes(1.5 * MIB);
const plaintextBytes = 2 * MIB;
const piecePath = join(folder, 'piece');
const sealed = await engine.seal(
  { segments: [wholeFile(join(folder, 'content'), content)], plaintextBytes, outPath: piecePath },
  recipients,
);
const plaintext = Buffer.concat([content, Buffer.alloc(plaintextBytes - content.length)]);
const padding = { offsetBytes: content.length, lengthBytes: plaintextBytes - content.length };

function job(overrides: Partial<OpenJob> = {}): OpenJob {
  return { ...openToFile(piecePath, sealed, plaintextBytes, join(folder, 'target')), ...overrides };
}

function failure(openJob: OpenJob, identities = [identity]): Promise<unknown> {
  return engine.open(openJob, identities).then(
    () => expect.unreachable(),
    (error) => error,
  );
}

describe('open', () => {
  test('the whole piece, its padding checked, its bytes counted', async () => {
    let read = 0;
    const openJob = job({ zeroRuns: [padding] });
    await engine.open(openJob, [identity], {
      onBytes: (bytes) => {
        read += bytes;
      },
    });
    expect(Buffer.compare(readFileSync(openJob.writes[0]?.path ?? ''), plaintext)).toBe(0);
    expect(read).toBeGreaterThanOrEqual(plaintextBytes);
  });

  test('runs of any places and lengths land where they should, and nowhere else', async () => {
    let run = 0;
    const runs = fc.array(fc.tuple(fc.nat(plaintextBytes), fc.nat(300_000), fc.nat(5000)), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(runs, async (places) => {
        run += 1;
        const writes = places.map(([start, length, fileOffsetBytes], index) => ({
          pieceOffsetBytes: start,
          lengthBytes: Math.min(length, plaintextBytes - start),
          path: join(folder, `run-${run}-${index}`),
          fileOffsetBytes,
        }));
        for (const write of writes)
          writeFileSync(write.path, Buffer.alloc(write.fileOffsetBytes + write.lengthBytes + 10, 1));
        await engine.open(job({ writes }), [identity]);
        for (const write of writes) {
          const run = plaintext.subarray(write.pieceOffsetBytes, write.pieceOffsetBytes + write.lengthBytes);
          const expected = Buffer.concat([Buffer.alloc(write.fileOffsetBytes, 1), run, Buffer.alloc(10, 1)]);
          expect(Buffer.compare(readFileSync(write.path), expected)).toBe(0);
        }
      }),
      { numRuns: 25 },
    );
  });

  test('a piece of no bytes', async () => {
    const outPath = join(folder, 'empty');
    const expected = await engine.seal({ segments: [], plaintextBytes: 0, outPath }, recipients);
    await engine.open({ path: outPath, expected, plaintextBytes: 0, writes: [], zeroRuns: [] }, [identity]);
  });
});

describe('a piece that is not right is refused', () => {
  const damaged = { name: 'AdapterError', code: 'PIECE_DAMAGED', at: { digest: sealed.digest } };

  function copyWith(change: (bytes: Buffer) => Buffer): string {
    const path = join(folder, 'copy');
    writeFileSync(path, change(readFileSync(piecePath)));
    return path;
  }

  test('a bit flipped anywhere, the header included', async () => {
    // Every bit of the header's first stanza and MAC would take long: samples from the header, and from everywhere.
    const bits = fc.oneof(fc.nat(220 * 8 - 1), fc.nat(sealed.sizeBytes * 8 - 1));
    await fc.assert(
      fc.asyncProperty(bits, async (bit) => {
        const path = copyWith((bytes) => {
          bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          return bytes;
        });
        expect(await failure(job({ path }))).toMatchObject({ ...damaged, at: { file: path, digest: sealed.digest } });
      }),
      { numRuns: 60 },
    );
  });

  test('cut or grown', async () => {
    const lengths = [0, 1, 21, 100, 300, CHUNK_BYTES, sealed.sizeBytes - CHUNK_BYTES - 16, sealed.sizeBytes - 1];
    for (const length of lengths) {
      const path = copyWith((bytes) => bytes.subarray(0, length));
      expect(await failure(job({ path })), `cut at ${length}`).toMatchObject(damaged);
    }
    const grown = copyWith((bytes) => Buffer.concat([bytes, Buffer.from([0])]));
    expect(await failure(job({ path: grown }))).toMatchObject({ ...damaged, found: sealed.sizeBytes + 1 });
  });

  test('missing, a folder, a named pipe', async () => {
    expect(await failure(job({ path: join(folder, 'nowhere') }))).toMatchObject({
      name: 'AdapterError',
      code: 'PIECE_MISSING',
      at: { digest: sealed.digest },
    });
    const pipe = join(folder, 'pipe');
    execFileSync('/usr/bin/mkfifo', [pipe]);
    for (const path of [folder, pipe]) {
      expect(await failure(job({ path }))).toMatchObject({
        name: 'AdapterError',
        code: 'FILE_UNREADABLE',
        at: { file: path },
      });
      await expect(engine.digest({ path, sizeBytes: 10 })).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    }
  });

  test('swapped for another good piece of the same size', async () => {
    const path = join(folder, 'other');
    await engine.seal({ segments: [], plaintextBytes, outPath: path }, recipients);
    expect(await failure(job({ path }))).toMatchObject({ ...damaged, expected: sealed.digest });
  });

  test('of another plaintext size than it should', async () => {
    expect(await failure(job({ plaintextBytes: plaintextBytes + 1 }))).toMatchObject(damaged);
  });

  test('with a header larger than any sane one', async () => {
    const path = join(folder, 'huge-header');
    const file = Buffer.concat([Buffer.from('age-encryption.org/v1\n'), Buffer.alloc(100_000, '-> x y\n\n')]);
    writeFileSync(path, file);
    const expected = { digest: digestOf(file), sizeBytes: file.length };
    expect(await failure(job({ path, expected }))).toMatchObject({ name: 'FormatError', code: 'AGE_HEADER_TOO_LARGE' });
  });

  test('not an age file, though its digest is right', async () => {
    const path = join(folder, 'no-age-file');
    const file = randomBytes(1000);
    writeFileSync(path, file);
    const expected = { digest: digestOf(file), sizeBytes: file.length };
    expect(await failure(job({ path, expected }))).toMatchObject({ name: 'FormatError', code: 'AGE_MALFORMED' });
  });

  test('good, but sealed to somebody else', async () => {
    const stranger = await generateX25519Identity();
    expect(await failure(job(), [stranger])).toMatchObject({ name: 'FormatError', code: 'NO_MATCHING_IDENTITY' });
  });

  test('padding that is not zero, wherever the other byte is', async () => {
    const runs = [
      { offsetBytes: 0, lengthBytes: plaintextBytes },
      { offsetBytes: content.length - 1000, lengthBytes: 2000 },
    ];
    for (const run of runs) {
      expect(await failure(job({ zeroRuns: [run] }))).toMatchObject({
        name: 'AdapterError',
        code: 'PIECE_PADDING_NOT_ZERO',
        at: { file: piecePath, digest: sealed.digest },
      });
    }
    for (const hidden of [0, 1, 65_535, 65_536, MIB - 1, MIB, 1_100_000 - 1]) {
      const bytes = Buffer.alloc(1_100_000);
      bytes[hidden] = 1;
      const path = join(folder, `hidden-${hidden}`);
      const segments = [wholeFile(join(folder, 'hidden'), bytes)];
      const expected = await engine.seal({ segments, plaintextBytes: bytes.length, outPath: path }, recipients);
      const zeroRuns = [{ offsetBytes: 0, lengthBytes: bytes.length }];
      const openJob = { path, expected, plaintextBytes: bytes.length, writes: [], zeroRuns };
      expect(await failure(openJob)).toMatchObject({ code: 'PIECE_PADDING_NOT_ZERO' });
      const beside = [
        { offsetBytes: 0, lengthBytes: hidden },
        { offsetBytes: hidden + 1, lengthBytes: bytes.length - hidden - 1 },
      ];
      await engine.open({ ...openJob, zeroRuns: beside }, [identity]);
    }
  });

  test('runs that leave the piece', async () => {
    const write = { pieceOffsetBytes: 1, lengthBytes: plaintextBytes, path: join(folder, 'x'), fileOffsetBytes: 0 };
    const outside = { name: 'AdapterError', code: 'PIECE_RUN_OUT_OF_RANGE' };
    expect(await failure(job({ writes: [write] }))).toMatchObject(outside);
    expect(await failure(job({ zeroRuns: [{ offsetBytes: -1, lengthBytes: 2 }] }))).toMatchObject(outside);
    expect(await failure(job({ zeroRuns: [{ offsetBytes: Number.NaN, lengthBytes: 2 }] }))).toMatchObject(outside);
  });
});

describe('targets', () => {
  test('a target that is missing or a link is not written', async () => {
    const missing = job();
    rmSync(missing.writes[0]?.path ?? '');
    expect(await failure(missing)).toMatchObject({ name: 'AdapterError', code: 'FILE_UNWRITABLE' });
    const victim = join(folder, 'victim');
    const link = join(folder, 'link');
    writeFileSync(victim, 'mine');
    symlinkSync(victim, link);
    const write = { pieceOffsetBytes: 0, lengthBytes: 10, path: link, fileOffsetBytes: 0 };
    expect(await failure(job({ writes: [write] }))).toMatchObject({ code: 'FILE_UNWRITABLE', at: { file: link } });
    expect(readFileSync(victim, 'utf8')).toBe('mine');
  });

  test('a full disk is told as one', async () => {
    const write = { pieceOffsetBytes: 0, lengthBytes: 10, path: '/dev/full', fileOffsetBytes: 0 };
    expect(await failure(job({ writes: [write] }))).toMatchObject({ name: 'AdapterError', code: 'NO_SPACE' });
  });

  test('several pieces write one file at the same time', async () => {
    const bytes = randomBytes(4 * MIB);
    const source = join(folder, 'large');
    writeFileSync(source, bytes);
    const target = join(folder, 'joined');
    writeFileSync(target, '');
    truncateSync(target, bytes.length);
    const copies = join(folder, 'pieces');
    mkdirSync(copies);
    await Promise.all(
      [0, 1, 2, 3].map(async (index) => {
        const outPath = join(copies, String(index));
        const segment = { path: source, offsetBytes: index * MIB, lengthBytes: MIB };
        const expected = await engine.seal({ segments: [segment], plaintextBytes: MIB, outPath }, recipients);
        copyFileSync(outPath, `${outPath}-copy`);
        const write = { pieceOffsetBytes: 0, lengthBytes: MIB, path: target, fileOffsetBytes: index * MIB };
        const openJob = { path: `${outPath}-copy`, expected, plaintextBytes: MIB, writes: [write], zeroRuns: [] };
        await engine.open(openJob, [identity]);
      }),
    );
    expect(Buffer.compare(readFileSync(target), bytes)).toBe(0);
  });
});
