import type pg from 'pg';
import { PortolanError } from '../../core/errors.ts';
import { printable } from '../../core/printable.ts';
import { retry } from '../../core/retry.ts';
import type { Database, DatabaseSession, OpenOptions, Row } from '../../ports/database.ts';
import { AdapterError } from '../errors.ts';
import { type ConnectionSettings, connect, sqlStateOf } from './connection.ts';
import { placeOfDatabase } from './database-url.ts';
import { createScriptQuery, isStatementFailure } from './script-query.ts';
import { type WaitingSession, whileAtWork } from './silence.ts';

export interface DatabaseSettings extends Omit<ConnectionSettings, 'connectTimeoutMs'> {
  /** For one attempt; the address' own connect_timeout goes before it. 15 s. */
  readonly connectTimeoutMs?: number;
  /** How long a server that is starting, or not there yet, is tried again. 10 s. */
  readonly connectWaitMs?: number;
  /** How long a statement waits for a lock. 10 s. */
  readonly lockTimeoutMs?: number;
  /** How long a statement may take; without it, without end. */
  readonly statementTimeoutMs?: number;
  /** How long the server may say nothing before it is asked whether it is at work: see silence.ts. */
  readonly silenceMs?: number;
}

const CONNECT_TIMEOUT_MS = 15_000;
const CONNECT_WAIT_MS = 10_000;
const LOCK_TIMEOUT_MS = 10_000;
/** After the server was told to cancel. */
const CANCEL_WAIT_MS = 10_000;
const OLDEST_VERSION = 140_000;
const NEEDED_BY_EVERY_SCRIPT = [
  "set client_encoding = 'UTF8'",
  'set standard_conforming_strings = on',
  'set client_min_messages = notice',
  "set default_transaction_isolation = 'read committed'",
  // While a transaction of ours is open, the next statement follows at once: a minute means that this program is stopped.
  "set idle_in_transaction_session_timeout = '60s'",
];

/** PostgreSQL 14 and later, over `pg`. */
export function createDatabase(settings: DatabaseSettings): Database {
  const { address } = settings;
  const place = placeOfDatabase(address);
  const connection: ConnectionSettings = {
    ...settings,
    connectTimeoutMs: address.connectTimeoutMs ?? settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
  };
  const giveUpAfterMs = settings.connectWaitMs ?? CONNECT_WAIT_MS;
  return {
    place,
    async open(options = {}) {
      const { signal } = options;
      const startMs = performance.now();
      const client = await retry(
        () => connect(connection, place, signal === undefined ? {} : { signal }),
        { attempts: Number.POSITIVE_INFINITY, baseDelayMs: 250, maxDelayMs: 2000 },
        (cause) => (mayComeYet(cause) && performance.now() - startMs < giveUpAfterMs ? {} : 'give-up'),
        signal === undefined ? {} : { signal },
      );
      const session = createSession(client, connection, place, settings, options);
      try {
        await session.prepare();
        return session;
      } catch (cause) {
        await session[Symbol.asyncDispose]();
        throw cause;
      }
    },
  };
}

/** Starting up, not listening yet, a name that is not known yet, too many connections. */
function mayComeYet(cause: unknown): boolean {
  if (!(cause instanceof PortolanError)) return false;
  return cause.code === 'DATABASE_UNREACHABLE' || cause.code === 'DATABASE_TIMEOUT';
}

