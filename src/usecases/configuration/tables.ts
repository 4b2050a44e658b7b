import type { TableEntry } from '../../formats/configuration/document.ts';
import type { DatabaseSession, Row } from '../../ports/database.ts';
import { UseCaseError } from '../errors.ts';
import type { TableName } from './types.ts';

/** Rows of declared tables as text, the way PostgreSQL itself writes them: no number and no time loses anything. */

export interface Column {
  readonly name: string;
  readonly type: string;
  /** Place in the primary key, from 1. */
  readonly keyPlace: number | undefined;
  readonly isCollatable: boolean;
  /** `generated always as identity`: it takes a value when a row is made, never later. */
  readonly isFixed: boolean;
  /** What deals out the numbers of this column. */
  readonly sequence: string | undefined;
}

const MAX_ROWS = 100_000;

/** So that the same content is the same text everywhere, and that nothing is filtered in silence. */
const PREPARE = [
  "set search_path = ''",
  "set datestyle = 'ISO, YMD'",
  "set intervalstyle = 'postgres'",
  "set timezone = 'UTC'",
  'set extra_float_digits = 1',
  "set bytea_output = 'hex'",
  "set xmloption = 'content'",
  'set row_security = off',
];

export async function prepareSession(session: DatabaseSession): Promise<void> {
  for (const statement of PREPARE) await session.query(statement);
}

/** @throws UseCaseError CONFIGURATION_TABLE_UNUSABLE */
export async function readColumns(session: DatabaseSession, table: TableName, place: string): Promise<Column[]> {
  const [kind] = await session.query(
    'select c.relkind::text as kind from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($1)',
    [quoted(table)],
  );
  if (kind === undefined) throw unusable(table, place, 'there is no such table');
  if (kind.kind !== 'r' && kind.kind !== 'p') throw unusable(table, place, 'it is not a table');
  const rows = await session.query(
    `select a.attname::text as name, pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
       pg_catalog.array_position(i.indkey::pg_catalog.int2[], a.attnum)::text as key_place,
       (a.attcollation <> 0)::text as collatable, (a.attidentity = 'a')::text as fixed,
       pg_catalog.pg_get_serial_sequence($1, a.attname) as sequence
     from pg_catalog.pg_attribute a
     left join pg_catalog.pg_index i on i.indrelid = a.attrelid and i.indisprimary
     where a.attrelid = pg_catalog.to_regclass($1) and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
     order by a.attnum`,
    [quoted(table)],
  );
  const columns = rows.map((row) => ({
    name: row.name ?? '',
    type: row.type ?? '',
    // An int2vector counts from 0.
    keyPlace: row.key_place === null ? undefined : Number(row.key_place) + 1,
    isCollatable: row.collatable === 'true',
    isFixed: row.fixed === 'true',
    sequence: row.sequence ?? undefined,
  }));
  if (columns.every(({ keyPlace }) => keyPlace === undefined)) {
    throw unusable(table, place, 'it has no primary key, by which rows could be told apart');
  }
  return columns;
}

/** In the order of the primary key, by code points where the order of letters differs from place to place. */
export async function readRows(
  session: DatabaseSession,
  table: TableName,
  columns: readonly Column[],
  place: string,
): Promise<Row[]> {
  const selected = columns.map(({ name }, index) => `${ident(name)}::pg_catalog.text as c${index}`);
  const order = keyColumns(columns).map(
    ({ name, isCollatable }) => `t.${ident(name)}${isCollatable ? ' collate pg_catalog."C"' : ''}`,
  );
  const rows = await session.query(
    `select ${selected.map((one) => `t.${one}`).join(', ')} from ${quoted(table)} t
     order by ${order.join(', ')} limit ${MAX_ROWS + 1}`,
  );
  if (rows.length > MAX_ROWS) {
    throw unusable(table, place, `it has more than ${MAX_ROWS} rows: that is data, not configuration`);
  }
  return rows.map((row) => Object.fromEntries(columns.map(({ name }, index) => [name, row[`c${index}`] ?? null])));
}

export function keyColumns(columns: readonly Column[]): Column[] {
  return columns.filter(({ keyPlace }) => keyPlace !== undefined).sort((a, b) => (a.keyPlace ?? 0) - (b.keyPlace ?? 0));
}

