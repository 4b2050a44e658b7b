import { PortolanError } from '../../../core/errors.ts';
import { pause } from '../../../core/retry.ts';
import { quoteName, quoteRelation, quoteText } from '../../../formats/postgres/names.ts';
import type { ChunkReader } from '../../../ports/chunks.ts';
import type { DatabaseSession } from '../../../ports/database.ts';
import type { ProgramSet } from '../../../ports/postgres-programs.ts';
import { UseCaseError } from '../../errors.ts';
import { createDatabaseSql, propertiesSql } from './database-properties.ts';
import { undoDefaultRights } from './default-rights.ts';
import { type Ledger, openLedger, takeRestoreLock } from './ledger.ts';
import { copyRows } from './rows.ts';
import {
  type ArchiveWork,
  RESTORE_APPLICATION,
  restoreAfterRows,
  restoreDefinitions,
  restoreOtherData,
} from './sections.ts';
import { type PostgresSnapshot, recordedFacts, streamOf } from './snapshot-source.ts';
import { inspectDatabase } from './target-database.ts';
import type { TargetServer } from './target-server.ts';
import type { DatabaseTask } from './types.ts';

export interface DatabaseWork {
  readonly snapshot: PostgresSnapshot;
  readonly target: TargetServer;
  readonly programs: ProgramSet;
  readonly reader: ChunkReader;
  readonly jobs: number;
  readonly noTablespaces: boolean;
  readonly onStep: (text: string) => void;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** A database whose restore is under way: its session has the lock. */
export interface OpenTarget extends AsyncDisposable {
  readonly session: DatabaseSession;
  readonly ledger: Ledger;
}

/**
 * Makes the database if need be, and begins, or goes on with, its restore.
 *
 * @throws UseCaseError RESTORE_UNDER_WAY, RESTORE_LOCALE_MISSING
 */
export async function openTarget(
  task: DatabaseTask,
  { target, noTablespaces, signal }: DatabaseWork,
): Promise<OpenTarget> {
  const { report, record, reachable, items } = task;
  if (report.state === 'new') {
    await using own = await target.own.database.open({ signal });
    const tablespace = noTablespaces ? undefined : task.tablespace;
    const { versionNumber } = target;
    await createDatabase(own, report.target, createDatabaseSql(report.target, record, { versionNumber, tablespace }));
  }
  const session = await reachable.database.open({ signal });
  try {
    for (const setting of ['idle_session_timeout = 0', 'lock_timeout = 0', 'default_transaction_read_only = off']) {
      await session.query(`set ${setting}`);
    }
    await takeLock(session, task, signal);
    await endLeftovers(session, signal);
    const ledger = await openLedger(session, task.head);
    if (!ledger.has('begun')) await ledger.add('begun', JSON.stringify(items.map(({ id }) => id)));
    return { session, ledger, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() };
  } catch (cause) {
    await session[Symbol.asyncDispose]();
    throw cause;
  }
}

async function createDatabase(session: DatabaseSession, name: string, sql: string): Promise<void> {
  try {
    await session.query(sql);
  } catch (cause) {
    const found = cause instanceof PortolanError ? String(cause.found) : '';
    if (!/^(?:42809|22023)/.test(found)) throw cause;
    throw new UseCaseError('RESTORE_LOCALE_MISSING', `The database ${quoteName(name)} cannot be made as it was`, {
      cause,
      found,
      hint: 'Install the locale on the machine of the server; or make an empty database by yourself, and name it in --to.',
    });
  }
}

const LOCK_POLL_MS = 100;
/** A server takes a moment to notice that a run before was killed. */
const LOCK_WAIT_MS = 5000;

async function takeLock(session: DatabaseSession, task: DatabaseTask, signal: AbortSignal): Promise<void> {
  const startMs = performance.now();
  while (!(await takeRestoreLock(session))) {
    if (performance.now() - startMs > LOCK_WAIT_MS) throw underWay(task);
    await pause(LOCK_POLL_MS, { signal });
  }
}

function underWay({ report, reachable }: DatabaseTask): UseCaseError {
  return new UseCaseError('RESTORE_UNDER_WAY', `Another run restores into ${quoteName(report.target)} at this moment`, {
    at: { url: reachable.database.place },
    hint: 'Wait until it is done, or stop it.',
  });
}

const LEFTOVERS_POLL_MS = 100;
const LEFTOVERS_WAIT_MS = 60_000;

/** Programs and connections of a run that was killed may still be at work. */
export async function endLeftovers(session: DatabaseSession, signal?: AbortSignal): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    const rows = await session.query(
      `select pg_catalog.pg_terminate_backend(a.pid)::text as told from pg_catalog.pg_stat_activity a
       where a.datname = pg_catalog.current_database() and a.application_name = ${quoteText(RESTORE_APPLICATION)}
         and a.usename = current_user and a.pid <> pg_catalog.pg_backend_pid()`,
    );
    if (rows.length === 0) return;
    if (performance.now() - startMs > LEFTOVERS_WAIT_MS) {
      throw new UseCaseError('RESTORE_UNDER_WAY', 'Connections of a run before do not end', {
        found: rows.length,
        hint: `See in pg_stat_activity who calls itself '${RESTORE_APPLICATION}', and end it.`,
      });
    }
    await pause(LEFTOVERS_POLL_MS, signal === undefined ? {} : { signal });
  }
}

