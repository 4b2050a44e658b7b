import { quoteName, quoteRelation } from '../../../formats/postgres/names.ts';
import type { TableEntry } from '../../../formats/repository/contents.ts';
import type { DatabaseRecord } from '../../../formats/repository/database-record.ts';
import type { ChunkReader } from '../../../ports/chunks.ts';
import type { ReachableDatabase } from '../../../ports/database.ts';
import { runLanes } from '../../backup/postgres/lanes.ts';
import { UseCaseError } from '../../errors.ts';
import { type Ledger, ledgerLine } from './ledger.ts';
import { type PostgresSnapshot, streamOf } from './snapshot-source.ts';

export interface RowsWork {
  readonly snapshot: PostgresSnapshot;
  readonly record: DatabaseRecord;
  readonly tables: readonly TableEntry[];
  readonly reachable: ReachableDatabase;
  readonly reader: ChunkReader;
  readonly ledger: Ledger;
  readonly moneyLocale: string | undefined;
  readonly jobs: number;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Copies rows on parallel connections. Each stream commits together with its line in the ledger. */
export async function copyRows(work: RowsWork): Promise<void> {
  const { signal } = work;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  await runLanes(copyJobs(work, either), work.jobs, { signal: either, onFailure: (cause) => stop.abort(cause) });
}

function* copyJobs(work: RowsWork, signal: AbortSignal): Generator<() => Promise<void>> {
  const { snapshot, reader, ledger, reachable } = work;
  const session = sessionSettings(work);
  for (const table of work.tables) {
    let rows = 0;
    let left = table.streams.length;
    let isResumed = false;
    for (const name of table.streams) {
      const { chunks, sizeBytes } = streamOf(snapshot, name);
      if (ledger.has(name)) {
        isResumed = true;
        left -= 1;
        work.onBytes(sizeBytes);
        continue;
      }
      yield async () => {
        const job = {
          connection: reachable.connection,
          session,
          before: [],
          copy: copySql(table),
          after: [ledgerLine(name)],
        };
        // `rows += await …` would read the sum before the wait, and forget what others add meanwhile.
        const copied = await reader.copy(chunks, job, { signal });
        rows += copied;
        left -= 1;
        work.onBytes(sizeBytes);
        if (left > 0 || isResumed || rows === table.rows) return;
        throw new UseCaseError('RESTORE_NOT_EQUAL', `A table took another number of rows: ${nameOf(table)}`, {
          expected: table.rows,
          found: rows,
          hint: 'Run `portolan backup check`, and restore another snapshot.',
        });
      };
    }
  }
}

function nameOf({ schema, table }: TableEntry): string {
  return quoteRelation({ schema, name: table });
}

function copySql(table: TableEntry): string {
  const columns = table.columns.length === 0 ? '' : ` (${table.columns.map(quoteName).join(', ')})`;
  return `copy ${nameOf(table)}${columns} from stdin`;
}

/** What the rows were written with; and a crash of the server loses rows and their lines in the ledger together. */
function sessionSettings({ record, moneyLocale }: RowsWork): string[] {
  return [
    `set client_encoding = '${record.clientEncoding}'`,
    'set standard_conforming_strings = on',
    "set search_path = ''",
    'set row_security = off',
    "set datestyle = 'ISO'",
    "set intervalstyle = 'postgres'",
    "set timezone = 'UTC'",
    "set xmloption = 'content'",
    ...(moneyLocale === undefined ? [] : [`set lc_monetary = '${moneyLocale.replaceAll("'", "''")}'`]),
    'set default_transaction_read_only = off',
    'set synchronous_commit = off',
    'set statement_timeout = 0',
    'set lock_timeout = 0',
    'set idle_in_transaction_session_timeout = 0',
    'set idle_session_timeout = 0',
    'set client_min_messages = warning',
  ];
}
