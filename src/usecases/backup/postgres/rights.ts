import type { PortolanError } from '../../../core/errors.ts';
import { throwProblems } from '../../../core/errors.ts';
import { quoteName, quoteRelation } from '../../../formats/postgres/names.ts';
import type { DatabaseSession } from '../../../ports/database.ts';
import { UseCaseError } from '../../errors.ts';
import { memberOfExtension, type TableList, USER_SCHEMA } from './tables.ts';

/** What a person can still read through; the rest is a number. */
const NAMED_LIMIT = 20;

/**
 * Finds everything at once that this role may not read, before anything is read.
 *
 * @throws UseCaseError BACKUP_RIGHTS_MISSING, BACKUP_ROWS_FILTERED, with the SQL that mends it
 */
export async function checkRights(
  session: DatabaseSession,
  list: TableList,
  { user, place }: { readonly user: string; readonly place: string },
): Promise<void> {
  const problems: PortolanError[] = [];
  const missing = (what: string, names: readonly string[], grant: string): void => {
    if (names.length === 0) return;
    problems.push(
      new UseCaseError('BACKUP_RIGHTS_MISSING', `The role ${user} may not read ${what}`, {
        found: named(names),
        at: { url: place },
        hint: `As their owner or a superuser run: ${grant}`,
      }),
    );
  };
  const role = quoteName(user);
  const isTaken = (schema: string): boolean => !list.excludedSchemas.includes(schema);

  const schemas = (await session.query(UNUSABLE_SCHEMAS)).map(({ name }) => name ?? '').filter(isTaken);
  missing('schemas', schemas.map(quoteName), `grant usage on schema ${schemas.map(quoteName).join(', ')} to ${role};`);

  const tables = list.tables.filter(({ isReadable }) => !isReadable);
  missing('tables', tables.map(quoteRelation), grantSelect(tables, role, 'table'));

  const excluded = new Set(list.excludedTables.map(quoteRelation));
  const others = (await session.query(UNREADABLE_OTHERS))
    .map((row) => ({ schema: row.schema ?? '', name: row.name ?? '', owner: ownerOf(row.owner), kind: row.kind ?? '' }))
    .filter(({ schema, owner }) => isTaken(schema) && !excluded.has(owner));
  const sequences = others.filter(({ kind }) => kind === 'S');
  missing('sequences', sequences.map(quoteRelation), grantSelect(sequences, role, 'sequence'));
  const configured = others.filter(({ kind }) => kind !== 'S');
  missing('configuration tables of extensions', configured.map(quoteRelation), grantSelect(configured, role, 'table'));

  const objects = (await session.query(UNREADABLE_LARGE_OBJECTS)).map(({ oid }) => oid ?? '');
  missing('large objects', objects, `grant select on large object ${objects.join(', ')} to ${role};`);

  const filtered = list.withRows.filter(({ isFiltered }) => isFiltered);
  if (filtered.length > 0) {
    problems.push(
      new UseCaseError('BACKUP_ROWS_FILTERED', `Row-level security would hide rows from the role ${user}`, {
        expected: 'a role that sees every row',
        found: named(filtered.map(quoteRelation)),
        at: { url: place },
        // A policy would not do: the server cannot tell then that it hides nothing.
        hint: `As a superuser run: alter role ${role} bypassrls; (a policy that lets the role read all rows is not enough: that it hides nothing cannot be proved)`,
      }),
    );
  }
  throwProblems(problems);
}

function ownerOf(json: string | null | undefined): string {
  const [schema = '', name = ''] = JSON.parse(json ?? '[]') as string[];
  return quoteRelation({ schema, name });
}

function grantSelect(
  relations: readonly { readonly schema: string; readonly name: string }[],
  role: string,
  kind: 'table' | 'sequence',
): string {
  const word = kind === 'table' ? '' : 'sequence ';
  if (relations.length <= NAMED_LIMIT)
    return `grant select on ${word}${relations.map(quoteRelation).join(', ')} to ${role};`;
  const schemas = [...new Set(relations.map(({ schema }) => quoteName(schema)))];
  return `grant select on all ${kind}s in schema ${schemas.join(', ')} to ${role};`;
}

function named(names: readonly string[]): string {
  const more = names.length - NAMED_LIMIT;
  return `${names.slice(0, NAMED_LIMIT).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

const UNUSABLE_SCHEMAS = `
select n.nspname::text as name from pg_catalog.pg_namespace n
where ${USER_SCHEMA} and not pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  and exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'S', 'm')
    and not ${memberOfExtension('pg_class', 'c.oid')})
order by 1`;

/** Sequences, with the table that owns them; tables whose rows an extension wants to be dumped. */
const UNREADABLE_OTHERS = `
select n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
  coalesce((select pg_catalog.json_build_array(tn.nspname, t.relname)::text
    from pg_catalog.pg_depend o join pg_catalog.pg_class t on t.oid = o.refobjid
    join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
    where o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and o.objid = c.oid and o.deptype in ('a', 'i')
      and o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass limit 1), '[]')::text as owner
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where (c.relkind = 'S' and c.relpersistence <> 't' and ${USER_SCHEMA} and not ${memberOfExtension('pg_class', 'c.oid')}
    or exists (select from pg_catalog.pg_extension e where c.oid = any (e.extconfig)))
  and not pg_catalog.has_table_privilege(c.oid, 'SELECT')
order by 1, 2`;

/** There is no function for it before 18. Grantee 0 is everybody. */
const UNREADABLE_LARGE_OBJECTS = `
select m.oid::text as oid from pg_catalog.pg_largeobject_metadata m
where not pg_catalog.pg_has_role(m.lomowner, 'USAGE')
  and not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user)
  and pg_catalog.current_setting('lo_compat_privileges') <> 'on'
  and not exists (select from pg_catalog.aclexplode(m.lomacl) a where a.privilege_type = 'SELECT'
    and (a.grantee = 0 or pg_catalog.pg_has_role(a.grantee, 'USAGE')))
order by m.oid limit 1000`;
