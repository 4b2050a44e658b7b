import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ArchiveEntry,
  createArchiveCheck,
  readArchiveContents,
} from '../../../../src/formats/postgres/archive.ts';
import { raisedCodes } from '../../../support/raised.ts';

/** Writes archives as pg_dump does: src/formats/postgres/archive.ts has the layout. */
function archive(
  minor: number,
  entries: readonly {
    kind: string;
    schema: string;
    name: string;
    data?: readonly Buffer[];
    blobs?: readonly Buffer[][];
    definition?: string;
    tablespace?: string;
  }[],
): Buffer {
  const parts: Buffer[] = [];
  const byte = (...values: number[]) => parts.push(Buffer.from(values));
  const integer = (value: number) => {
    const bytes = Buffer.alloc(5);
    bytes[0] = value < 0 ? 1 : 0;
    bytes.writeUInt32LE(Math.abs(value), 1);
    parts.push(bytes);
  };
  const text = (value: string | undefined) => {
    integer(value === undefined ? -1 : Buffer.byteLength(value));
    if (value !== undefined) parts.push(Buffer.from(value));
  };
  const pieces = (data: readonly Buffer[]) => {
    for (const piece of data) {
      integer(piece.length);
      parts.push(piece);
    }
    integer(0);
  };
  parts.push(Buffer.from('PGDMP'));
  byte(1, minor, 0, 4, 8, 1);
  if (minor >= 15) byte(0);
  else integer(0);
  for (let index = 0; index < 7; index += 1) integer(index);
  for (const value of ['shop', '15.1', '15.2']) text(value);
  integer(entries.length);
  for (const [index, entry] of entries.entries()) {
    const { kind, schema, name, data, blobs, definition = 'create …', tablespace = '' } = entry;
    integer(index + 1);
    integer(data === undefined && blobs === undefined ? 0 : 1);
    for (const value of ['1259', '16384', name, kind]) text(value);
    integer(2);
    for (const value of [definition, '', undefined, schema, tablespace, 'heap']) text(value);
    if (minor >= 16) integer(114);
    for (const value of ['owner', 'false', '7', '8', undefined]) text(value);
    byte(1, 0, 0, 0, 0, 0, 0, 0, 0);
  }
  for (const [index, { data, blobs }] of entries.entries()) {
    if (data !== undefined) {
      byte(1);
      integer(index + 1);
      pieces(data);
    }
    if (blobs === undefined) continue;
    byte(3);
    integer(index + 1);
    for (const [oid, blob] of blobs.entries()) {
      integer(oid + 1);
      pieces(blob);
    }
    integer(0);
  }
  return Buffer.concat(parts);
}

const ENTRIES = [
  { kind: 'TABLE', schema: 'public', name: 'naïve "t"' },
  { kind: 'TABLE DATA', schema: 'public', name: 'config', data: [Buffer.from('1\tx\n'), Buffer.alloc(300, 7)] },
  { kind: 'TABLE DATA', schema: 'public', name: 'empty', data: [] },
  { kind: 'BLOBS', schema: '', name: 'BLOBS', blobs: [[Buffer.alloc(70_000, 1)], [], [Buffer.of(1), Buffer.of(2)]] },
];

function read(pieces: Iterable<Uint8Array>) {
  const entries: ArchiveEntry[] = [];
  const check = createArchiveCheck((entry) => entries.push(entry));
  for (const piece of pieces) check.push(piece);
  return { summary: check.finish(), entries };
}

