import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeEndRecord,
  decodeFacts,
  decodeServerRecord,
  decodeTableCounts,
  decodeTableRecord,
  encodeFact,
  type Fact,
} from '../../../../src/formats/repository/database-record.ts';
import { raisedCodes } from '../../../support/raised.ts';

const INVALID = ['FormatError DATABASE_RECORD_INVALID'];

async function* inPieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all(bytes: Uint8Array, size = 1): Promise<Fact[]> {
  const facts: Fact[] = [];
  for await (const fact of decodeFacts(inPieces(bytes, size))) facts.push(fact);
  return facts;
}

test('facts come back as they were, in any pieces, and the same facts are the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          kind: fc.string({ minLength: 1 }),
          name: fc.array(
            fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
            { maxLength: 3 },
          ),
          value: fc.dictionary(
            fc.stringMatching(/^[a-z]+$/),
            fc.oneof(fc.boolean(), fc.integer(), fc.constant(null), fc.string()),
          ),
        }),
        { maxLength: 5 },
      ),
      fc.integer({ min: 1, max: 50 }),
      async (facts, size) => {
        const bytes = Buffer.from(facts.map(encodeFact).join(''));
        const found = await all(bytes, size);
        expect(found.map(encodeFact)).toEqual(facts.map(encodeFact));
        expect(found).toEqual(facts.map((fact) => ({ ...fact, value: { ...fact.value } })));
      },
    ),
  );
});

test('facts that are cut or damaged', async () => {
  const line = encodeFact({ kind: 'role', name: ['é'], value: { isSuperuser: true } });
  const bytes = Buffer.from(line);
  expect(await all(bytes)).toHaveLength(1);
  for (let length = 1; length < bytes.length; length += 1) {
    expect(await raisedCodes(() => all(bytes.subarray(0, length))), `${length}`).toEqual(INVALID);
  }
  for (const bad of ['{}\n', '[]\n', 'null\n', '\n', line.replace('"kind"', '"kinds"'), `\ufffe${line}`]) {
    expect(await raisedCodes(() => all(Buffer.from(bad), 100)), bad).toEqual(INVALID);
  }
  expect(await raisedCodes(() => all(Buffer.from([0xff, 0x0a])))).toEqual(INVALID);
});

test('records of another version, or with something unknown, are refused', async () => {
  const server = {
    version: 1,
    serverVersionNumber: 150001,
    serverVersion: '15.1',
    programVersion: '15.1',
    user: 'u',
    isSuperuser: false,
    isStandby: false,
    databases: ['a'],
    excluded: { schemas: [], tables: [], tableRows: [] },
  };
  expect(decodeServerRecord(server)).toEqual(server);
  const end = {
    version: 1,
    globals: 'g',
    facts: 'f',
    factsCount: 0,
    hasRolePasswords: true,
    databases: [],
    needs: [],
    notes: [],
  };
  expect(decodeEndRecord(end)).toEqual(end);
  const counts = { version: 1, databases: { a: { '"public"."t"': 3 } } };
  expect(decodeTableCounts(counts)).toEqual(counts);
  for (const [decode, good] of [
    [decodeServerRecord, server],
    [decodeEndRecord, end],
    [decodeTableCounts, counts],
  ] as const) {
    for (const bad of [{ ...good, version: 2 }, { ...good, other: 1 }, null, [], undefined]) {
      expect(await raisedCodes(() => decode(bad))).toEqual(INVALID);
    }
  }
  expect(await raisedCodes(() => decodeTableRecord({ isUnlogged: 'no', sizeBytes: 1 }))).toEqual(INVALID);
});
