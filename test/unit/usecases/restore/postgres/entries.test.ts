import { expect, test } from 'vitest';
import type { ArchiveItem } from '../../../../../src/formats/postgres/archive.ts';
import type { Fact } from '../../../../../src/formats/repository/database-record.ts';
import { chooseEntries } from '../../../../../src/usecases/restore/postgres/entries.ts';
import { choosePart } from '../../../../../src/usecases/restore/postgres/part-facts.ts';
import type { TargetObjects } from '../../../../../src/usecases/restore/postgres/target-database.ts';
import { partOf } from '../../../../../src/usecases/restore/selection.ts';

function item(id: number, kind: string, schema: string, name: string, ...dependencies: number[]): ArchiveItem {
  return { id, kind, schema, name, dependencies, hasData: false, section: 'pre-data', owner: 'keeper' };
}

/** Two tables, one partitioned, and a view; the second table refers to the first. */
const ITEMS = [
  item(1, 'DATABASE', '', 'shop'),
  item(2, 'COMMENT', '', 'DATABASE shop', 1),
  item(3, 'SCHEMA', '', 'a'),
  item(4, 'ACL', '', 'SCHEMA a', 3),
  item(5, 'SCHEMA', '', 'b'),
  item(6, 'EXTENSION', '', 'citext', 5),
  item(7, 'TYPE', 'b', 'mood', 5),
  item(10, 'TABLE', 'a', 'orders', 3, 7, 6),
  item(11, 'TABLE', 'a', 'orders_1', 3, 7),
  item(12, 'TABLE ATTACH', 'a', 'orders_1', 11, 10),
  item(13, 'SEQUENCE', 'a', 'orders_id_seq', 10),
  item(14, 'SEQUENCE OWNED BY', 'a', 'orders_id_seq', 13),
  item(15, 'DEFAULT', 'a', 'orders id', 13, 10),
  item(16, 'ACL', 'a', 'TABLE orders', 10),
  item(20, 'TABLE', 'b', 'lines', 5),
  item(21, 'VIEW', 'b', 'totals', 10),
  item(30, 'SEQUENCE SET', 'a', 'orders_id_seq', 13),
  item(40, 'CONSTRAINT', 'a', 'orders orders_pkey', 10),
  item(41, 'CONSTRAINT', 'b', 'lines lines_pkey', 20),
  item(42, 'INDEX', 'a', 'orders_index', 10),
  item(43, 'INDEX', 'a', 'orders_1_index', 11),
  item(44, 'INDEX ATTACH', 'a', 'orders_1_index', 42, 43),
  item(45, 'FK CONSTRAINT', 'b', 'lines lines_fkey', 20, 40),
  item(46, 'POLICY', 'b', 'lines own', 20),
  item(47, 'PUBLICATION', '', 'news'),
];

const FACTS: readonly Fact[] = [
  { kind: 'relation', name: ['a', 'orders'], value: { bound: null, parents: [] } },
  { kind: 'relation', name: ['a', 'orders_1'], value: { bound: 'FOR VALUES …', parents: [['a', 'orders']] } },
  { kind: 'relation', name: ['b', 'lines'], value: { bound: null, parents: [] } },
  { kind: 'sequence', name: ['a', 'orders_id_seq'], value: { ownedBy: ['a', 'orders', 'id'] } },
];

async function chosen(given: { schemas?: string[]; tables?: string[] }) {
  const part = partOf({ sources: [], databases: [], schemas: [], tables: [], ...given });
  return await choosePart(part, async function* () {
    yield* FACTS;
  });
}

function target(...there: string[]): TargetObjects {
  return {
    has: (kind, schema, name) => there.includes(`${kind} ${schema}.${name}`),
    isEmpty: there.length === 0,
    examples: there,
    largeObjects: 0,
  };
}

const idsOf = (items: readonly ArchiveItem[]) => items.map(({ id }) => id);

test('of a whole database everything is restored but the database itself', async () => {
  const { items, leftOut } = chooseEntries(ITEMS, await chosen({}), undefined);
  expect(idsOf(items)).toEqual(idsOf(ITEMS.slice(1)));
  expect(leftOut).toEqual([]);
});