/** The columns of a document as the target has them. @throws UseCaseError CONFIGURATION_TABLE_UNUSABLE */
export function matchColumns(entry: TableEntry, columns: readonly Column[], place: string): Column[] {
  const key = keyColumns(columns).map(({ name }) => name);
  if (key.join('\0') !== entry.primaryKey.join('\0')) {
    throw unusable(
      entry,
      place,
      `its primary key is (${key.join(', ')}), in the document (${entry.primaryKey.join(', ')})`,
    );
  }
  return entry.columns.map(({ name }) => {
    const column = columns.find((one) => one.name === name);
    if (column !== undefined) return column;
    throw unusable(entry, place, `it has no column ${name} that could be written`);
  });
}

/** Inserts what is new and updates what is there; in the caller's transaction. `columns` as `matchColumns` gave them. */
export async function upsertRows(
  session: DatabaseSession,
  table: TableName,
  columns: readonly Column[],
  rows: readonly Row[],
): Promise<void> {
  if (rows.length === 0) return;
  const key = keyColumns(columns).map(({ name }) => ident(name));
  const values = columns.map(({ type }, index) => `(r.value->>${index})::${type}`);
  const updates = columns
    .filter(({ keyPlace, isFixed }) => keyPlace === undefined && !isFixed)
    .map(({ name }) => `${ident(name)} = excluded.${ident(name)}`);
  await session.query(
    `insert into ${quoted(table)} (${columns.map(({ name }) => ident(name)).join(', ')}) overriding system value
     select ${values.join(', ')} from pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) with ordinality r(value, place)
     order by r.place
     on conflict (${key.join(', ')}) do ${updates.length === 0 ? 'nothing' : `update set ${updates.join(', ')}`}`,
    [JSON.stringify(rows.map((row) => columns.map(({ name }) => row[name] ?? null)))],
  );
  for (const { name, sequence } of columns) {
    if (sequence !== undefined) await moveSequence(session, table, name, sequence);
  }
}

/** The next row that the product makes must not meet a number that was imported. A sequence only ever moves on. */
async function moveSequence(session: DatabaseSession, table: TableName, column: string, sequence: string) {
  await session.query(
    `select pg_catalog.setval($1::pg_catalog.regclass, m.highest) from
       (select pg_catalog.max(t.${ident(column)}) as highest from ${quoted(table)} t) m, ${sequence} s
     where m.highest > s.last_value or (m.highest = s.last_value and not s.is_called)`,
    [sequence],
  );
}

/** References first: a row that is referred to must be there before the one that refers. Circles stay as they are. */
export async function inReferenceOrder(
  session: DatabaseSession,
  entries: readonly TableEntry[],
): Promise<readonly TableEntry[]> {
  const needs = new Map<string, Set<string>>();
  for (const entry of entries) {
    const rows = await session.query(
      `select n.nspname::text as schema, c.relname::text as name from pg_catalog.pg_constraint k
       join pg_catalog.pg_class c on c.oid = k.confrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where k.contype = 'f' and k.conrelid = pg_catalog.to_regclass($1)`,
      [quoted(entry)],
    );
    needs.set(
      quoted(entry),
      new Set(rows.map(({ schema, name }) => quoted({ schema: schema ?? '', name: name ?? '' }))),
    );
  }
  const ordered: TableEntry[] = [];
  const waiting = [...entries];
  while (waiting.length > 0) {
    const ready = waiting.findIndex((entry) =>
      waiting.every((other) => other === entry || !needs.get(quoted(entry))?.has(quoted(other))),
    );
    ordered.push(...waiting.splice(Math.max(0, ready), 1));
  }
  return ordered;
}

export function quoted({ schema, name }: TableName): string {
  return `${ident(schema)}.${ident(name)}`;
}

function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function unusable(table: TableName, place: string, reason: string): UseCaseError {
  return new UseCaseError('CONFIGURATION_TABLE_UNUSABLE', `The table ${table.schema}.${table.name}: ${reason}`, {
    at: { url: place },
    hint: 'Name a table with a primary key as SCHEMA.NAME; bring both databases to the same migrations first.',
  });
}