/** All steps that are not in the ledger. */
export async function restoreSteps(task: DatabaseTask, open: OpenTarget, work: DatabaseWork): Promise<void> {
  const { ledger, session } = open;
  const { snapshot, reader, programs, signal, onStep } = work;
  const name = quoteName(task.report.target);
  const archive: ArchiveWork = {
    ...{ programs, reader, signal, session },
    reachable: task.reachable,
    archive: streamOf(snapshot, task.record.archive),
    contentsBytes: task.contentsBytes,
    items: task.items,
    noTablespaces: work.noTablespaces,
    onMessages: () => {},
  };
  if (!ledger.has('definitions')) {
    onStep(`${name}: definitions`);
    await definitions(task, open, archive);
    await ownRights(task, open, work);
    await ledger.add('definitions');
  }
  if (!ledger.has('rows')) {
    onStep(`${name}: rows of ${task.tables.length} tables`);
    await copyRows({
      ...{ snapshot, reader, ledger, signal },
      record: task.record,
      tables: inOrder(task),
      reachable: task.reachable,
      moneyLocale: (await mayUseLocale(session, task.record.moneyLocale)) ? task.record.moneyLocale : undefined,
      jobs: work.jobs,
      onBytes: work.onBytes,
    });
    await ledger.add('rows');
  }
  if (!ledger.has('data')) {
    onStep(`${name}: sequences and large objects`);
    await otherData(task, open, archive);
  }
  if (!ledger.has('after')) {
    onStep(`${name}: indexes, constraints, policies`);
    await afterRows(task, open, archive, work.jobs);
  }
  if (task.chosen.part.isWhole && !ledger.has('properties')) {
    await properties(task, work);
    await ledger.add('properties');
  }
}

/** Large tables first, so that the connections end at about the same time. */
function inOrder({ tables }: DatabaseTask): DatabaseTask['tables'] {
  const sizeOf = ({ record }: DatabaseTask['tables'][number]) => Number(record?.sizeBytes ?? 0);
  return [...tables].sort((a, b) => sizeOf(b) - sizeOf(a));
}

async function mayUseLocale(session: DatabaseSession, locale: string): Promise<boolean> {
  const outcome = await session.run(`begin; set local lc_monetary = ${quoteText(locale)}; rollback`);
  if (outcome.kind === 'failed') await session.run('rollback');
  return outcome.kind === 'done';
}

/** All of them or none: when a run before was killed after it began, one that is there says that all are. */
async function definitions(task: DatabaseTask, { ledger, session }: OpenTarget, archive: ArchiveWork): Promise<void> {
  if (ledger.has('definitions-begun')) {
    const objects = await inspectDatabase(session);
    const isDone = task.items.some(
      ({ section, kind, schema, name }) =>
        section === 'pre-data' && !(kind === 'SCHEMA' && name === 'public') && objects.has(kind, schema, name),
    );
    if (isDone) return;
  } else await ledger.add('definitions-begun');
  await restoreDefinitions(archive);
}

