import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findExtents } from '../../../../src/adapters/file-tree/extents.ts';
import { lookAt } from '../../../../src/adapters/file-tree/open-names.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const { signal } = new AbortController();
const BLOCK = 4096;
const MIB = 1024 * 1024;

async function extentsOf(sizeBytes: number, places: readonly number[], mostExtents?: number) {
  const folder = await temporaryFolder();
  await using file = await open(join(folder, 'file'), 'w+');
  await file.truncate(sizeBytes);
  for (const place of places) await file.write(Buffer.from('x'), 0, 1, place);
  const options = { signal, ...(mostExtents === undefined ? {} : { mostExtents }) };
  const extents = await findExtents(file, await lookAt(file), options);
  return extents.map(({ offsetBytes, lengthBytes }) => [offsetBytes, lengthBytes]);
}

test.each([
  { name: 'all of it a hole', sizeBytes: 5 * MIB, places: [], extents: [] },
  { name: 'empty', sizeBytes: 0, places: [], extents: [] },
  { name: 'one byte at its start', sizeBytes: 5 * MIB, places: [0], extents: [[0, BLOCK]] },
  { name: 'one byte at its end', sizeBytes: 2 * MIB + 5, places: [2 * MIB + 4], extents: [[2 * MIB, 5]] },
  { name: 'neighbours', sizeBytes: 9 * BLOCK, places: [2 * BLOCK, 3 * BLOCK], extents: [[2 * BLOCK, 2 * BLOCK]] },
  {
    name: 'a run over the border of two reads',
    sizeBytes: 3 * MIB,
    places: [MIB - 1, MIB],
    extents: [[MIB - BLOCK, 2 * BLOCK]],
  },
])('extents of a file: $name', async ({ sizeBytes, places, extents }) => {
  expect(await extentsOf(sizeBytes, places)).toEqual(extents);
});

test('of a file with very many holes the smallest count as data, so that the list stays short', async () => {
  const places = Array.from({ length: 300 }, (_, index) => index * 2 * BLOCK);
  expect(await extentsOf(4 * MIB, places)).toHaveLength(300);
  const few = await extentsOf(4 * MIB, [...places, 4 * MIB - 1], 100);
  expect(few.length).toBeLessThanOrEqual(100);
  // The large hole at the end stays one.
  expect(few.at(-1)).toEqual([4 * MIB - BLOCK, BLOCK]);
  expect(few[0]?.[0]).toBe(0);
});
