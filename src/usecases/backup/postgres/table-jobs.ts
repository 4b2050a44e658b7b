import type { TableRecord } from '../../../formats/repository/database-record.ts';
import type { SourceWriter } from '../../../ports/backup-source.ts';
import type { Leader } from './leader.ts';
import { planReading, readerSession } from './ranges.ts';
import type { Table } from './tables.ts';
import type { DumpSettings } from './types.ts';

/** A reader keeps the locks of what it has read: after so many tables it begins anew, for the sake of the server's table of locks. */
const TABLES_A_SESSION = 500;

/** Small tables first: the readers hold locks of their own on the others from their begin. */
export function* tableJobs(
  { source, number, reachable, limits }: DumpSettings,
  leader: Leader,
  writer: SourceWriter,
  onTable: (table: Table, rows: number, sizeBytes: number) => void,
): Generator<() => Promise<void>> {
  const planned = leader.list.withRows.map((table) => ({
    table,
    plan: planReading(table, leader.sizes.get(table.oid) ?? { heapBytes: 0, toastBytes: 0 }, {
      blockBytes: leader.facts.blockBytes,
      rangeBytes: limits.rangeBytes,
    }),
  }));
  const small = planned.filter(({ plan }) => plan.ranges === 1);
  const large = planned.filter(({ plan }) => plan.ranges > 1);
  const readLast = large.map(({ table }) => table);
  for (const [place, { table, plan }] of [...small, ...large].entries()) {
    const group = Math.floor(place / TABLES_A_SESSION);
    const session = readerSession(leader, readLast, limits.lockTimeoutMs, group);
    const streams = Array.from(
      { length: plan.ranges },
      (_, range) => `${source}/${number}/data/${table.oid}/${String(range).padStart(6, '0')}.copy`,
    );
    let left = plan.ranges;
    let rows = 0;
    let sizeBytes = 0;
    for (const [range, stream] of streams.entries()) {
      yield async () => {
        const done = await writer.copy(stream, {
          connection: reachable.connection,
          session,
          copy: plan.statement(range),
        });
        rows += done.rows;
        sizeBytes += done.sizeBytes;
        left -= 1;
        if (left > 0) return;
        await writer.entry({
          entry: 'table',
          source,
          database: reachable.name,
          schema: table.schema,
          table: table.name,
          oid: table.oid,
          columns: table.columns,
          streams,
          rows,
          record: { isUnlogged: table.persistence === 'unlogged', sizeBytes } satisfies TableRecord,
        });
        onTable(table, rows, sizeBytes);
      };
    }
  }
}
