import { throwProblems } from '../../core/errors.ts';
import type { Database, DatabaseSession } from '../../ports/database.ts';
import { UseCaseError } from '../errors.ts';
import { decide } from './decide.ts';
import { invalidIndexHint } from './diagnose.ts';
import { prepareLedger, readEntries, recordState } from './ledger.ts';
import { loadScript, scriptProblems } from './load-script.ts';
import { takeLock } from './lock.ts';
import { type OrderedFile, orderModules } from './modules.ts';
import { runFile } from './run-file.ts';
import type { MigrationEvent, MigrationReport, MigrationRequest, NamedMigration } from './types.ts';

export interface MigrateDependencies {
  readonly database: Database;
}

export interface MigrateOptions {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: MigrationEvent) => void;
  /** How long another run's lock is waited for. 60 s. */
  readonly lockWaitMs?: number;
}

const LOCK_WAIT_MS = 60_000;

/**
 * Brings a database to the state of the modules. Whatever ends it, a later run goes on where this one was: each file and its
 * line in the ledger are one transaction. Everything that can be checked is checked before the first file runs.
 *
 * @throws UseCaseError MIGRATION_CHANGED, MIGRATION_MISSING, MIGRATION_OUT_OF_ORDER, MIGRATION_DIRTY, MIGRATION_CONTRACT_RAN,
 *   MIGRATION_LOCKED, MIGRATION_FAILED, MIGRATION_INTERRUPTED, MIGRATION_UNKNOWN; FormatError SCRIPT_INVALID and
 *   those of orderModules; AdapterError DATABASE_…
 */
export async function applyMigrations(
  request: MigrationRequest,
  { database }: MigrateDependencies,
  options: MigrateOptions = {},
): Promise<MigrationReport> {
  const { signal, onEvent = () => {} } = options;
  const withSignal = signal === undefined ? {} : { signal };
  const modules = orderModules(request.modules);
  await using session = await database.open({
    ...withSignal,
    onNotice: (message) => onEvent({ kind: 'notice', message }),
  });
  await takeLock(session, options.lockWaitMs ?? LOCK_WAIT_MS, {
    ...withSignal,
    onWait: (holder) => onEvent({ kind: 'waiting-for-lock', holder }),
  });
  await prepareLedger(session);
  const { decisions, done, orphans, problems } = decide(modules, await readEntries(session), request);
  const running = decisions.filter(({ action }) => action === 'apply');
  const recorded = decisions.filter(({ action }) => action === 'defer');
  const scripts = await scriptProblems([...running, ...recorded], withSignal);
  throwProblems([...(await withRemedies(problems, session)), ...scripts]);

  const applied: NamedMigration[] = [];
  const deferred: NamedMigration[] = [];
  const repaired: NamedMigration[] = [];
  for (const { file, action } of decisions) {
    signal?.throwIfAborted();
    const named = nameOf(file);
    if (action === 'apply') {
      onEvent({ kind: 'started', ...named, index: applied.length + 1, total: running.length });
      const startMs = performance.now();
      await runFile(session, file, await loadScript(file, withSignal), request.bundle, {
        ...withSignal,
        onRetry: (reason, attempt) => onEvent({ kind: 'retry', ...named, reason, attempt }),
      });
      applied.push(named);
      onEvent({ kind: 'applied', ...named, durationMs: Math.round(performance.now() - startMs) });
    } else if (action === 'repair') {
      await recordState(session, file, 'applied', request.bundle);
      repaired.push(named);
      onEvent({ kind: 'repaired', ...named });
    } else {
      if (action === 'defer') {
        await recordState(session, file, 'deferred', request.bundle);
        onEvent({ kind: 'deferred', ...named });
      }
      deferred.push(named);
    }
  }
  return { applied, deferred, repaired, skipped: done.length, orphans };
}

export function nameOf(file: Pick<OrderedFile, 'module' | 'name'>): NamedMigration {
  return { module: file.module, file: file.name };
}

/** A dirty file may have left an index: which, only the database knows. */
async function withRemedies(
  problems: readonly UseCaseError[],
  session: DatabaseSession,
): Promise<readonly UseCaseError[]> {
  if (!problems.some(({ code }) => code === 'MIGRATION_DIRTY')) return problems;
  const addition = await invalidIndexHint(session);
  if (addition === undefined) return problems;
  return problems.map((problem) =>
    problem.code !== 'MIGRATION_DIRTY'
      ? problem
      : new UseCaseError(problem.code, problem.message, {
          ...(problem.at === undefined ? {} : { at: problem.at }),
          hint: `${addition} ${problem.hint ?? ''}`,
        }),
  );
}
