import { AdapterError } from '../errors.ts';
import type { Chunker } from './chunker.ts';
import { type CopySession, serverFailure, silent } from './copy-session.ts';
import type { FeedOptions } from './copy-source.ts';
import { createMessageReader, errorFields, type ServerMessage } from './server-messages.ts';

const MIN_CHECK_MS = 20;

/**
 * Runs `COPY … TO STDOUT` in text form (PostgreSQL, "Message Flow", "COPY Operations") and feeds its data to the chunker, in
 * the call in which they arrive: while a chunk is compressed, or waits for a slot, the server waits.
 *
 * Resolves with the number of rows, when the server has ended the COPY in order and the rows that it counted have all come. The
 * session is as good as new then, and to be abandoned otherwise.
 */
export function copyOut(
  session: CopySession,
  copy: string,
  chunker: Chunker,
  silenceMs: number,
  { advance, signal }: FeedOptions,
): Promise<number> {
  const { place } = session;
  return new Promise<number>((resolve, reject) => {
    let over = false;
    let heardMs = performance.now();
    let failure: unknown;
    let isData = false;
    let isDone = false;
    let counted: number | undefined;
    const reader = createMessageReader(place);

    const timer = setInterval(
      () => {
        if (performance.now() - heardMs > silenceMs) finish(() => reject(silent(place, silenceMs)));
      },
      Math.max(MIN_CHECK_MS, silenceMs / 20),
    );
    const onAbort = () => finish(() => reject(signal.reason));
    signal.addEventListener('abort', onAbort, { once: true });

    function finish(act: () => void): void {
      if (over) return;
      over = true;
      clearInterval(timer);
      signal.removeEventListener('abort', onAbort);
      act();
    }

    function take(lengthBytes: number): void {
      // What still comes after a failure is of no use.
      if (over) return;
      try {
        const at = reader.isPending() ? other(chunker.received.subarray(0, lengthBytes)) : 0;
        if (at < lengthBytes) advance(chunker.acceptCopy(at, lengthBytes, other));
      } catch (error) {
        finish(() => reject(error));
      }
      // Not before: the time in which this thread was busy is not the server's.
      heardMs = performance.now();
    }

    function other(bytes: Uint8Array): number {
      const { message, taken } = reader.read(bytes);
      if (message === undefined) return taken;
      if (message.type !== 'ReadyForQuery') {
        handle(message);
        return taken;
      }
      session.giveBack(bytes.subarray(taken));
      finish(conclude);
      return bytes.length;
    }

    function handle({ type, body }: ServerMessage): void {
      if (type === 'ErrorResponse') failure ??= serverFailure(errorFields(body), place);
      else if (type === 'CopyOutResponse') {
        if (body[0] !== 0) throw unexpected(place, 'a COPY in binary form');
        isData = true;
      } else if (type === 'CopyDone') isDone = true;
      else if (type === 'CommandComplete') {
        counted = Number(/^COPY (\d+)/.exec(Buffer.from(body).toString('latin1'))?.[1] ?? Number.NaN);
      } else if (type === 'other') throw unexpected(place, 'a message that belongs to no COPY');
    }

    function conclude(): void {
      const rows = chunker.rows();
      if (failure !== undefined) reject(failure);
      else if (!isData || !isDone || counted === undefined) reject(unexpected(place, 'no complete COPY'));
      else if (counted !== rows) reject(incomplete(place, counted, rows));
      else resolve(rows);
    }

    session.divert(take, (cause) => finish(() => reject(failure ?? serverFailure(cause, place))));
    if (signal.aborted) onAbort();
    else if (!over) session.client.connection.query(copy);
  });
}

function unexpected(place: string, found: string): AdapterError {
  return new AdapterError('COPY_INCOMPLETE', 'The database did not answer a COPY as PostgreSQL does', {
    expected: 'COPY … TO STDOUT in text form',
    found,
    at: { url: place },
    hint: 'Check that this is PostgreSQL itself, without a proxy between, and run the command again.',
  });
}

function incomplete(place: string, counted: number, found: number): AdapterError {
  return new AdapterError('COPY_INCOMPLETE', 'Rows of a table are missing in what the database sent', {
    expected: `${counted} rows`,
    found: `${found} rows`,
    at: { url: place },
    hint: 'Check that nothing stands between this program and the server, and run the command again.',
  });
}
