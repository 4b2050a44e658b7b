import type pg from 'pg';
import { PortolanError } from '../../core/errors.ts';
import { printable } from '../../core/printable.ts';
import { retry } from '../../core/retry.ts';
import type { CopyInJob } from '../../ports/chunks.ts';
import type { DatabaseConnection } from '../../ports/database-connection.ts';
import { AdapterError } from '../errors.ts';
import { type ConnectionSettings, connect, sqlStateOf } from '../postgres/connection.ts';
import { parseDatabaseUrl, placeOfDatabase } from '../postgres/database-url.ts';
import { createScriptQuery, isStatementFailure } from '../postgres/script-query.ts';
import { whileAtWork } from '../postgres/silence.ts';
import { type CopyQuery, createCopyQuery } from './copy-query.ts';
import { release } from './frames.ts';

/** The one session with a server that a worker has, and the COPY that runs in it. */
export interface CopySessions {
  /** Connects, or takes the session of the job before if it is of the same kind; then begins the transaction and the COPY. */
  open(job: CopyInJob): Promise<void>;
  /** Writes chunks, as fast as the server takes them. */
  send(chunks: Iterable<Uint8Array>): Promise<void>;
  /** Ends COPY and transaction. Returns the rows by the server's count. */
  end(): Promise<number>;
  /** Drops the COPY, makes the server let go of it, and hangs up. */
  abort(): Promise<void>;
  close(): Promise<void>;
}

interface Session {
  readonly kind: string;
  readonly client: pg.Client;
  readonly connection: ConnectionSettings;
  readonly place: string;
}

const CONNECT_TIMEOUT_MS = 15_000;
/** How long a server that is starting, or has no connection free, is tried again. */
const CONNECT_WAIT_MS = 30_000;
const HANG_UP_MS = 10_000;
/** A checkpoint or a trigger may hold up the rows; a server that takes none for so long has hung up without a word. */
const STALL_MS = 15 * 60_000;

/** `silenceMs`: see silence.ts. */
export function createCopySessions(silenceMs?: number): CopySessions {
  let session: Session | undefined;
  let job: CopyInJob | undefined;
  let copy: CopyQuery | undefined;
  let busy = false;
  let stalled = false;
  let ending = new AbortController();

  async function sessionFor({ connection, session: statements }: CopyInJob): Promise<Session> {
    const kind = JSON.stringify([connection, statements]);
    if (session?.kind === kind) return session;
    await hangUp();
    session = await startSession(connection, kind, ending.signal);
    for (const statement of statements) await run(session, statement);
    return session;
  }

  async function run(on: Session, sql: string): Promise<void> {
    ending.signal.throwIfAborted();
    const query = createScriptQuery(sql);
    on.client.query(query);
    const outcome = await told(on, whileAtWork({ ...on, silenceMs }, query.outcome));
    if (outcome.kind === 'done') return;
    const { message, sqlState, context } = outcome.failure;
    throw refused('The server refused a statement', on.place, `${sqlState}: ${message}`, context);
  }

  /** Waits for the server, and tells its failures in our words. */
  async function told<T>(on: Session, answer: Promise<T>): Promise<T> {
    busy = true;
    try {
      return await answer;
    } catch (cause) {
      throw failureOf(on, cause);
    } finally {
      busy = false;
    }
  }

  function failureOf(on: Session, cause: unknown): unknown {
    if (ending.signal.aborted) return ending.signal.reason;
    if (cause instanceof PortolanError) return cause;
    if (stalled) {
      return new AdapterError('DATABASE_TIMEOUT', 'The server takes no more rows', {
        expected: `that it goes on within ${STALL_MS / 60_000} min`,
        at: { url: on.place },
        hint: 'Look into its log, and for locks and full disks; then run the command again.',
      });
    }
    const sqlState = sqlStateOf(cause);
    const found = sqlState === undefined ? undefined : `${sqlState}: ${printable((cause as Error).message)}`;
    if (isStatementFailure(cause)) {
      const { where } = cause as Error & { where?: string };
      return refused('The server refused rows', on.place, found ?? '', where);
    }
    return new AdapterError('DATABASE_LOST', 'The connection to the database was lost', {
      cause,
      ...(found === undefined ? {} : { found }),
      at: { url: on.place },
      hint: 'See that the server runs and look into its log, then run the command again.',
    });
  }

  async function hangUp(): Promise<void> {
    const old = session;
    session = undefined;
    copy = undefined;
    if (old === undefined) return;
    // A server that hangs does not answer the good-bye.
    const timer = setTimeout(() => old.client.connection.stream.destroy(), HANG_UP_MS);
    await old.client.end().catch(() => {});
    clearTimeout(timer);
  }

  return {
    async open(next) {
      ending = new AbortController();
      stalled = false;
      job = next;
      const on = await sessionFor(next);
      for (const statement of ['begin', ...next.before]) await run(on, statement);
      ending.signal.throwIfAborted();
      copy = createCopyQuery(next.copy, STALL_MS, () => {
        stalled = true;
        on.client.connection.stream.destroy();
      });
      on.client.query(copy);
      await told(on, whileAtWork({ ...on, silenceMs }, copy.ready));
    },
    async send(chunks) {
      const on = session;
      const to = copy;
      if (on === undefined || to === undefined) throw ending.signal.reason ?? new Error('no COPY is under way');
      for (const chunk of chunks)
        await told(
          on,
          to.write(chunk, () => release(chunk)),
        );
    },
    async end() {
      const on = session;
      if (on === undefined || copy === undefined) throw ending.signal.reason ?? new Error('no COPY is under way');
      copy.finish();
      const rows = await told(on, whileAtWork({ ...on, silenceMs }, copy.outcome));
      copy = undefined;
      for (const statement of [...(job?.after ?? []), 'commit']) await run(on, statement);
      return rows;
    },
    async abort() {
      ending.abort(new DOMException('the COPY was given up', 'AbortError'));
      const on = session;
      if (on === undefined) return;
      if (copy !== undefined && !copy.settled) copy.fail('the restore was given up');
      // While it waits for a lock or runs a trigger, the server reads nothing: it is told over a second connection.
      if (busy) await cancel(on);
      await hangUp();
    },
    close: hangUp,
  };
}

