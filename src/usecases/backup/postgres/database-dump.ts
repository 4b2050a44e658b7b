import { setTimeout as sleep } from 'node:timers/promises';
import { quoteRelation } from '../../../formats/postgres/names.ts';
import type { DatabaseRecord } from '../../../formats/repository/database-record.ts';
import type { SourceWriter } from '../../../ports/backup-source.ts';
import { UseCaseError } from '../../errors.ts';
import { type Begun, begin } from './begin.ts';
import { databaseNotes, readDatabaseIdentity } from './database-notes.ts';
import { createFactNotes } from './fact-notes.ts';
import { explain } from './failures.ts';
import { runLanes } from './lanes.ts';
import type { Leader } from './leader.ts';
import { clientEncoding } from './settings.ts';
import { tableJobs } from './table-jobs.ts';
import type { DumpResult, DumpSettings } from './types.ts';

export interface DumpOptions {
  readonly signal: AbortSignal;
  /** Read while the tables are, after the snapshot was taken. */
  readonly alongside?: ((signal: AbortSignal) => Promise<void>) | undefined;
}

/**
 * Jobs for each worker, and one that waits: a worker has the next one as soon as it is done with one, and something that waits for a
 * program leaves no worker without work.
 */
const JOBS_WAITING = 1;

/**
 * Reads one database whole into the writer. Rejects rather than leave anything out.
 *
 * @throws UseCaseError BACKUP_RIGHTS_MISSING, BACKUP_ROWS_FILTERED, BACKUP_TABLES_CHANGING, BACKUP_DATABASE_UNUSABLE,
 *   BACKUP_CANCELLED_BY_SERVER, BACKUP_INCOMPLETE; AdapterError DATABASE_…, POSTGRES_…; FormatError DATABASE_ARCHIVE_INVALID
 */
export async function dumpDatabase(
  settings: DumpSettings,
  writer: SourceWriter,
  { signal, alongside }: DumpOptions,
): Promise<DumpResult> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const begun = await begin(settings, { signal, either });
  const { leader, archive } = begun;
  const rested = new AbortController();
  const heart = beat(leader, settings.limits.heartbeatMs, rested.signal, stop);
  try {
    const options = { signal: either, onFailure: (cause: unknown) => stop.abort(cause), alongside };
    const result = await readAll(settings, begun, writer, options);
    rested.abort();
    await heart;
    // The session, and so its locks and its snapshot, lived until now.
    await leader.finish();
    return result;
  } catch (cause) {
    signal.throwIfAborted();
    stop.abort(cause);
    throw await explain(cause, leader, settings.reachable);
  } finally {
    rested.abort();
    await heart;
    await archive.stop().catch(() => {});
    await leader[Symbol.asyncDispose]();
  }
}

/** Shows that the session lives; without it the snapshot would still be read, and be worth nothing. */
async function beat(leader: Leader, everyMs: number, rested: AbortSignal, stop: AbortController): Promise<void> {
  while (!rested.aborted) {
    await sleep(everyMs, undefined, { signal: rested }).catch(() => {});
    if (rested.aborted) return;
    try {
      await leader.session.query('select 1');
    } catch (cause) {
      stop.abort(cause);
      return;
    }
  }
}

async function readAll(
  settings: DumpSettings,
  begun: Begun,
  writer: SourceWriter,
  options: DumpOptions & { readonly onFailure: (cause: unknown) => void },
): Promise<DumpResult> {
  const { leader, archive } = begun;
  const prefix = `${settings.source}/${settings.number}`;
  const names = { archive: `${prefix}/archive.dump`, facts: `${prefix}/facts.ndjson` };
  const seen = createFactNotes(begun);
  const rowsByTable = new Map<string, number>();
  let sizeBytes = 0;
  function* jobs(): Generator<() => Promise<void>> {
    yield async () => {
      const { sizeBytes: archiveBytes } = await writer.stream(names.archive, archive.bytes);
      // Not in one statement with the await: tables are added meanwhile.
      sizeBytes += archiveBytes;
    };
    yield async () => {
      await writer.stream(names.facts, seen.lines());
    };
    const { alongside } = options;
    if (alongside !== undefined) yield () => alongside(options.signal);
    yield* tableJobs(settings, leader, writer, (table, rows, tableBytes) => {
      rowsByTable.set(quoteRelation(table), rows);
      sizeBytes += tableBytes;
    });
  }
  await runLanes(jobs(), Math.max(1, writer.workers) + JOBS_WAITING, options);
  const { list } = leader;
  const lost = list.withRows.filter((table) => !rowsByTable.has(quoteRelation(table)));
  if (lost.length > 0) {
    throw new UseCaseError('BACKUP_INCOMPLETE', 'Tables were not read', {
      found: lost.slice(0, 20).map(quoteRelation).join(', '),
      at: { url: settings.reachable.database.place },
      hint: 'Run the backup again.',
    });
  }
  const record: DatabaseRecord = {
    name: settings.reachable.name,
    number: settings.number,
    ...(await readDatabaseIdentity(leader.session)),
    encoding: leader.facts.encoding,
    clientEncoding: clientEncoding(leader.facts.encoding),
    moneyLocale: leader.facts.moneyLocale,
    archive: names.archive,
    facts: names.facts,
    factsCount: seen.count(),
    extensions: seen.extensions(),
    archivedRows: [...archive.archivedRows()],
    excludedSchemas: [...list.excludedSchemas],
    excludedTables: [...list.excludedTables],
    excludedRows: [...list.excludedRows],
    systemSchemas: seen.schemas().filter((schema) => settings.systemSchemas.includes(schema)),
    tables: rowsByTable.size,
    rows: [...rowsByTable.values()].reduce((sum, rows) => sum + rows, 0),
    sizeBytes,
    largeObjects: seen.largeObjects(),
    needs: [...seen.needs()],
  };
  return {
    record,
    notes: [...databaseNotes(record, leader, { programs: begun.programs, facts: seen }), ...begun.messages],
    rowsByTable,
  };
}
