import { expect, test } from 'vitest';
import { findCollapses } from '../../../../../src/usecases/backup/postgres/collapse.ts';

const counts = (databases: Record<string, Record<string, number>>) => ({ version: 1 as const, databases });
const T = '"public"."t"';

test.each([
  ['the first run', undefined, { a: { [T]: 1 } }, 0],
  ['the same', { a: { [T]: 1000 } }, { a: { [T]: 1000 } }, 0],
  ['half', { a: { [T]: 1000 } }, { a: { [T]: 500 } }, 0],
  ['under half', { a: { [T]: 1000 } }, { a: { [T]: 499 } }, 1],
  ['a table that is gone', { a: { [T]: 1000 } }, { a: {} }, 1],
  ['a small one', { a: { [T]: 99 } }, { a: { [T]: 0 } }, 0],
  ['a database that is gone', { a: { [T]: 1 }, b: {} }, { a: { [T]: 1 } }, 1],
  ['more', { a: { [T]: 1000 } }, { a: { [T]: 5000, x: 1 }, c: {} }, 0],
  ['a name that objects have', { a: { constructor: 500 } }, { a: {} }, 1],
  ['a database that objects have', { a: {}, toString: {} }, { a: {} }, 1],
] as const)('%s', (_, before, now, found) => {
  expect(findCollapses(before === undefined ? undefined : counts(before), counts(now))).toHaveLength(found);
});
