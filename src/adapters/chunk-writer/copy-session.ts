import { Socket } from 'node:net';
import type pg from 'pg';
import { PortolanError } from '../../core/errors.ts';
import { printable } from '../../core/printable.ts';
import { retry } from '../../core/retry.ts';
import type { DatabaseConnection } from '../../ports/database-connection.ts';
import { AdapterError } from '../errors.ts';
import { type ConnectionSettings, connect, sqlStateOf } from '../postgres/connection.ts';
import { parseDatabaseUrl, placeOfDatabase } from '../postgres/database-url.ts';
import { isStatementFailure } from '../postgres/script-query.ts';

const CONNECT_TIMEOUT_MS = 15_000;
/** How long a server that is starting, or has no free connection, is tried again. */
const CONNECT_WAIT_MS = 10_000;
const CANCEL_WAIT_MS = 5_000;
/**
 * A server sends so much at once. To receive a part costs the same whether it is small or large, here and in the server, which
 * wakes us for it: after small ones a moment is waited in which more comes. A tenth of the processor time, on a busy machine.
 */
const SENT_BYTES = 8192;
const LARGE_BYTES = 64 * 1024;
const MOMENT_MS = 0.5;
const moment = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** A connection of which the messages are read by `pg`, or, while a COPY runs, by us. */
export interface CopySession {
  readonly key: string;
  readonly place: string;
  readonly client: pg.Client;
  /** From here on `take` is told how many bytes were received, always at the start of the memory given; `lost` of the end. */
  divert(take: (lengthBytes: number) => void, lost: (cause: unknown) => void): void;
  /** Back to `pg`, with what was received and is none of ours. */
  giveBack(rest: Uint8Array): void;
  isLost(): boolean;
  /** Says good-bye. */
  end(): Promise<void>;
  /** Has the server stop what it does, and hangs up. */
  abandon(): Promise<void>;
}

type DataListener = (bytes: Buffer) => void;

export interface SessionSettings {
  readonly connection: DatabaseConnection;
  /** Run one after the other before the session is used. */
  readonly session: readonly string[];
  readonly key: string;
  /** Everything is received here, without a copy between; with TLS one copy. */
  readonly received: Uint8Array;
  readonly silenceMs: number;
}

export async function openCopySession(settings: SessionSettings, signal: AbortSignal): Promise<CopySession> {
  const address = parseDatabaseUrl(settings.connection.url);
  const place = placeOfDatabase(address);
  let onReceived: ((lengthBytes: number) => void) | undefined;
  const { received } = settings;
  const createSocket = (): Socket => {
    const socket: Socket = new Socket({
      onread: {
        buffer: received,
        callback(lengthBytes) {
          if (onReceived !== undefined) {
            onReceived(lengthBytes);
            if (lengthBytes >= SENT_BYTES && lengthBytes < LARGE_BYTES) Atomics.wait(moment, 0, 0, MOMENT_MS);
          } else socket.emit('data', Buffer.from(received.subarray(0, lengthBytes)));
          return true;
        },
      },
    });
    return socket;
  };
  const { password, caFile } = settings.connection;
  const plainSettings: ConnectionSettings = {
    address,
    password: password === undefined ? {} : { value: password },
    ...(caFile === undefined ? {} : { caFile }),
    applicationName: 'portolan backup',
    connectTimeoutMs: address.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
  };
  const startMs = performance.now();
  const client = await retry(
    () => connect({ ...plainSettings, createSocket }, place, { signal }),
    { attempts: Number.POSITIVE_INFINITY, baseDelayMs: 250, maxDelayMs: 2000 },
    (cause) => (mayComeYet(cause) && performance.now() - startMs < CONNECT_WAIT_MS ? {} : 'give-up'),
    { signal },
  );
  const stream = client.connection.stream;
  // Under TLS what the socket receives is not ours to read.
  const isPlain = stream instanceof Socket && !('encrypted' in stream);
  let diverted: readonly DataListener[] = [];
  let onLost: ((cause: unknown) => void) | undefined;
  let cause: unknown;
  stream.on('error', (error) => {
    cause = error;
  });
  stream.on('close', () => onLost?.(cause));

  const session: CopySession = {
    key: settings.key,
    place,
    client,
    divert(take, lost) {
      onLost = lost;
      if (stream.destroyed) return lost(cause);
      if (isPlain) {
        onReceived = take;
        return;
      }
      diverted = stream.listeners('data') as unknown as DataListener[];
      const onData = (bytes: Buffer) => {
        for (let at = 0; at < bytes.length; at += received.length) {
          const part = bytes.subarray(at, at + received.length);
          received.set(part);
          take(part.length);
        }
      };
      stream.on('data', onData);
      for (const listener of diverted) stream.off('data', listener);
    },
    giveBack(rest) {
      onLost = undefined;
      onReceived = undefined;
      if (!isPlain) {
        stream.removeAllListeners('data');
        for (const listener of diverted) stream.on('data', listener);
      }
      if (rest.length > 0) stream.emit('data', Buffer.from(rest));
    },
    isLost: () => stream.destroyed,
    async end() {
      // A server that hangs does not answer the good-bye.
      const timer = setTimeout(() => stream.destroy(), CANCEL_WAIT_MS);
      await client.end().catch(() => {});
      clearTimeout(timer);
    },
    async abandon() {
      onLost = undefined;
      if (!stream.destroyed) await cancel(client, plainSettings, place);
      stream.destroy();
    },
  };
  try {
    for (const statement of settings.session) await run(session, statement, settings.silenceMs, signal);
    return session;
  } catch (error) {
    await session.abandon();
    throw error;
  }
}

