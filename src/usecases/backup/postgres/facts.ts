import type { Json } from '../../../core/canonical-json.ts';
import { quoteName, quoteRelation } from '../../../formats/postgres/names.ts';
import { encodeFact, type Fact } from '../../../formats/repository/database-record.ts';
import type { DatabaseSession } from '../../../ports/database.ts';
import { DATABASE_FACTS, type FactQuery, rights, SERVER_FACTS } from './fact-queries.ts';
import { memberOfExtension, type TableList, USER_SCHEMA } from './tables.ts';

/** What is left out of a database, and so of its facts. */
export interface LeftOut {
  readonly schemas: readonly string[];
  readonly tables: readonly { readonly schema: string; readonly name: string }[];
}

export function leftOut({ list }: { readonly list: TableList }): LeftOut {
  return { schemas: list.excludedSchemas, tables: list.excludedTables };
}

/** Rows of a cursor at once. */
const FETCHED_ROWS = 200;

/**
 * The facts of a database, each kind sorted by name, but for its sequences. The session has the settings of `readSettings`
 * and stands in a transaction.
 */
export async function* readDatabaseFacts(session: DatabaseSession, leftOut: LeftOut): AsyncGenerator<Fact> {
  const schemas = new Set(leftOut.schemas);
  const tables = new Set(leftOut.tables.map(quoteRelation));
  for (const query of DATABASE_FACTS) {
    for await (const fact of readFacts(session, query)) {
      const [schema = '', name = ''] = fact.name;
      if (query.within !== 'database' && schemas.has(schema)) continue;
      if (query.within === 'table' && tables.has(quoteRelation({ schema, name }))) continue;
      yield fact;
    }
  }
}

/** Roles, memberships, tablespaces. In a transaction. */
export async function* readServerFacts(session: DatabaseSession): AsyncGenerator<Fact> {
  for (const query of SERVER_FACTS) yield* readFacts(session, query);
}

/** By a cursor: memory does not grow with what is there. */
async function* readFacts(session: DatabaseSession, { kind, sql }: FactQuery): AsyncGenerator<Fact> {
  await session.query(
    `declare portolan_facts no scroll cursor for select * from (${sql}) facts order by name collate pg_catalog."C"`,
  );
  for (;;) {
    const rows = await session.query(`fetch ${FETCHED_ROWS} from portolan_facts`);
    for (const { name, value } of rows) {
      yield { kind, name: (JSON.parse(name ?? '[]') as unknown[]).map(String), value: JSON.parse(value ?? '{}') };
    }
    if (rows.length < FETCHED_ROWS) break;
  }
  await session.query('close portolan_facts');
}

const SEQUENCES = `
select c.oid::text as oid, n.nspname::text as schema, c.relname::text as name,
  pg_catalog.json_build_object('owner', pg_catalog.pg_get_userbyid(c.relowner), 'type', pg_catalog.format_type(s.seqtypid, null),
    'start', s.seqstart::text, 'increment', s.seqincrement::text, 'minimum', s.seqmin::text, 'maximum', s.seqmax::text,
    'cache', s.seqcache::text, 'cycles', s.seqcycle, 'rights', ${rights('c.relacl', 's', 'c.relowner')})::text as value,
  (select pg_catalog.json_build_array(tn.nspname, t.relname, a.attname)::text
    from pg_catalog.pg_depend o join pg_catalog.pg_class t on t.oid = o.refobjid
    join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = o.refobjsubid
    where o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and o.objid = c.oid and o.deptype in ('a', 'i')
      and o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass limit 1) as owned_by
from pg_catalog.pg_sequence s join pg_catalog.pg_class c on c.oid = s.seqrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relpersistence <> 't' and ${USER_SCHEMA} and not ${memberOfExtension('pg_class', 'c.oid')}
order by n.nspname collate pg_catalog."C", c.relname collate pg_catalog."C"`;

const SEQUENCES_A_QUERY = 100;

/**
 * Facts of sequences. Their values stand outside of transactions: they are read before the archive is made, so that the archive
 * has the same or later ones.
 */
export async function readSequenceFacts(session: DatabaseSession, leftOut: LeftOut): Promise<readonly Fact[]> {
  const schemas = new Set(leftOut.schemas);
  const tables = new Set(leftOut.tables.map(quoteRelation));
  const rows = (await session.query(SEQUENCES))
    .map((row) => ({
      oid: row.oid ?? '',
      schema: row.schema ?? '',
      name: row.name ?? '',
      value: JSON.parse(row.value ?? '{}') as Record<string, Json>,
      ownedBy: JSON.parse(row.owned_by ?? 'null') as [string, string, string] | null,
    }))
    .filter(({ schema }) => !schemas.has(schema))
    .filter(({ ownedBy }) => ownedBy === null || !tables.has(quoteRelation({ schema: ownedBy[0], name: ownedBy[1] })));
  const facts: Fact[] = [];
  for (let at = 0; at < rows.length; at += SEQUENCES_A_QUERY) {
    const part = rows.slice(at, at + SEQUENCES_A_QUERY);
    const values = await session.query(
      part
        .map(
          (row) =>
            `select '${row.oid}' as oid, last_value::text as last, is_called::text as called from ${quoteRelation(row)}`,
        )
        .join(' union all '),
    );
    const byOid = new Map(values.map((value) => [value.oid, value]));
    for (const { oid, schema, name, value, ownedBy } of part) {
      const now = byOid.get(oid);
      facts.push({
        kind: 'sequence',
        name: [schema, name],
        value: { ...value, last: now?.last ?? '', isCalled: now?.called === 'true', ownedBy },
      });
    }
  }
  return facts;
}

const LINES_BYTES = 64 * 1024;

/** Facts as the lines of a stream; each is shown to `look` on the way. */
export async function* factLines(facts: AsyncIterable<Fact>, look: (fact: Fact) => void): AsyncGenerator<Uint8Array> {
  let lines = '';
  for await (const fact of facts) {
    look(fact);
    lines += encodeFact(fact);
    if (lines.length < LINES_BYTES) continue;
    yield Buffer.from(lines);
    lines = '';
  }
  if (lines !== '') yield Buffer.from(lines);
}

/** For messages. */
export function sqlName(name: readonly string[]): string {
  return name.map(quoteName).join('.');
}
