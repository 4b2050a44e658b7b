import { quoteName } from '../../../formats/postgres/names.ts';
import type { TableCounts } from '../../../formats/repository/database-record.ts';

/** Below this a table comes and goes in everyday work: a queue, a list of sessions. */
const ROWS_THAT_COUNT = 100;

/** What became less than half since the run before, or is gone: perhaps lost, before the backup. Nothing when all is as usual. */
export function findCollapses(before: TableCounts | undefined, now: TableCounts): string[] {
  const found: string[] = [];
  for (const [database, tables] of Object.entries(before?.databases ?? {})) {
    const present = Object.hasOwn(now.databases, database) ? now.databases[database] : undefined;
    if (present === undefined) {
      found.push(`${quoteName(database)}: the whole database was there in the run before`);
      continue;
    }
    for (const [table, rows] of Object.entries(tables)) {
      if (rows < ROWS_THAT_COUNT) continue;
      const rowsNow = Object.hasOwn(present, table) ? present[table] : undefined;
      if (rowsNow === undefined) found.push(`${quoteName(database)}: table ${table} with ${rows} rows is gone`);
      else if (rowsNow * 2 < rows)
        found.push(`${quoteName(database)}: table ${table} had ${rows} rows, and has ${rowsNow}`);
    }
  }
  return found;
}
