import { PortolanError } from '../../../core/errors.ts';
import { quoteRelation } from '../../../formats/postgres/names.ts';
import type { DatabaseSession, ReachableDatabase, StatementFailure } from '../../../ports/database.ts';
import { UseCaseError } from '../../errors.ts';
import { checkRights } from './rights.ts';
import { readSettings } from './settings.ts';
import { type Exclusions, listTables, readSizes, type Table, type TableList, type TableSize } from './tables.ts';

/** What a session says about the server and the database. */
export interface ServerState {
  /** `150014`. */
  readonly versionNumber: number;
  readonly version: string;
  readonly encoding: string;
  readonly isStandby: boolean;
  readonly isSuperuser: boolean;
  readonly blockBytes: number;
  readonly moneyLocale: string;
}

/**
 * The session that holds a database still: it has the locks, and its snapshot is what everything is read in. Nothing else
 * goes over it until all is read, but for a sign of life now and then.
 */
export interface Leader extends AsyncDisposable {
  readonly session: DatabaseSession;
  readonly facts: ServerState;
  readonly list: TableList;
  readonly sizes: ReadonlyMap<number, TableSize>;
  readonly snapshot: string;
  /** Extensions that a role without superuser's rights may make. */
  readonly trustedExtensions: ReadonlySet<string>;
  /** Ends the transaction. @throws AdapterError DATABASE_LOST when the session did not live until now */
  finish(): Promise<void>;
}

export interface LeaderOptions {
  readonly user: string;
  readonly exclusions: Exclusions;
  readonly lockTimeoutMs: number;
  readonly signal: AbortSignal;
}

const TABLES_A_LOCK = 100;
/** Lists, locks, and lists again until nothing is new: tables that are made all the time. */
const ROUNDS = 5;

/** Tables were made, rewritten or dropped while they were locked, or somebody holds one: what is tried again. */
export class TablesChanging extends Error {
  readonly problem: UseCaseError;

  constructor(problem: UseCaseError) {
    super(problem.message);
    this.problem = problem;
  }
}

/** One attempt. @throws TablesChanging; UseCaseError BACKUP_RIGHTS_MISSING, BACKUP_ROWS_FILTERED, BACKUP_DATABASE_UNUSABLE */
export async function openLeader(reachable: ReachableDatabase, options: LeaderOptions): Promise<Leader> {
  const { exclusions, signal } = options;
  const { place } = reachable.database;
  const session = await reachable.database.open({ readOnly: true, signal });
  try {
    const facts = await readServerState(session);
    for (const setting of readSettings(facts)) await session.query(setting);
    await session.query(`set lock_timeout = ${Math.round(options.lockTimeoutMs)}`);
    // Before the transaction: a lock comes before the snapshot, so that no table is rewritten in between.
    const before = await listTables(session, exclusions, facts);
    await checkRights(session, before, { user: options.user, place });
    const trustedExtensions = await listTrustedExtensions(session);
    await session.query('begin transaction isolation level repeatable read, read only');
    const locked = new Set<number>();
    await lock(session, before.tables, locked, place);
    const snapshot = await exportSnapshot(session, place);
    let list = await listTables(session, exclusions, facts);
    for (let round = 1; list.tables.some(({ oid }) => !locked.has(oid)); round += 1) {
      if (round > ROUNDS) throw new TablesChanging(changing(place, 'tables that are made all the time'));
      await lock(session, list.tables, locked, place);
      list = await listTables(session, exclusions, facts);
    }
    const rewritten = list.tables.find(({ isRewritten }) => isRewritten);
    if (rewritten !== undefined) {
      throw new TablesChanging(changing(place, `${quoteRelation(rewritten)} was rewritten in this moment`));
    }
    const sizes = await readSizes(session, list.withRows);
    return {
      session,
      facts,
      list,
      sizes,
      snapshot,
      trustedExtensions,
      finish: async () => {
        await session.query('commit');
      },
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    };
  } catch (cause) {
    await session[Symbol.asyncDispose]();
    throw cause;
  }
}

export async function readServerState(session: DatabaseSession): Promise<ServerState> {
  const [row] = await session.query(
    `select pg_catalog.current_setting('server_version_num') as number, pg_catalog.current_setting('server_version') as version,
       pg_catalog.current_setting('server_encoding') as encoding, pg_catalog.current_setting('block_size') as block,
       pg_catalog.current_setting('lc_monetary') as money, pg_catalog.pg_is_in_recovery()::text as standby,
       (select rolsuper::text from pg_catalog.pg_roles where rolname = current_user) as superuser`,
  );
  return {
    versionNumber: Number(row?.number),
    version: row?.version ?? '',
    encoding: row?.encoding ?? '',
    isStandby: row?.standby === 'true',
    isSuperuser: row?.superuser === 'true',
    blockBytes: Number(row?.block),
    moneyLocale: row?.money ?? '',
  };
}