async function startSession(given: DatabaseConnection, kind: string, signal: AbortSignal): Promise<Session> {
  const address = parseDatabaseUrl(given.url);
  const place = placeOfDatabase(address);
  const connection: ConnectionSettings = {
    address,
    password: given.password === undefined ? {} : { value: given.password },
    ...(given.caFile === undefined ? {} : { caFile: given.caFile }),
    applicationName: 'portolan restore',
    connectTimeoutMs: address.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
  };
  const startMs = performance.now();
  const client = await retry(
    () => connect(connection, place, { signal }),
    { attempts: Number.POSITIVE_INFINITY, baseDelayMs: 250, maxDelayMs: 2000 },
    (cause) => (mayComeYet(cause) && performance.now() - startMs < CONNECT_WAIT_MS ? {} : 'give-up'),
    { signal },
  );
  return { kind, client, connection, place };
}

function mayComeYet(cause: unknown): boolean {
  return cause instanceof AdapterError && (cause.code === 'DATABASE_UNREACHABLE' || cause.code === 'DATABASE_TIMEOUT');
}

/** Within a limit; after it the connection is broken, which the server notices in its time. */
async function cancel({ client, connection, place }: Session): Promise<void> {
  const { processID } = client as pg.Client & { processID: number | null };
  const limit = AbortSignal.timeout(HANG_UP_MS);
  let other: pg.Client | undefined;
  const breakOff = () => other?.connection.stream.destroy();
  limit.addEventListener('abort', breakOff, { once: true });
  try {
    other = await connect(connection, place, { signal: limit });
    await other.query('select pg_catalog.pg_cancel_backend($1)', [processID]);
    await other.end();
  } catch {
    client.connection.stream.destroy();
  } finally {
    limit.removeEventListener('abort', breakOff);
  }
}

function refused(message: string, place: string, found: string, context: string | undefined): AdapterError {
  return new AdapterError('DATABASE_STATEMENT_FAILED', message, {
    found: context === undefined ? found : `${found} (${printable(context)})`,
    at: { url: place },
    hint: 'Look into the log of the server; what it refuses here it took where the backup comes from: compare versions, encodings and constraints.',
  });
}
