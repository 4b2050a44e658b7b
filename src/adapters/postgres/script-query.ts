import type { Connection, Submittable } from 'pg';
import { printable } from '../../core/printable.ts';
import type { ScriptOutcome, StatementFailure } from '../../ports/database.ts';
import { sqlStateOf } from './connection.ts';

/**
 * A script for `client.query`: sent as one simple query. pg's own class keeps every row of every statement in memory; this
 * one drops them, and counts the statements that are done.
 */
export interface ScriptQuery extends Submittable {
  readonly outcome: Promise<ScriptOutcome>;
}

export function createScriptQuery(script: string | Uint8Array): ScriptQuery {
  const { promise, resolve, reject } = Promise.withResolvers<ScriptOutcome>();
  let statementsDone = 0;
  let refusal: string | undefined;
  return {
    outcome: promise,
    submit(connection: Connection) {
      if (typeof script === 'string') return connection.query(script);
      // pg would copy it twice (PostgreSQL, "Message Formats", Query).
      const head = Buffer.from('Q    ');
      head.writeInt32BE(4 + script.length + 1, 1);
      connection.stream.write(head);
      connection.stream.write(script);
      connection.stream.write(Buffer.of(0));
    },
    ...{
      handleRowDescription() {},
      handleDataRow() {},
      handlePortalSuspended() {},
      handleEmptyQuery() {},
      handleCommandComplete() {
        statementsDone += 1;
      },
      handleCopyInResponse(connection: Connection & { sendCopyFail(reason: string): void }) {
        refusal = 'copy from stdin has no data here: write insert statements';
        connection.sendCopyFail(refusal);
      },
      handleCopyData() {},
      handleReadyForQuery() {
        resolve({ kind: 'done' });
      },
      handleError(cause: Error) {
        if (isStatementFailure(cause)) resolve({ kind: 'failed', failure: failureOf(cause, statementsDone) });
        else reject(cause);
      },
    },
  };
}

/** A FATAL error ends the session: that is a lost connection, and no word about the statement. */
export function isStatementFailure(cause: unknown): cause is Error {
  return sqlStateOf(cause) !== undefined && !['FATAL', 'PANIC'].includes((cause as { severity: string }).severity);
}

function failureOf(cause: Error, statementsDone: number): StatementFailure {
  const { code, detail, hint, where, position } = cause as Error & Record<string, string | undefined>;
  return {
    message: printable(cause.message, 2000),
    sqlState: code ?? '',
    ...(detail === undefined ? {} : { detail: printable(detail, 2000) }),
    ...(hint === undefined ? {} : { hint: printable(hint, 2000) }),
    ...(where === undefined ? {} : { context: printable(where, 2000) }),
    ...(position === undefined ? {} : { position: Number(position) }),
    statementsDone,
  };
}