/** By the files of the server; before the transaction, since one file that is not well formed fails the statement. */
async function listTrustedExtensions(session: DatabaseSession): Promise<ReadonlySet<string>> {
  try {
    const rows = await session.query(
      `select e.extname::text as name from pg_catalog.pg_extension e
       join pg_catalog.pg_available_extension_versions v on v.name = e.extname and v.version = e.extversion
       where v.trusted or not v.superuser`,
    );
    return new Set(rows.map(({ name }) => name ?? ''));
  } catch (cause) {
    if (cause instanceof PortolanError && cause.code === 'DATABASE_STATEMENT_FAILED') return new Set();
    throw cause;
  }
}

async function lock(
  session: DatabaseSession,
  tables: readonly Table[],
  locked: Set<number>,
  place: string,
): Promise<void> {
  const wanted = tables.filter(({ oid }) => !locked.has(oid));
  for (let at = 0; at < wanted.length; at += TABLES_A_LOCK) {
    const part = wanted.slice(at, at + TABLES_A_LOCK);
    const outcome = await session.run(lockStatement(part));
    if (outcome.kind === 'failed') throw await lockFailure(session, outcome.failure, part, place);
    for (const { oid } of part) locked.add(oid);
  }
}

/** `only`: a lock on a parent would go down to tables that are left out. */
export function lockStatement(tables: readonly Table[]): string {
  return `lock table ${tables.map((table) => `only ${quoteRelation(table)}`).join(', ')} in access share mode`;
}

const CHANGED = new Set(['42P01', '3F000', '42809', '40P01', '42501']);

async function lockFailure(
  session: DatabaseSession,
  failure: StatementFailure,
  tables: readonly Table[],
  place: string,
): Promise<unknown> {
  const said = `${failure.sqlState}: ${failure.message}`;
  if (failure.sqlState === '55P03') {
    await session.query('rollback');
    return new TablesChanging(changing(place, (await holders(session, tables)) || said));
  }
  // A table that was dropped, or whose rights were taken, a deadlock: the next list knows.
  if (CHANGED.has(failure.sqlState)) return new TablesChanging(changing(place, said));
  return new UseCaseError('BACKUP_DATABASE_UNUSABLE', 'The tables cannot be locked', {
    found: said,
    at: { url: place },
    hint:
      failure.sqlState === '53200'
        ? 'There are more tables than the server can lock: raise max_locks_per_transaction there, or leave schemas out.'
        : 'Look into the log of the server.',
  });
}

/** Who holds tables so that nobody may read them. */
async function holders(session: DatabaseSession, tables: readonly Table[]): Promise<string> {
  const rows = await session.query(
    `select distinct l.pid::text as pid, coalesce(a.usename, '')::text as role, coalesce(a.application_name, '') as application,
       l.relation::pg_catalog.regclass::text as held
     from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
     where l.mode = 'AccessExclusiveLock' and l.relation = any ($1::pg_catalog.oid[]) and l.pid <> pg_catalog.pg_backend_pid()
       and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
     limit 5`,
    [`{${tables.map(({ oid }) => oid).join(',')}}`],
  );
  return rows.map((row) => `${row.held}, held by process ${row.pid} (${row.role} ${row.application})`).join('; ');
}

function changing(place: string, found: string): UseCaseError {
  return new UseCaseError('BACKUP_TABLES_CHANGING', 'The tables could not be held still', {
    found,
    at: { url: place },
    hint: 'See in pg_locks and pg_stat_activity who works on the table that is named, and run the backup again when that is done.',
  });
}

async function exportSnapshot(session: DatabaseSession, place: string): Promise<string> {
  try {
    const [row] = await session.query('select pg_catalog.pg_export_snapshot() as snapshot');
    return row?.snapshot ?? '';
  } catch (cause) {
    if (!(cause instanceof PortolanError) || cause.code !== 'DATABASE_STATEMENT_FAILED') throw cause;
    throw new UseCaseError('BACKUP_DATABASE_UNUSABLE', 'The server exports no snapshot, by which readers agree', {
      cause,
      ...(cause.found === undefined ? {} : { found: cause.found }),
      at: { url: place },
      hint: 'Back up the primary.',
    });
  }
}
