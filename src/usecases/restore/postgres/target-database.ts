import type { DatabaseSession } from '../../../ports/database.ts';
import { memberOfExtension, USER_SCHEMA } from '../../backup/postgres/tables.ts';
import { LEDGER_SCHEMA } from './ledger.ts';

/** What a database already has, without the ledger of a restore. As `KIND SCHEMA.NAME`: kinds and names of an archive. */
export interface TargetObjects {
  has(kind: string, schema: string, name: string): boolean;
  readonly isEmpty: boolean;
  /** The first of them, for messages. */
  readonly examples: readonly string[];
  readonly largeObjects: number;
}

const NOT_LEDGER = `n.nspname <> '${LEDGER_SCHEMA}'`;

const OBJECTS = `
select 'schema' as kind, '' as schema, n.nspname::text as name from pg_catalog.pg_namespace n
  where ${USER_SCHEMA} and ${NOT_LEDGER}
union all
select 'extension', '', e.extname::text from pg_catalog.pg_extension e
union all
select 'publication', '', p.pubname::text from pg_catalog.pg_publication p
union all
select 'relation', n.nspname::text, c.relname::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relpersistence <> 't' and ${USER_SCHEMA} and ${NOT_LEDGER}
    and not ${memberOfExtension('pg_class', 'c.oid')}
union all
select 'type', n.nspname::text, t.typname::text from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where ${USER_SCHEMA} and ${NOT_LEDGER} and t.typtype in ('e', 'd', 'r', 'c', 'b')
    and (t.typrelid = 0 or exists (select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
    and not exists (select from pg_catalog.pg_type a where a.typarray = t.oid) and not ${memberOfExtension('pg_type', 't.oid')}
union all
select 'function', n.nspname::text, f.proname || '(' || coalesce((select pg_catalog.string_agg(pg_catalog.format_type(a, null), ', ' order by o)
    from pg_catalog.unnest(f.proargtypes) with ordinality x(a, o)), '') || ')'
  from pg_catalog.pg_proc f join pg_catalog.pg_namespace n on n.oid = f.pronamespace
  where ${USER_SCHEMA} and ${NOT_LEDGER} and not ${memberOfExtension('pg_proc', 'f.oid')}
union all
select 'collation', n.nspname::text, c.collname::text from pg_catalog.pg_collation c join pg_catalog.pg_namespace n on n.oid = c.collnamespace
  where ${USER_SCHEMA} and ${NOT_LEDGER} and not ${memberOfExtension('pg_collation', 'c.oid')}`;

/** Kinds of an archive, by what they are looked up as. */
const KINDS: Readonly<Record<string, string>> = {
  ...{
    SCHEMA: 'schema',
    EXTENSION: 'extension',
    PUBLICATION: 'publication',
    TABLE: 'relation',
    VIEW: 'relation',
    SEQUENCE: 'relation',
  },
  ...{ 'MATERIALIZED VIEW': 'relation', 'FOREIGN TABLE': 'relation' },
  ...{ TYPE: 'type', DOMAIN: 'type', 'SHELL TYPE': 'type', COLLATION: 'collation' },
  ...{ FUNCTION: 'function', PROCEDURE: 'function', AGGREGATE: 'function' },
};

/** What every new database has. */
const BEGINNINGS = new Set(['schema public', 'extension plpgsql']);
const EXAMPLES = 10;

export async function inspectDatabase(session: DatabaseSession): Promise<TargetObjects> {
  const found = new Set<string>();
  const examples: string[] = [];
  for (const { kind, schema, name } of await session.query(OBJECTS)) {
    const text = `${kind} ${schema === '' ? '' : `${schema}.`}${name}`;
    found.add(keyOf(kind ?? '', schema ?? '', name ?? ''));
    if (!BEGINNINGS.has(text) && examples.length < EXAMPLES) examples.push(text);
  }
  const [row] = await session.query(
    'select pg_catalog.count(*)::text as count from pg_catalog.pg_largeobject_metadata',
  );
  const largeObjects = Number(row?.count);
  if (largeObjects > 0) examples.push(`${largeObjects} large objects`);
  return {
    has: (kind, schema, name) => found.has(keyOf(KINDS[kind] ?? kind, schema, name)),
    isEmpty: examples.length === 0,
    examples,
    largeObjects,
  };
}

function keyOf(kind: string, schema: string, name: string): string {
  return JSON.stringify([kind, schema, name]);
}