describe.each([14, 15, 16])('version 1.%i', (minor) => {
  const whole = archive(minor, ENTRIES);

  test('tells its entries, whole and byte by byte', () => {
    const expected = {
      summary: {
        formatVersion: `1.${minor}-0`,
        database: 'shop',
        serverVersion: '15.1',
        programVersion: '15.2',
        entries: 4,
      },
      entries: ENTRIES.map(({ kind, schema, name, data, blobs }) => ({
        kind,
        schema,
        name,
        hasData: data !== undefined || blobs !== undefined,
      })),
    };
    expect(read([whole])).toEqual(expected);
    expect(read(Array.from(whole, (byte) => Uint8Array.of(byte)))).toEqual(expected);
  });

  test('its table of contents is read alone, in any pieces, up to the first data', async () => {
    async function* pieces(bytes: Uint8Array, lengthBytes: number) {
      for (let at = 0; at < bytes.length; at += lengthBytes) yield bytes.subarray(at, at + lengthBytes);
    }
    const contents = await readArchiveContents(pieces(whole, 7));
    expect(await readArchiveContents(pieces(whole, whole.length))).toEqual(contents);
    expect(contents).toMatchObject({ programVersion: '15.2', items: { length: ENTRIES.length } });
    expect(contents.items[1]).toEqual({
      ...{ id: 2, kind: 'TABLE DATA', schema: 'public', name: 'config', hasData: true },
      ...{ section: 'pre-data', owner: 'owner', dependencies: [7, 8] },
    });
    // The first block follows.
    expect([...whole.subarray(contents.contentsBytes, contents.contentsBytes + 3)]).toEqual([1, 0, 2]);
    const cut = pieces(whole.subarray(0, contents.contentsBytes - 1), 7);
    expect(await raisedCodes(() => readArchiveContents(cut))).toEqual(['FormatError DATABASE_ARCHIVE_INVALID']);
  });

  test('cut anywhere it is not whole', async () => {
    // Within the large piece one place is like the other.
    for (let length = 0; length < whole.length; length += length > 1500 && length < whole.length - 200 ? 997 : 1) {
      expect(await raisedCodes(() => read([whole.subarray(0, length)])), `${length}`).toEqual([
        'FormatError DATABASE_ARCHIVE_INVALID',
      ]);
    }
  });

  test('with more behind its end it is not right', async () => {
    expect(await raisedCodes(() => read([whole, Uint8Array.of(1)]))).toEqual(['FormatError DATABASE_ARCHIVE_INVALID']);
    const again = archive(minor, [{ kind: 'TABLE DATA', schema: 's', name: 't', data: [] }]).subarray(-11);
    expect(await raisedCodes(() => read([whole, again]))).toEqual(['FormatError DATABASE_ARCHIVE_INVALID']);
  });

  test('in any pieces it is the same', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 20 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const pieces = places.slice(1).map((end, index) => whole.subarray(places[index], end));
        expect(read(pieces).entries).toHaveLength(ENTRIES.length);
      }),
    );
  });
});

test('what is no such archive, of another version, or of another format', async () => {
  const good = archive(15, []);
  for (const [at, value] of [
    [0, 0x51],
    [5, 2],
    [6, 13],
    [6, 17],
    [8, 9],
    [10, 3],
  ] as const) {
    const bad = Buffer.from(good);
    bad[at] = value;
    expect(await raisedCodes(() => read([bad])), `${at}`).toEqual(['FormatError DATABASE_ARCHIVE_INVALID']);
  }
});

test('collations, locales and tablespaces that an entry needs are read from it', async () => {
  const bytes = archive(16, [
    {
      ...{ kind: 'TABLE', schema: 'a', name: 't', tablespace: 'fast' },
      definition: `CREATE TABLE a.t (v text COLLATE pg_catalog."de_DE", w text COLLATE pg_catalog."a ""b""", x text COLLATE a.own, y text COLLATE pg_catalog."de_DE");`,
    },
    {
      ...{ kind: 'COLLATION', schema: 'a', name: 'own' },
      definition: `CREATE COLLATION a.own (provider = libc, lc_collate = 'it''s', lc_ctype = 'C');`,
    },
    {
      ...{ kind: 'COLLATION', schema: 'a', name: 'by_icu' },
      definition: `CREATE COLLATION a.by_icu (provider = icu, locale = 'de');`,
    },
    { kind: 'TABLE', schema: 'a', name: 'long', definition: `-- ${'x'.repeat(2 ** 21)} COLLATE pg_catalog."far"` },
    { kind: 'TABLE DATA', schema: 'a', name: 't', data: [Buffer.from('1')] },
  ]);
  const { items } = await readArchiveContents(
    (async function* () {
      yield bytes;
    })(),
  );
  expect(items.map(({ collations, locales, tablespace }) => ({ collations, locales, tablespace }))).toEqual([
    { collations: ['de_DE', 'a "b"'], locales: undefined, tablespace: 'fast' },
    { collations: undefined, locales: ["it's", 'C'], tablespace: undefined },
    { collations: undefined, locales: undefined, tablespace: undefined },
    { collations: undefined, locales: undefined, tablespace: undefined },
    { collations: undefined, locales: undefined, tablespace: undefined },
  ]);
});