async function run(session: CopySession, statement: string, silenceMs: number, signal: AbortSignal): Promise<void> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(silent(session.place, silenceMs)), silenceMs);
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const query = session.client.query(statement);
    query.catch(() => {});
    await Promise.race([query, stopped]);
  } catch (cause) {
    if (cause instanceof PortolanError || signal.aborted) throw cause;
    throw serverFailure(cause, session.place);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** The server forgets a client that only hangs up: it is told, over a second connection. */
async function cancel(client: pg.Client, settings: ConnectionSettings, place: string): Promise<void> {
  const { processID } = client as pg.Client & { processID: number | null };
  const limit = AbortSignal.timeout(CANCEL_WAIT_MS);
  let other: pg.Client | undefined;
  limit.addEventListener('abort', () => other?.connection.stream.destroy(), { once: true });
  try {
    other = await connect(settings, place, { signal: limit });
    await other.query('select pg_catalog.pg_cancel_backend($1)', [processID]);
    await other.end();
  } catch {
    other?.connection.stream.destroy();
  }
}

/** Starting up, not listening yet, too many connections. */
function mayComeYet(cause: unknown): boolean {
  if (!(cause instanceof AdapterError)) return false;
  return cause.code === 'DATABASE_UNREACHABLE' || cause.code === 'DATABASE_TIMEOUT';
}

/** What the server said about a statement, or that it is gone. `cause` is an error of `pg`, or the fields of an ErrorResponse. */
export function serverFailure(cause: unknown, place: string): AdapterError {
  const { message = '', hint } = (cause ?? {}) as { readonly message?: string; readonly hint?: string };
  const sqlState = sqlStateOf(cause);
  const found = sqlState === undefined ? {} : { found: `${sqlState}: ${printable(message)}` };
  if (sqlState !== undefined && isStatementFailure(cause)) {
    return new AdapterError('DATABASE_STATEMENT_FAILED', 'The server refused a statement of the backup', {
      ...found,
      at: { url: place },
      hint: printable(hint ?? 'Look into the log of the server.'),
    });
  }
  return new AdapterError('DATABASE_LOST', 'The connection to the database was lost', {
    ...(cause instanceof Error ? { cause } : {}),
    ...found,
    at: { url: place },
    hint: 'See that the server runs and look into its log, then run the command again.',
  });
}

export function silent(place: string, silenceMs: number): AdapterError {
  return new AdapterError('DATABASE_TIMEOUT', 'The database sends nothing any more', {
    expected: `something within ${silenceMs / 1000} s`,
    at: { url: place },
    hint: 'Look whether the server hangs or waits for a lock, then run the command again.',
  });
}
