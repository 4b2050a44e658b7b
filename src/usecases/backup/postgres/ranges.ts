import { quoteName, quoteRelation } from '../../../formats/postgres/names.ts';
import type { CopyOutJob } from '../../../ports/chunks.ts';
import { type Leader, lockStatement } from './leader.ts';
import { readSettings } from './settings.ts';
import type { Table, TableSize } from './tables.ts';

const RANGES_LIMIT = 1_000_000;
/** Locks that each reader takes at its begin: of the tables that are read last. */
const LOCKED_TABLES_LIMIT = 200;

/** How a table is read: all rows of the snapshot stand in exactly one of the statements. */
export interface ReadingPlan {
  readonly ranges: number;
  /** From 0, in the order of the table's blocks. */
  statement(range: number): string;
}

export function planReading(
  table: Pick<Table, 'schema' | 'name' | 'columns' | 'isHeap'>,
  tableSize: TableSize,
  { blockBytes, rangeBytes }: { readonly blockBytes: number; readonly rangeBytes: number },
): ReadingPlan {
  const blocks = Math.ceil(tableSize.heapBytes / blockBytes);
  const size = blocksOfRange(tableSize, blockBytes, rangeBytes);
  const ranges = table.isHeap ? Math.max(1, Math.ceil(blocks / size)) : 1;
  const columns = table.columns.map(quoteName).join(', ');
  if (ranges === 1) {
    // A list of no columns cannot be written; without a list COPY leaves generated ones out by itself.
    const list = columns === '' ? '' : `(${columns}) `;
    return { ranges, statement: () => `copy ${quoteRelation(table)} ${list}to stdout` };
  }
  return {
    ranges,
    statement(range) {
      const from = range === 0 ? [] : [`ctid >= '(${range * size},0)'::pg_catalog.tid`];
      // The last is open: what was added since is not in the snapshot, and costs nothing.
      const to = range === ranges - 1 ? [] : [`ctid < '(${(range + 1) * size},0)'::pg_catalog.tid`];
      return `copy (select ${columns} from only ${quoteRelation(table)} where ${[...from, ...to].join(' and ')}) to stdout`;
    },
  };
}

/**
 * So much of the table as a range has; less, by powers of two so that they stay the same from run to run, where long values beside it make
 * far more of a block.
 */
function blocksOfRange({ heapBytes, toastBytes }: TableSize, blockBytes: number, rangeBytes: number): number {
  const blocks = rangeBytes / blockBytes;
  const factor = heapBytes === 0 ? 1 : (heapBytes + toastBytes) / heapBytes;
  const divisor = 2 ** Math.min(Math.floor(Math.log2(factor)), 8);
  return Math.max(blocks / divisor, Math.ceil(heapBytes / blockBytes / RANGES_LIMIT), 1);
}

/**
 * How readers begin: in the leader's snapshot, with locks of their own on the tables that they come to last. Another `group` is
 * another session.
 */
export function readerSession(
  { facts, snapshot }: Leader,
  readLast: readonly Table[],
  lockTimeoutMs: number,
  group: number,
): CopyOutJob['session'] {
  const locked = readLast.slice(-LOCKED_TABLES_LIMIT);
  return [
    `${readSettings(facts).join('; ')}; set lock_timeout = ${Math.round(lockTimeoutMs)} /* ${group} */`,
    'begin transaction isolation level repeatable read, read only',
    `set transaction snapshot '${snapshot}'`,
    ...(locked.length === 0 ? [] : [lockStatement(locked)]),
  ];
}
