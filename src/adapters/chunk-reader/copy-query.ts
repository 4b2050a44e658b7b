/**
 * `COPY … FROM STDIN` over pg (PostgreSQL, "Frontend/Backend Protocol", COPY Operations):
 *
 *     Query        →    ← CopyInResponse
 *     CopyData …   →         `d`, length of what follows with itself as 4 bytes, big endian, bytes
 *     CopyDone     →    ← CommandComplete `COPY rows`, ReadyForQuery
 *
 * Bytes go from where they lie to the socket: pg would copy each piece.
 */
import type { Connection, Submittable } from 'pg';

/** Larger messages leave the server's cache; smaller ones cost more calls. */
const PIECE_BYTES = 128 * 1024;
/** Bytes that may wait in the socket. More would only take memory. */
const WAITING_BYTES = 4 * 1024 * 1024;

export interface CopyQuery extends Submittable {
  /** Resolves when the server takes data. */
  readonly ready: Promise<void>;
  /** Rows by the command tag, once the server is ready for the next query; rejects with what pg tells. */
  readonly outcome: Promise<number>;
  /** Whether `outcome` is known. */
  readonly settled: boolean;
  /** Rejects with what the server said of rows before. `sent` when the bytes are no longer needed. */
  write(bytes: Uint8Array, sent: () => void): Promise<void>;
  /** No more rows. */
  finish(): void;
  /** Makes the server drop the rows. */
  fail(reason: string): void;
}

/** `stallMs`: how long the server may take nothing. `stalled` then ends the wait by breaking the connection. */
export function createCopyQuery(sql: string, stallMs: number, stalled: () => void): CopyQuery {
  const ready = Promise.withResolvers<void>();
  const outcome = Promise.withResolvers<number>();
  // Told by `write` too; nobody may be waiting at the time.
  ready.promise.catch(() => {});
  outcome.promise.catch(() => {});
  let connection: (Connection & { sendCopyFail(reason: string): void; endCopyFrom(): void }) | undefined;
  let failure: { readonly cause: unknown } | undefined;
  let settled = false;
  let rows = Number.NaN;
  let waitingBytes = 0;
  let wake: (() => void) | undefined;

  function settle(finish: () => void): void {
    settled = true;
    finish();
    wake?.();
  }

  return {
    ready: ready.promise,
    outcome: outcome.promise,
    get settled() {
      return settled;
    },
    submit(given) {
      connection = given as NonNullable<typeof connection>;
      connection.query(sql);
    },
    async write(bytes, sent) {
      const socket = connection?.stream;
      if (socket === undefined) throw new Error('the COPY has not begun');
      if (failure === undefined) {
        waitingBytes += bytes.length;
        socket.cork();
        for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
          const piece = bytes.subarray(from, from + PIECE_BYTES);
          socket.write(copyDataHead(piece.length));
          const isLast = from + PIECE_BYTES >= bytes.length;
          // A socket that was destroyed answers too, with an error that the end of the connection tells as well.
          socket.write(piece, () => {
            if (!isLast) return;
            waitingBytes -= bytes.length;
            sent();
            wake?.();
          });
        }
        socket.uncork();
      } else sent();
      while (failure === undefined && waitingBytes > WAITING_BYTES) {
        const before = waitingBytes;
        const timer = setTimeout(() => waitingBytes === before && stalled(), stallMs);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        clearTimeout(timer);
      }
      if (failure !== undefined) throw failure.cause;
    },
    finish: () => connection?.endCopyFrom(),
    fail: (reason) => connection?.sendCopyFail(reason),
    ...{
      handleRowDescription() {},
      handleDataRow() {},
      handlePortalSuspended() {},
      handleEmptyQuery() {},
      handleCopyData() {},
      handleCopyInResponse() {
        ready.resolve();
      },
      handleCommandComplete({ text }: { readonly text: string }) {
        rows = Number(/^COPY (\d+)$/.exec(text)?.[1] ?? Number.NaN);
      },
      handleReadyForQuery() {
        // Nothing happens when data was asked for before.
        ready.reject(new Error('the statement takes no rows'));
        settle(() => outcome.resolve(rows));
      },
      handleError(cause: unknown) {
        failure = { cause };
        ready.reject(cause);
        settle(() => outcome.reject(cause));
      },
    },
  };
}

function copyDataHead(lengthBytes: number): Uint8Array {
  const head = Buffer.allocUnsafe(5);
  head[0] = 0x64;
  head.writeInt32BE(lengthBytes + 4, 1);
  return head;
}
