import type pg from 'pg';
import { AdapterError } from '../errors.ts';
import { type ConnectionSettings, connect } from './connection.ts';

/** A session that waits for an answer of the server. */
export interface WaitingSession {
  readonly client: pg.Client;
  readonly connection: ConnectionSettings;
  readonly place: string;
  /** How long the server may say nothing before it is asked, over a second connection, what it does. 2 min. */
  readonly silenceMs?: number | undefined;
}

/** An index or a lock may take hours, a network that hangs takes for ever: only the server can tell which it is. */
const SILENCE_MS = 120_000;
const ASK_LIMIT_MS = 30_000;
/** An answer may be on its way when the server is asked. */
const ASKED_TIMES = 2;

/**
 * Waits for an answer as long as the server works on it. When it says that it does not, or says nothing at all, the connection
 * is broken, and `answer` has to reject then.
 *
 * @throws AdapterError DATABASE_TIMEOUT; what `answer` rejects with
 */
export async function whileAtWork<T>(session: WaitingSession, answer: Promise<T>): Promise<T> {
  const { client, silenceMs = SILENCE_MS } = session;
  let isOver = false;
  let isLost = false;
  let missed = 0;
  const listen = (): NodeJS.Timeout =>
    setTimeout(async () => {
      missed = (await isAtWork(session)) ? 0 : missed + 1;
      if (isOver) return;
      if (missed < ASKED_TIMES) {
        timer = listen();
        return;
      }
      isLost = true;
      client.connection.stream.destroy();
    }, silenceMs);
  let timer = listen();
  try {
    return await answer;
  } catch (cause) {
    throw isLost ? silent(session.place, silenceMs) : cause;
  } finally {
    isOver = true;
    clearTimeout(timer);
  }
}

/** Not when it waits for us, while we wait for it: then something between us swallowed what one of us said. */
async function isAtWork({ client, connection, place }: WaitingSession): Promise<boolean> {
  const { processID } = client as pg.Client & { processID: number | null };
  const limit = AbortSignal.timeout(ASK_LIMIT_MS);
  let other: pg.Client | undefined;
  const breakOff = () => other?.connection.stream.destroy();
  limit.addEventListener('abort', breakOff, { once: true });
  try {
    other = await connect(connection, place, { signal: limit });
    const { rows } = await other.query(
      `select from pg_catalog.pg_stat_activity
       where pid = $1 and state not like 'idle%' and wait_event_type is distinct from 'Client'`,
      [processID],
    );
    await other.end();
    return rows.length > 0;
  } catch (cause) {
    breakOff();
    // A server that refuses in its own words is there: it may have no connection free.
    return cause instanceof AdapterError && cause.found !== undefined;
  } finally {
    limit.removeEventListener('abort', breakOff);
  }
}

function silent(place: string, silenceMs: number): AdapterError {
  return new AdapterError('DATABASE_TIMEOUT', 'The database does not answer any more', {
    expected: `an answer, or a server that is at work on it, within ${silenceMs / 1000} s`,
    at: { url: place },
    hint: 'See that the server runs, and that nothing between it and this machine holds connections up; then run the command again.',
  });
}