test('a table comes with its partitions, sequences, indexes, and what it cannot be made without', async () => {
  const { items, leftOut } = chooseEntries(ITEMS, await chosen({ tables: ['a.orders'] }), undefined);
  expect(idsOf(items)).toEqual([3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 30, 40, 42, 43, 44]);
  expect(idsOf(leftOut)).toEqual([45]);
});

test('a foreign key to a table that is not restored is left out, and told', async () => {
  const { items, leftOut } = chooseEntries(ITEMS, await chosen({ tables: ['lines'] }), undefined);
  expect(idsOf(items)).toEqual([5, 20, 41, 46]);
  expect(idsOf(leftOut)).toEqual([45]);
});

test('a schema comes with everything in it', async () => {
  const { items } = chooseEntries(ITEMS, await chosen({ schemas: ['a'] }), undefined);
  expect(idsOf(items)).toEqual([3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 30, 40, 42, 43, 44]);
});

test('what is there already supports what is made, or stands in its way', async () => {
  const there = target('SCHEMA .a', 'SCHEMA .b', 'EXTENSION .citext', 'TYPE b.mood');
  const one = chooseEntries(ITEMS, await chosen({ tables: ['a.orders'] }), there);
  expect(idsOf(one.items)).toEqual([10, 11, 12, 13, 14, 15, 16, 30, 40, 42, 43, 44]);
  expect(one.conflicts).toEqual([]);
  const two = chooseEntries(
    ITEMS,
    await chosen({ tables: ['a.orders'] }),
    target('TABLE a.orders', 'SEQUENCE a.orders_id_seq'),
  );
  expect(two.conflicts).toEqual(['table a.orders', 'sequence a.orders_id_seq']);
});

test('patterns that fit nothing are known', async () => {
  const { part } = await chosen({ schemas: ['nothing'], tables: ['a.orders', 'b.none'] });
  expect(part.unused()).toEqual(['nothing', 'b.none']);
});

test('rights of the schema public, which every database has, go with that schema into a new database alone', async () => {
  // No entry makes the schema: 900 is in no archive.
  const items = [
    item(1, 'ACL', '', 'SCHEMA public', 900),
    item(2, 'COMMENT', '', 'EXTENSION plpgsql', 901),
    item(3, 'TABLE', 'public', 't'),
    item(4, 'TABLE', 'a', 't'),
    item(5, 'DEFAULT ACL', 'public', 'DEFAULT PRIVILEGES FOR TABLES'),
  ];
  const restored = async (part: Parameters<typeof chosen>[0], there?: TargetObjects) =>
    idsOf(chooseEntries(items, await chosen(part), there).items);
  expect(await restored({ schemas: ['a'] })).toEqual([4]);
  expect(await restored({ schemas: ['public'] })).toEqual([1, 3, 5]);
  expect(await restored({ schemas: ['public'] }, target())).toEqual([1, 3, 5]);
  expect(await restored({ schemas: ['public'] }, target('SCHEMA .public', 'TABLE a.other'))).toEqual([3]);
  expect(await restored({}, target('SCHEMA .public', 'TABLE a.other'))).toEqual([2, 3, 4]);
});

test('a table is published where its publication is there, and that it is not is told; so are triggers elsewhere', async () => {
  const items = [
    item(1, 'SCHEMA', '', 'a'),
    item(2, 'FUNCTION', 'a', 'on_user()', 1),
    item(3, 'TABLE', 'a', 't', 1),
    item(4, 'TABLE', 'auth', 'users'),
    item(5, 'PUBLICATION', '', 'news'),
    item(6, 'PUBLICATION TABLE', 'a', 'news t', 5, 3),
    item(7, 'TRIGGER', 'auth', 'users on_user', 4, 2),
  ];
  const part = await chosen({ schemas: ['a'] });
  const without = chooseEntries(items, part, target('TABLE b.other'));
  expect([idsOf(without.items), idsOf(without.leftOut)]).toEqual([
    [1, 2, 3],
    [6, 7],
  ]);
  const beside = chooseEntries(items, part, target('PUBLICATION .news'));
  expect([idsOf(beside.items), idsOf(beside.leftOut)]).toEqual([[1, 2, 3, 6], [7]]);
  expect(idsOf(chooseEntries(items, await chosen({}), undefined).items)).toEqual([1, 2, 3, 4, 5, 6, 7]);
});
