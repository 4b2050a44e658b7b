import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestFromHex, digestOf } from '../../../../src/core/digest.ts';
import { createChunkTableBuilder } from '../../../../src/formats/repository/chunk-table.ts';
import {
  decodeIndexPart,
  encodeIndexPart,
  type IndexPack,
  type IndexPart,
  splitIndex,
} from '../../../../src/formats/repository/index-table.ts';
import { type RepositoryId, runIdOf } from '../../../../src/formats/repository/keys.ts';
import { compressFrame, openFrames } from '../../../../src/formats/repository/zstd-frames.ts';
import { codeOf, expectOnlyWhole, OTHER_REPOSITORY, OTHER_RUN, REPOSITORY, RUN } from './repository-fixture.ts';

const packNumbered = (number: number): IndexPack => ({
  number,
  digest: digestOf(String(number)),
  sizeBytes: 5000,
  usedBytes: 4000,
});

function chunksIn(packs: readonly IndexPack[], each: number) {
  const table = createChunkTableBuilder();
  for (const { number } of packs) {
    for (let index = 0; index < each; index += 1) {
      table.add({ id: randomBytes(32), pack: number, offsetBytes: index * 10, lengthBytes: 10, sizeBytes: 20 });
    }
  }
  return table.table();
}

const packs = [packNumbered(3), packNumbered(9)];
const index: IndexPart = { repository: REPOSITORY, run: RUN, part: 2, packs, chunks: chunksIn(packs, 3) };
const expected = { repository: REPOSITORY, run: RUN, part: 2 };

describe('an index', () => {
  test('is read as it was written', () => {
    const someRun = fc
      .tuple(
        fc.date({ min: new Date(0), max: new Date('2999-01-01'), noInvalidDate: true }),
        fc.uint8Array({ minLength: 8, maxLength: 8 }),
      )
      .map(([startedAt, random]) => runIdOf(startedAt, random));
    const somePacks = fc.uniqueArray(
      fc.record({
        number: fc.integer({ min: 0, max: 0xffff_ffff }),
        digest: fc.stringMatching(/^[0-9a-f]{64}$/).map(digestFromHex),
        sizeBytes: fc.integer({ min: 1000, max: 16_000_000 }),
        usedBytes: fc.integer({ min: 0, max: 1000 }),
      }),
      { selector: ({ number }) => number },
    );
    const repository = fc.stringMatching(/^[0-9a-f]{32}$/) as fc.Arbitrary<RepositoryId>;
    fc.assert(
      fc.property(someRun, somePacks, repository, fc.nat(999_999), fc.nat(5), (run, some, id, part, each) => {
        const written = { repository: id, run, part, packs: some, chunks: chunksIn(some, each) };
        const read = decodeIndexPart(encodeIndexPart(written), { repository: id, run, part });
        expect({ ...read, chunks: Buffer.from(read.chunks).toString('hex') }).toEqual({
          ...written,
          chunks: Buffer.from(written.chunks).toString('hex'),
        });
      }),
    );
  });

  test('cut or with flipped bits is refused or is still a table of its packs', () => {
    const bytes = encodeIndexPart(index);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(
        codeOf(() => decodeIndexPart(bytes.slice(0, length), expected)),
        `cut at ${length}`,
      ).toBeDefined();
    }
    const plain = Buffer.concat([...openFrames(bytes, 1e6)].map((frame) => frame ?? Buffer.alloc(0)));
    const header = 64;
    expectOnlyWhole(new Uint8Array(plain.subarray(0, header)), (some) =>
      decodeIndexPart(compressFrame(Buffer.concat([some, plain.subarray(header)]), 1), expected),
    );
  });

  test('of another repository, run, part or version is told from this one', () => {
    const bytes = encodeIndexPart(index);
    expect(codeOf(() => decodeIndexPart(bytes, { ...expected, repository: OTHER_REPOSITORY }))).toBe(
      'REPOSITORY_MISMATCH',
    );
    expect(codeOf(() => decodeIndexPart(bytes, { ...expected, run: OTHER_RUN }))).toBe('INDEX_INVALID');
    expect(codeOf(() => decodeIndexPart(bytes, { ...expected, part: 1 }))).toBe('INDEX_INVALID');
    const plain = Buffer.concat([...openFrames(bytes, 1e6)].map((frame) => frame ?? Buffer.alloc(0)));
    plain[8] = 2;
    expect(codeOf(() => decodeIndexPart(compressFrame(plain, 1), expected))).toBe('REPOSITORY_VERSION_UNSUPPORTED');
  });

  test.each<[string, Partial<IndexPart>]>([
    ['a chunk of a pack that it does not name', { packs: packs.slice(1) }],
    ['a pack twice', { packs: [...packs, packNumbered(3)] }],
    ['more used of a pack than there is', { packs: [{ ...packNumbered(3), usedBytes: 5001 }, packNumbered(9)] }],
    ['an empty pack', { packs: [...packs, { ...packNumbered(4), sizeBytes: 0, usedBytes: 0 }] }],
  ])('with %s is refused', (_, change) => {
    expect(codeOf(() => decodeIndexPart(encodeIndexPart({ ...index, ...change }), expected))).toBe('INDEX_INVALID');
  });

  test('that unpacks without end is refused', () => {
    const bomb = Buffer.concat(Array.from({ length: 5 }, () => compressFrame(Buffer.alloc(4 * 1024 * 1024), 1)));
    expect(codeOf(() => decodeIndexPart(bomb, expected))).toBe('INDEX_INVALID');
  });

  test('of a large run is cut into parts that hold all of it', () => {
    const many = Array.from({ length: 100 }, (_, number) => packNumbered(number));
    const table = chunksIn(many.slice(0, 1), 5000);
    const parts = [...splitIndex(many, () => table)];
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.map(({ part }) => part)).toEqual(parts.map((_, part) => part));
    expect(parts.flatMap((part) => part.packs)).toEqual(many);
    expect(parts.reduce((sum, { chunks }) => sum + chunks.length, 0)).toBe(100 * table.length);
    for (const part of parts) encodeIndexPart({ ...index, ...part });
    expect([...splitIndex([], () => undefined)]).toMatchObject([{ part: 0, packs: [] }]);
  });
});
