import { pause } from '../../core/retry.ts';
import type { DatabaseSession } from '../../ports/database.ts';
import { UseCaseError } from '../errors.ts';

/** Advisory locks belong to one database; two 32-bit keys name one: "port", "migr". */
const KEY = '1886351988, 1835624306';
const POLL_MS = 500;

/**
 * Takes the lock of the session, which the server frees when the session ends, however it ends. It is asked for again and
 * again instead of waited for in the server: a statement that waits holds a snapshot, and `create index concurrently` of
 * the run that has the lock would wait for that snapshot, both for ever.
 *
 * @throws UseCaseError MIGRATION_LOCKED
 */
export async function takeLock(
  session: DatabaseSession,
  waitMs: number,
  options: { readonly signal?: AbortSignal; readonly onWait?: (holder: string) => void },
): Promise<void> {
  const startMs = performance.now();
  for (let told = false; ; ) {
    const [answer] = await session.query(`select pg_catalog.pg_try_advisory_lock(${KEY})::text as taken`);
    if (answer?.taken === 'true') return;
    const holder = await holderOf(session);
    if (!told && holder !== undefined) options.onWait?.(holder);
    told ||= holder !== undefined;
    if (performance.now() - startMs >= waitMs) {
      throw new UseCaseError('MIGRATION_LOCKED', 'Another run holds the lock on the migrations of this database', {
        expected: `the lock within ${waitMs / 1000} s`,
        found: holder ?? 'a session that is gone by now',
        hint: 'Wait until it is done, then run the command again.',
      });
    }
    await pause(POLL_MS, options.signal === undefined ? {} : { signal: options.signal });
  }
}

async function holderOf(session: DatabaseSession): Promise<string | undefined> {
  const [row] = await session.query(
    `select a.application_name as application, a.usename as name, l.pid::text as pid, a.client_addr::text as address,
       to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
     from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
     where l.locktype = 'advisory' and l.granted and l.objsubid = 2
       and (l.classid::bigint, l.objid::bigint) = (${KEY})
       and l.database = (select oid from pg_catalog.pg_database where datname = current_database())`,
  );
  if (row === undefined) return undefined;
  const { application, name, pid, address, since } = row;
  const from = address == null ? '' : ` from ${address}`;
  return `${application || 'a session'} (user ${name}, process ${pid} of the server${from}${since == null ? '' : `, since ${since}`})`;
}
