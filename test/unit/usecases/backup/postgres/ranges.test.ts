import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planReading } from '../../../../../src/usecases/backup/postgres/ranges.ts';

const TABLE = { schema: 'public', name: 't', columns: ['a', 'B"'], isHeap: true };
const MIB = 1024 * 1024;
const copyStatements = (...plan: Parameters<typeof planReading>): string[] => {
  const { ranges, statement } = planReading(...plan);
  return Array.from({ length: ranges }, (_, range) => statement(range));
};
const LIMITS = { blockBytes: 8192, rangeBytes: 64 * MIB };

test('a table that fits into one range is copied as a table', () => {
  const one = ['copy "public"."t" ("a", "B""") to stdout'];
  expect(copyStatements(TABLE, { heapBytes: 0, toastBytes: 0 }, LIMITS)).toEqual(one);
  expect(copyStatements(TABLE, { heapBytes: 64 * MIB, toastBytes: 0 }, LIMITS)).toEqual(one);
  expect(copyStatements({ ...TABLE, isHeap: false }, { heapBytes: 640 * MIB, toastBytes: 0 }, LIMITS)).toEqual(one);
  expect(copyStatements({ ...TABLE, columns: [] }, { heapBytes: 0, toastBytes: 0 }, LIMITS)).toEqual([
    'copy "public"."t" to stdout',
  ]);
});

test('a larger one in ranges of blocks, of which the last is open', () => {
  expect(copyStatements(TABLE, { heapBytes: 64 * MIB + 1, toastBytes: 0 }, LIMITS)).toEqual([
    `copy (select "a", "B""" from only "public"."t" where ctid < '(8192,0)'::pg_catalog.tid) to stdout`,
    `copy (select "a", "B""" from only "public"."t" where ctid >= '(8192,0)'::pg_catalog.tid) to stdout`,
  ]);
});

test('ranges follow each other without a gap, and the same ones come again as the table grows', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 36 }), fc.integer({ min: 0, max: 2 ** 38 }), (heapBytes, toastBytes) => {
      const statements = copyStatements(TABLE, { heapBytes, toastBytes }, LIMITS);
      if (statements.length === 1) return;
      const bounds = statements.map((text) => ({
        from: /ctid >= '\((\d+),0\)'/.exec(text)?.[1],
        to: /ctid < '\((\d+),0\)'/.exec(text)?.[1],
      }));
      expect(bounds[0]?.from).toBeUndefined();
      expect(bounds.at(-1)?.to).toBeUndefined();
      const size = Number(bounds[0]?.to);
      expect(Number.isInteger(Math.log2(size))).toBe(true);
      for (let index = 1; index < bounds.length; index += 1) {
        expect(bounds[index]?.from).toBe(bounds[index - 1]?.to);
        expect(Number(bounds[index]?.from)).toBe(index * size);
      }
      // Every range begins within the table, so that none is empty for certain.
      expect(Number(bounds.at(-1)?.from) * 8192).toBeLessThan(heapBytes);
    }),
  );
});
