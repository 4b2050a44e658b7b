import type { DatabaseSession } from '../../../ports/database.ts';
import { UseCaseError } from '../../errors.ts';
import type { OpenedSnapshot } from '../../repository/open-snapshot.ts';
import { ledgerLine, removeLedger } from './ledger.ts';
import { type Prepared, prepare } from './prepare.ts';
import { proveDatabase, proveServer } from './prove.ts';
import { type DatabaseWork, endLeftovers, type OpenTarget, openTarget, restoreSteps } from './restore-database.ts';
import { makeServerObjects, takeBackOwnMemberships } from './roles.ts';
import type {
  DatabaseTask,
  PostgresRestoreDependencies,
  PostgresRestoreReport,
  PostgresRestoreRequest,
} from './types.ts';

/**
 * Restores databases of a snapshot into a server, and proves them. What stands against it is in the report before anything is
 * changed. Killed anywhere and called again with the same snapshot and options, it goes on.
 *
 * @throws UseCaseError RESTORE_…, SNAPSHOT_NOT_RIGHT; AdapterError DATABASE_…, POSTGRES_…, OBJECT_…, CHUNK_DAMAGED;
 *   FormatError DATABASE_…, CONTENTS_…
 */
export async function restoreToPostgres(
  opened: OpenedSnapshot,
  request: PostgresRestoreRequest,
  dependencies: PostgresRestoreDependencies,
  { signal }: { readonly signal: AbortSignal },
): Promise<PostgresRestoreReport> {
  const { progress } = dependencies;
  let onBytes: (bytes: number) => void = () => {};
  const reader = await dependencies.createChunkReader({ ...opened.reading, signal });
  try {
    const prepared = await prepare(opened, request, dependencies, { reader, signal });
    if (request.plan || prepared.report.problems.length > 0) return prepared.report;
    const totalBytes = prepared.report.databases.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const task = progress.task(`restoring ${prepared.report.snapshot}`, totalBytes);
    onBytes = (bytes) => task.advance(bytes);
    const { snapshot, target, programs } = prepared;
    const work: DatabaseWork = {
      ...{ snapshot, target, programs, reader, signal },
      jobs: request.jobs ?? reader.workers,
      noTablespaces: request.noTablespaces,
      onStep: (text) => progress.note(text),
      onBytes: (bytes) => onBytes(bytes),
    };
    const report = await restoreAll(prepared, request, work, dependencies);
    task.done();
    return report;
  } finally {
    await reader.close();
  }
}

async function restoreAll(
  prepared: Prepared,
  request: PostgresRestoreRequest,
  work: DatabaseWork,
  { onProved }: PostgresRestoreDependencies,
): Promise<PostgresRestoreReport> {
  const { target, tasks, serverPlan, report } = prepared;
  const { signal, onStep } = work;
  if (prepared.isFinished) {
    await tidyUp(tasks, work);
    return { ...report, done: true };
  }
  if (serverPlan.roles.length > 0) onStep(`${serverPlan.roles.length} roles`);
  {
    await using own = await target.own.database.open({ signal });
    await makeServerObjects(own, serverPlan, target);
  }
  const differences: PostgresRestoreReport['differences'][number][] = [];
  for (const task of tasks) {
    await using open = await openTarget(task, work);
    await restoreOne(task, open, work);
    onStep(`${task.report.target}: proof`);
    const found = await proveDatabase(prepared, task, request, work);
    differences.push(...found.map((difference) => ({ ...difference, database: task.report.target })));
  }
  {
    await using own = await target.own.database.open({ signal });
    await takeBackOwnMemberships(own, target);
  }
  const server = await proveServer(prepared, work);
  differences.push(...server.differences);
  if (differences.length === 0) await onProved?.();
  await tidyUp(tasks, work);
  return {
    ...report,
    done: true,
    notes: [...report.notes, ...server.notes],
    differences,
    problems: differences.length === 0 ? [] : [notEqual(differences)],
  };
}

/** Whatever ends it: nothing of it goes on working in the server. */
async function restoreOne(task: DatabaseTask, open: OpenTarget, work: DatabaseWork): Promise<void> {
  try {
    await restoreSteps(task, open, work);
  } catch (cause) {
    try {
      await using session = await task.reachable.database.open();
      await endLeftovers(session);
    } catch {
      // The server is gone, or does not answer: the next run ends them.
    }
    throw cause;
  }
}

/** The last ledger goes last, and says that all was done: whoever is killed here has only this left to do. */
async function tidyUp(tasks: readonly DatabaseTask[], { signal }: DatabaseWork): Promise<void> {
  const inLast = async (act: (session: DatabaseSession) => Promise<unknown>) => {
    const [last] = tasks.slice(-1);
    if (last === undefined) return;
    await using session = await last.reachable.database.open({ signal });
    await act(session);
  };
  await inLast((session) => session.run(ledgerLine('finished')));
  for (const task of tasks.slice(0, -1)) {
    await using session = await task.reachable.database.open({ signal });
    await removeLedger(session);
  }
  await inLast(removeLedger);
}

const SHOWN = 20;

function notEqual(differences: PostgresRestoreReport['differences']): UseCaseError {
  const texts = differences.map(({ database, kind, name, what }) => `${database ?? 'server'}: ${kind} ${name} ${what}`);
  const more = texts.length > SHOWN ? ` and ${texts.length - SHOWN} more` : '';
  return new UseCaseError('RESTORE_NOT_EQUAL', 'What was restored is not in everything what the snapshot says', {
    found: `${texts.slice(0, SHOWN).join('; ')}${more}`,
    hint: 'Look at what is named. Everything else was restored and found equal.',
  });
}
