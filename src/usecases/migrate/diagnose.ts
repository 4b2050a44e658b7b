import type { DatabaseSession } from '../../ports/database.ts';

/** Who may hold the lock that a statement waited for in vain, as a sentence; undefined when nobody is seen. */
export async function oldestTransactions(session: DatabaseSession): Promise<string | undefined> {
  const rows = await session.query(
    `select pid::text as pid, usename as name, application_name as application,
       extract(epoch from clock_timestamp() - xact_start)::bigint::text as seconds
     from pg_catalog.pg_stat_activity
     where xact_start is not null and pid <> pg_catalog.pg_backend_pid() and datname = current_database()
     order by xact_start limit 3`,
  );
  if (rows.length === 0) return undefined;
  const texts = rows.map(({ pid, name, application, seconds }) =>
    [`process ${pid} of the server`, `user ${name}`, application || undefined, `for ${seconds} s`]
      .filter((part) => part !== undefined)
      .join(', '),
  );
  return `The oldest open transactions: ${texts.join('; ')}.`;
}

/** A `create index concurrently` that failed leaves an index that nobody uses, and that stands in the way. */
export async function invalidIndexHint(session: DatabaseSession): Promise<string | undefined> {
  const rows = await session.query(
    `select pg_catalog.format('%I.%I', n.nspname, c.relname) as name
     from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where not i.indisvalid order by 1 limit 5`,
  );
  if (rows.length === 0) return undefined;
  const statements = rows.map(({ name }) => `drop index concurrently ${name};`);
  return `The database has indexes that are not valid; where this file left them: ${statements.join(' ')}`;
}
