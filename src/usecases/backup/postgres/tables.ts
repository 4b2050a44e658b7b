import type { QualifiedName } from '../../../formats/postgres/names.ts';
import type { NamePattern } from '../../../formats/postgres/pattern.ts';
import type { DatabaseSession } from '../../../ports/database.ts';

export interface Exclusions {
  /** Nothing of them is taken. */
  readonly schemas: readonly NamePattern[];
  /** Neither their definition nor their rows. */
  readonly tables: readonly NamePattern[];
  /** Their definition only. */
  readonly tableRows: readonly NamePattern[];
}

/** A table that can be locked: `r` with rows of its own, `p` whose rows are in its partitions. */
export interface Table extends QualifiedName {
  readonly oid: number;
  readonly kind: 'r' | 'p';
  readonly persistence: 'permanent' | 'unlogged';
  /** Only of a heap the blocks can be told apart. */
  readonly isHeap: boolean;
  /** In their order, without generated ones. */
  readonly columns: readonly string[];
  readonly isReadable: boolean;
  /** Row-level security would hide rows from this role. */
  readonly isFiltered: boolean;
  /** Its file is not the one that the snapshot knows: it was rewritten in between. */
  readonly isRewritten: boolean;
}

export interface TableList {
  /** All that are to be locked. */
  readonly tables: readonly Table[];
  /** Those of which the rows are read. */
  readonly withRows: readonly Table[];
  readonly excludedSchemas: readonly string[];
  readonly excludedTables: readonly QualifiedName[];
  readonly excludedRows: readonly QualifiedName[];
  /** Patterns that fitted nothing. */
  readonly unusedPatterns: readonly string[];
}

/** No schema of the server's own, nothing temporary: what pg_dump looks at. */
export const USER_SCHEMA = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`;

/** True for what an extension made: it comes with the extension. */
export const memberOfExtension = (catalogue: string, oid: string): string =>
  `exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.${catalogue}'::pg_catalog.regclass
     and d.objid = ${oid} and d.deptype = 'e')`;

const TABLES = `
select c.oid::text as oid, n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
  c.relpersistence::text as persistence, coalesce(am.amname, '')::text as method,
  coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT'), true)::text as readable,
  (c.relrowsecurity and pg_catalog.row_security_active(c.oid))::text as filtered,
  (c.relkind = 'r' and c.relfilenode <> 0 and pg_catalog.pg_relation_filenode(c.oid) is distinct from c.relfilenode)::text as rewritten,
  coalesce((select pg_catalog.json_agg(a.attname order by a.attnum) from pg_catalog.pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''), '[]')::text as columns,
  (with recursive above(oid) as (
     select i.inhparent from pg_catalog.pg_inherits i where i.inhrelid = c.oid and c.relispartition
     union select i.inhparent from above join pg_catalog.pg_inherits i on i.inhrelid = above.oid
   ) select coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(pn.nspname, pc.relname)), '[]')
     from above join pg_catalog.pg_class pc on pc.oid = above.oid join pg_catalog.pg_namespace pn on pn.oid = pc.relnamespace
  )::text as above
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_am am on am.oid = c.relam
where c.relkind in ('r', 'p') and c.relpersistence <> 't' and ${USER_SCHEMA}
  and not ${memberOfExtension('pg_class', 'c.oid')}
order by c.oid`;

/** Of the table itself, without indexes, and of long values beside it. */
export interface TableSize {
  readonly heapBytes: number;
  readonly toastBytes: number;
}

/** By the table's oid. Waits for locks that are not ours already. */
export async function readSizes(
  session: DatabaseSession,
  tables: readonly Table[],
): Promise<ReadonlyMap<number, TableSize>> {
  const rows = await session.query(
    `select c.oid::text as oid, coalesce(pg_catalog.pg_relation_size(c.oid), 0)::text as heap,
       case when c.reltoastrelid = 0 then '0' else coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0)::text end as toast
     from pg_catalog.pg_class c where c.oid = any ($1::pg_catalog.oid[])`,
    [`{${tables.map(({ oid }) => oid).join(',')}}`],
  );
  return new Map(rows.map((row) => [Number(row.oid), { heapBytes: Number(row.heap), toastBytes: Number(row.toast) }]));
}

/** The tables of a database as the session sees them. On a standby unlogged ones have no rows. */
export async function listTables(
  session: DatabaseSession,
  exclusions: Exclusions,
  options: { readonly isStandby: boolean },
): Promise<TableList> {
  const schemas = await session.query(
    `select n.nspname::text as name from pg_catalog.pg_namespace n where ${USER_SCHEMA} order by 1`,
  );
  const used = new Set<string>();
  const fits = (patterns: readonly NamePattern[], schema: string, name: string): boolean => {
    const fitting = patterns.filter((pattern) => pattern.fits(schema, name));
    for (const pattern of fitting) used.add(pattern.text);
    return fitting.length > 0;
  };
  const excludedSchemas = schemas.map(({ name }) => name ?? '').filter((name) => fits(exclusions.schemas, name, ''));
  const tables: Table[] = [];
  const withRows: Table[] = [];
  const excludedTables: QualifiedName[] = [];
  const excludedRows: QualifiedName[] = [];
  for (const row of await session.query(TABLES)) {
    const table: Table = {
      schema: row.schema ?? '',
      name: row.name ?? '',
      oid: Number(row.oid),
      kind: row.kind === 'p' ? 'p' : 'r',
      persistence: row.persistence === 'u' ? 'unlogged' : 'permanent',
      isHeap: row.method === 'heap',
      columns: JSON.parse(row.columns ?? '[]') as string[],
      isReadable: row.readable === 'true',
      isFiltered: row.filtered === 'true',
      isRewritten: row.rewritten === 'true',
    };
    if (excludedSchemas.includes(table.schema)) continue;
    // A partition goes with the tables that it is a part of.
    const names = [[table.schema, table.name], ...(JSON.parse(row.above ?? '[]') as string[][])] as [string, string][];
    if (names.some(([schema, name]) => fits(exclusions.tables, schema, name))) {
      excludedTables.push({ schema: table.schema, name: table.name });
      continue;
    }
    tables.push(table);
    if (table.kind === 'p') continue;
    if (names.some(([schema, name]) => fits(exclusions.tableRows, schema, name))) {
      excludedRows.push({ schema: table.schema, name: table.name });
    } else if (table.persistence === 'unlogged' && options.isStandby) {
      excludedRows.push({ schema: table.schema, name: table.name });
    } else withRows.push(table);
  }
  const all = [...exclusions.schemas, ...exclusions.tables, ...exclusions.tableRows];
  return {
    tables,
    withRows,
    excludedSchemas,
    excludedTables,
    excludedRows,
    unusedPatterns: all.map(({ text }) => text).filter((text) => !used.has(text)),
  };
}
