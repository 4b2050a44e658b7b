import { PortolanError } from '../../core/errors.ts';
import { pause } from '../../core/retry.ts';
import type { MigrationScript } from '../../formats/migration/script.ts';
import type { DatabaseSession } from '../../ports/database.ts';
import { UseCaseError } from '../errors.ts';
import { pathOf } from './decide.ts';
import { invalidIndexHint, oldestTransactions } from './diagnose.ts';
import { recordState } from './ledger.ts';
import type { OrderedFile } from './modules.ts';
import { migrationFailed } from './statement-error.ts';
import type { MigrationBundle } from './types.ts';

export interface RunFileOptions {
  readonly signal?: AbortSignal;
  readonly onRetry: (reason: string, attempt: number) => void;
}

/** Somebody else was in the way: lock_not_available, deadlock_detected, serialization_failure. */
const PASSING_STATES = new Set(['55P03', '40P01', '40001']);
const ATTEMPTS = 5;
const RETRY_DELAY_MS = 2000;

/** Runs one file and records it. */
export async function runFile(
  session: DatabaseSession,
  file: OrderedFile,
  script: MigrationScript,
  bundle: MigrationBundle | undefined,
  options: RunFileOptions,
): Promise<void> {
  if (script.inTransaction) await runInTransaction(session, file, script, bundle, options);
  else await runAlone(session, file, script, bundle, options);
  await session.reset();
}

async function runInTransaction(
  session: DatabaseSession,
  file: OrderedFile,
  script: MigrationScript,
  bundle: MigrationBundle | undefined,
  options: RunFileOptions,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    let committing = false;
    try {
      const failure = await attemptInTransaction(session, file, script, bundle, () => {
        committing = true;
      });
      if (failure === undefined) return;
      await session.run('rollback');
      options.signal?.throwIfAborted();
      if (!PASSING_STATES.has(failure.sqlState) || attempt === ATTEMPTS) {
        const others = failure.sqlState === '55P03' ? await oldestTransactions(session) : undefined;
        throw migrationFailed(file, script, failure, others);
      }
      options.onRetry(`${failure.sqlState}: ${failure.message}`, attempt);
      await session.reset();
      await pause(RETRY_DELAY_MS, options.signal === undefined ? {} : { signal: options.signal });
    } catch (cause) {
      throw interrupted(cause, file, committing ? COMMIT_HINT : ROLLBACK_HINT);
    }
  }
}

const ROLLBACK_HINT =
  'The server rolls this file back, so that nothing of it is there. Run the command again: it goes on with this file.';
const COMMIT_HINT =
  'Whether the server still committed this file is not known here, but the ledger knows: run the command again, and it goes on at the right place.';

/**
 * The line of the ledger is written first, as dirty, and set to applied at the end, all in the transaction of the file: two
 * runs can never both apply it, and a file that ended the transaction after all leaves a ledger that tells the truth.
 */
async function attemptInTransaction(
  session: DatabaseSession,
  file: OrderedFile,
  script: MigrationScript,
  bundle: MigrationBundle | undefined,
  onCommit: () => void,
) {
  await session.query('begin');
  if (!(await recordState(session, file, 'dirty', bundle))) throw changedMeanwhile(file);
  const before = await transactionId(session);
  const outcome = await session.run(script.sql);
  if (outcome.kind === 'failed') return outcome.failure;
  if (session.transaction !== 'open' || (await transactionId(session)) !== before) {
    if (session.transaction !== 'none') await session.run('rollback');
    throw new UseCaseError('MIGRATION_DIRTY', 'The migration ended its transaction by itself', {
      at: { file: pathOf(file) },
      hint: `What it did before is committed, and is recorded as dirty. Take the transaction control out of it, bring the database in order, then run portolan migrate up --retry ${pathOf(file)} or --repaired ${pathOf(file)}.`,
    });
  }
  // The file may have become another role, which must not write the ledger.
  await session.query('reset session authorization');
  await session.query('reset role');
  if (!(await recordState(session, file, 'applied', bundle))) throw changedMeanwhile(file);
  onCommit();
  const committed = await session.run('commit');
  return committed.kind === 'failed' ? committed.failure : undefined;
}

async function transactionId(session: DatabaseSession): Promise<string | null | undefined> {
  const [row] = await session.query('select pg_catalog.pg_current_xact_id()::text as id');
  return row?.id;
}

async function runAlone(
  session: DatabaseSession,
  file: OrderedFile,
  script: MigrationScript,
  bundle: MigrationBundle | undefined,
  { signal }: RunFileOptions,
): Promise<void> {
  if (!(await recordState(session, file, 'dirty', bundle))) throw changedMeanwhile(file);
  try {
    const outcome = await session.run(script.sql);
    if (outcome.kind === 'failed') {
      signal?.throwIfAborted();
      await session.run('rollback');
      throw migrationFailed(file, script, outcome.failure, await invalidIndexHint(session));
    }
    await session.reset();
    await recordState(session, file, 'applied', bundle);
  } catch (cause) {
    throw interrupted(
      cause,
      file,
      `It runs outside of a transaction and is recorded as dirty. See what is there of it, then run portolan migrate up --retry ${pathOf(file)} or --repaired ${pathOf(file)}.`,
    );
  }
}

function interrupted(cause: unknown, file: OrderedFile, hint: string): unknown {
  if (!(cause instanceof PortolanError) || cause.code !== 'DATABASE_LOST') return cause;
  return new UseCaseError('MIGRATION_INTERRUPTED', 'The connection to the database was lost while a migration ran', {
    cause,
    ...(cause.found === undefined ? {} : { found: cause.found }),
    at: { file: pathOf(file) },
    hint,
  });
}

function changedMeanwhile(file: OrderedFile): UseCaseError {
  return new UseCaseError('MIGRATION_LOCKED', 'Another run applied this migration meanwhile', {
    at: { file: pathOf(file) },
    hint: 'Run the command again: it goes on with what is left.',
  });
}