function createSession(
  client: pg.Client,
  connection: ConnectionSettings,
  place: string,
  settings: DatabaseSettings,
  { signal, onNotice, readOnly }: OpenOptions,
): DatabaseSession & { prepare(): Promise<void> } {
  const { processID } = client as pg.Client & { processID: number | null };
  const waiting: WaitingSession = { client, connection, place, silenceMs: settings.silenceMs };
  let closed = false;
  let busy = false;
  const lost = (cause: unknown): unknown => {
    if (signal?.aborted) return signal.reason;
    if (cause instanceof PortolanError) return cause;
    const sqlState = sqlStateOf(cause);
    return new AdapterError('DATABASE_LOST', 'The connection to the database was lost', {
      cause,
      ...(sqlState === undefined ? {} : { found: `${sqlState}: ${printable((cause as Error).message)}` }),
      at: { url: place },
      hint: 'See that the server runs and look into its log, then run the command again.',
    });
  };
  const work = async <T>(act: () => Promise<T>): Promise<T> => {
    signal?.throwIfAborted();
    busy = true;
    try {
      return await act();
    } finally {
      busy = false;
    }
  };
  const query = (sql: string, parameters: readonly (string | null)[] = []): Promise<readonly Row[]> =>
    work(async () => {
      try {
        const sent = client.query({ text: sql, values: [...parameters], types: AS_TEXT });
        const { rows } = await whileAtWork(waiting, sent);
        return rows as Row[];
      } catch (cause) {
        if (!isStatementFailure(cause)) throw lost(cause);
        signal?.throwIfAborted();
        throw statementError(cause, place);
      }
    });
  const runScript: DatabaseSession['run'] = (script) =>
    work(async () => {
      const submitted = createScriptQuery(script);
      client.query(submitted);
      try {
        return await whileAtWork(waiting, submitted.outcome);
      } catch (cause) {
        throw lost(cause);
      }
    });
  const mustRun = async (script: string) => {
    const outcome = await runScript(script);
    if (outcome.kind === 'done') return;
    throw new AdapterError('DATABASE_UNSUPPORTED', outcome.failure.message, {
      at: { url: place },
      hint: 'Look into the log of the server.',
    });
  };
  const configure = async () => {
    const { lockTimeoutMs = LOCK_TIMEOUT_MS, statementTimeoutMs = 0 } = settings;
    await mustRun(
      [
        ...NEEDED_BY_EVERY_SCRIPT,
        `set lock_timeout = ${Math.round(lockTimeoutMs)}`,
        `set statement_timeout = ${Math.round(statementTimeoutMs)}`,
      ].join(';'),
    );
    // So that the server stops a statement whose client is gone, and frees its locks. Not every platform can do it.
    await runScript("set client_connection_check_interval = '10s'");
  };
  /** The server forgets a client that only hangs up: it is told, over a second connection. */
  const cancel = async () => {
    const limit = AbortSignal.timeout(CANCEL_WAIT_MS);
    let other: pg.Client | undefined;
    const hangUp = () => {
      client.connection.stream.destroy();
      other?.connection.stream.destroy();
    };
    limit.addEventListener('abort', hangUp, { once: true });
    try {
      other = await connect(connection, place, { signal: limit });
      await other.query('select pg_catalog.pg_cancel_backend($1)', [processID]);
      await other.end();
    } catch {
      hangUp();
    }
  };
  const onAbort = () => {
    if (busy) void cancel();
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  client.on('notice', ({ severity, message }) => {
    if (severity !== 'DEBUG' && severity !== 'LOG') onNotice?.(printable(message ?? '', 500));
  });
  return {
    get transaction() {
      const status = (client as pg.Client & { getTransactionStatus(): string | null }).getTransactionStatus();
      return status === 'T' ? 'open' : status === 'E' ? 'failed' : 'none';
    },
    query,
    run: runScript,
    async reset() {
      await mustRun(
        'reset session authorization; reset role; reset all; deallocate all; close all; unlisten *;' +
          'discard temp; discard sequences; discard plans',
      );
      await configure();
    },
    async prepare() {
      const [facts] = await query(
        `select pg_catalog.pg_backend_pid()::text as pid, pg_catalog.pg_is_in_recovery()::text as standby,
           pg_catalog.current_setting('server_version_num') as version, pg_catalog.current_setting('server_version') as name`,
      );
      if (Number(facts?.version) < OLDEST_VERSION) {
        throw new AdapterError('DATABASE_UNSUPPORTED', 'The server is too old', {
          expected: 'PostgreSQL 14 or later',
          found: facts?.name ?? '',
          at: { url: place },
          hint: 'Upgrade the server.',
        });
      }
      // A pooler keeps the number of its own connection to the client; locks of a session do not live behind one.
      if (Number(facts?.pid) !== processID) {
        throw new AdapterError('DATABASE_POOLED', 'Something stands between this program and the server', {
          expected: 'a direct connection to PostgreSQL',
          found: 'a pooler such as PgBouncer, pgcat or Supavisor',
          at: { url: place },
          hint: 'Name the address of the server itself: behind a pooler the lock that keeps two runs apart would not hold.',
        });
      }
      if (facts?.standby === 'true' && readOnly !== true) {
        throw new AdapterError('DATABASE_READ_ONLY', 'The server is a standby, which takes no changes', {
          expected: 'the primary',
          at: { url: place },
          hint: 'Name the address of the primary.',
        });
      }
      await configure();
    },
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      signal?.removeEventListener('abort', onAbort);
      // A server that hangs does not answer the good-bye.
      const timer = setTimeout(() => client.connection.stream.destroy(), CANCEL_WAIT_MS);
      await client.end().catch(() => {});
      clearTimeout(timer);
    },
  };
}

/** Every value as the server prints it: no dates, numbers or arrays are made of it. */
const AS_TEXT = { getTypeParser: () => (value: unknown) => value } as unknown as pg.CustomTypesConfig;

function statementError(cause: Error, place: string): AdapterError {
  const { code, hint } = cause as Error & { code?: string; hint?: string };
  return new AdapterError('DATABASE_STATEMENT_FAILED', 'The server refused a statement of Portolan', {
    found: `${code}: ${printable(cause.message)}`,
    at: { url: place },
    hint: printable(hint ?? STATEMENT_HINTS[code ?? ''] ?? 'Look into the log of the server.'),
  });
}

const STATEMENT_HINTS: Readonly<Record<string, string>> = {
  '42501':
    'Use a user that may create a schema in this database (grant create on database … to …), or that owns the schema portolan.',
  '25006': 'The server takes no changes: name the address of the primary.',
  '53100': 'The disk of the server is full: free space there.',
  '55P03': 'Somebody else holds a lock on the table portolan.migrations: run the command again.',
};
