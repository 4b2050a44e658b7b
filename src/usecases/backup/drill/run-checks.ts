import { PortolanError } from '../../../core/errors.ts';
import { printable } from '../../../core/printable.ts';
import type { DrillCheck } from '../../../formats/postgres/drill-checks.ts';
import { quoteName } from '../../../formats/postgres/names.ts';
import type { DatabaseServer, DatabaseSession, Row } from '../../../ports/database.ts';
import type { ThrowAwayServer } from '../../../ports/throw-away-postgres.ts';
import { UseCaseError } from '../../errors.ts';

export interface CheckResult {
  readonly name: string;
  readonly database: string;
  readonly ok: boolean;
  /** What came instead of true. */
  readonly found?: string;
}

/** Longer than any question that a drill should ask. */
const QUERY_TIMEOUT = '30min';

/** @throws UseCaseError DRILL_DATABASE_UNKNOWN where a check names no database that there is */
export function requireDatabases(checks: readonly DrillCheck[], databases: readonly string[]): void {
  for (const { name, database, line } of checks) {
    if (database === undefined ? databases.length === 1 : databases.includes(database)) continue;
    throw new UseCaseError('DRILL_DATABASE_UNKNOWN', `the check in line ${line} has no database: ${printable(name)}`, {
      expected: databases.join(', '),
      ...(database === undefined ? {} : { found: database }),
      hint: 'Write `\\connect DATABASE` above it.',
    });
  }
}

/**
 * Asks the restored databases as a role that reads everything and is no superuser: a view may run functions of whoever made the
 * backup.
 *
 * @throws AdapterError DATABASE_LOST and others of the connection
 */
export async function runChecks(
  checks: readonly DrillCheck[],
  databases: readonly string[],
  server: ThrowAwayServer,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly CheckResult[]> {
  if (checks.length === 0) return [];
  await makeChecker(server, databases, signal);
  const results: CheckResult[] = [];
  for (const check of checks) {
    const database = check.database ?? (databases[0] as string);
    // A session for each: what one query sets or leaves behind is nothing to the next.
    await using session = await open(server.checker, database, signal);
    const found = await ask(session, check.sql);
    results.push({ name: check.name, database, ok: found === undefined, ...(found === undefined ? {} : { found }) });
  }
  return results;
}

async function makeChecker({ server, checker }: ThrowAwayServer, databases: readonly string[], signal: AbortSignal) {
  const role = quoteName(checker.user);
  await using session = await open(server, 'postgres', signal);
  await session.query(`create role ${role} login bypassrls`);
  await session.query(`grant pg_read_all_data to ${role}`);
  for (const name of databases) await session.query(`grant connect on database ${quoteName(name)} to ${role}`);
}

async function open(server: DatabaseServer, name: string, signal: AbortSignal): Promise<DatabaseSession> {
  const { database } = await server.database(name);
  return await database.open({ signal });
}

/** `undefined` when the answer is true. */
async function ask(session: DatabaseSession, sql: string): Promise<string | undefined> {
  await session.query(`set statement_timeout = '${QUERY_TIMEOUT}'`);
  await session.query('set default_transaction_read_only = on');
  try {
    return oddAnswer(await session.query(sql));
  } catch (error) {
    if (error instanceof PortolanError && error.code === 'DATABASE_STATEMENT_FAILED') {
      return printable([error.message, error.found].filter((part) => part !== undefined).join(': '), 500);
    }
    throw error;
  }
}

function oddAnswer(rows: readonly Row[]): string | undefined {
  const [row, ...more] = rows;
  if (row === undefined) return 'no row';
  if (more.length > 0) return `${rows.length} rows`;
  const values = Object.values(row);
  if (values.length !== 1) return `${values.length} columns`;
  const [value] = values;
  if (value === 't') return undefined;
  if (value === 'f') return 'false';
  return value == null ? 'null' : `no boolean: ${printable(value, 100)}`;
}