/** Rights as the snapshot has them, before there are rows that somebody could read. */
async function ownRights(
  { record, reachable, items, chosen }: DatabaseTask,
  { session }: OpenTarget,
  { snapshot, reader, signal }: DatabaseWork,
): Promise<void> {
  const schemas = new Set(items.flatMap(({ kind, name }) => (kind === 'SCHEMA' && name !== 'public' ? [name] : [])));
  await undoDefaultRights({
    ...{ session, reachable, signal },
    recorded: () => recordedFacts(snapshot, record, reader, signal),
    isMade: (fact) => chosen.hasFact(fact) && (fact.kind !== 'schema' || schemas.has(fact.name[0] ?? '')),
  });
}

/** The same; values of sequences may be set again, what else there is leaves traces. */
async function otherData(task: DatabaseTask, { ledger, session }: OpenTarget, archive: ArchiveWork): Promise<void> {
  const counts = await configurationCounts(task, session);
  const before = ledger.note('data-begun');
  if (before === undefined) await ledger.add('data-begun', counts);
  else {
    const makesLargeObjects = task.items.some(({ kind }) => kind === 'BLOB METADATA');
    const isDone = before !== counts || (makesLargeObjects && (await inspectDatabase(session)).largeObjects > 0);
    if (isDone) return await ledger.add('data');
  }
  await restoreOtherData(archive);
  await ledger.add('data');
}

/** Rows of extensions' configuration tables, as one text. */
async function configurationCounts({ items }: DatabaseTask, session: DatabaseSession): Promise<string> {
  const counts: string[] = [];
  for (const { kind, schema, name } of items) {
    if (kind !== 'TABLE DATA') continue;
    const table = quoteRelation({ schema, name });
    const [row] = await session.query(`select pg_catalog.count(*)::text as count from only ${table}`);
    counts.push(`${table} ${row?.count}`);
  }
  return counts.join('\n');
}

/** Each entry commits by itself. Indexes and constraints that are there are whole, and stay; the rest is made again. */
async function afterRows(
  { items }: DatabaseTask,
  { ledger, session }: OpenTarget,
  archive: ArchiveWork,
  jobs: number,
): Promise<void> {
  const again = ledger.has('after-begun');
  if (!again) await ledger.add('after-begun');
  const there = again ? await indexesAndConstraints(session) : new Set<string>();
  const left = items.filter(({ kind, schema, name }) => !there.has(JSON.stringify([kindOfIndex(kind), schema, name])));
  await restoreAfterRows(archive, left, { jobs, again });
  await ledger.add('after');
}

function kindOfIndex(kind: string): string {
  return kind === 'FK CONSTRAINT' || kind === 'CHECK CONSTRAINT' ? 'CONSTRAINT' : kind;
}

/** By the names that an archive has for them: a constraint's is `TABLE NAME`. */
async function indexesAndConstraints(session: DatabaseSession): Promise<ReadonlySet<string>> {
  const rows = await session.query(
    `select 'INDEX' as kind, n.nspname::text as schema, c.relname::text as name
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('i', 'I')
     union all
     select 'CONSTRAINT', n.nspname::text, c.relname || ' ' || k.conname
     from pg_catalog.pg_constraint k join pg_catalog.pg_class c on c.oid = k.conrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace`,
  );
  return new Set(rows.map(({ kind, schema, name }) => JSON.stringify([kind, schema, name])));
}

/** From outside: a database's own settings are not to be those of the session that sets them. */
async function properties(
  { report, record, items, properties: facts }: DatabaseTask,
  { target, signal }: DatabaseWork,
) {
  await using own = await target.own.database.open({ signal });
  for (const sql of ['begin', ...propertiesSql(report.target, facts, items, record), 'commit']) await own.query(sql);
}
