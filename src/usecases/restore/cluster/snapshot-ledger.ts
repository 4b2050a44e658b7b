import type { ChunkReader } from '../../../ports/chunks.ts';
import type { Row } from '../../../ports/database.ts';
import { entryOf } from '../../migrate/ledger.ts';
import type { LedgerEntry, MigrationBundle } from '../../migrate/types.ts';
import { type PostgresSnapshot, streamOf } from '../postgres/snapshot-source.ts';

const SCHEMA = 'portolan';
const TABLE = 'migrations';

/** The ledger of migrations as a snapshot of its database has it, by number; empty where it has none. */
export async function readSnapshotLedger(
  snapshot: PostgresSnapshot,
  database: string,
  reader: ChunkReader,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly LedgerEntry[]> {
  const table = snapshot.tables.find(
    (one) => one.database === database && one.schema === SCHEMA && one.table === TABLE,
  );
  if (table === undefined) return [];
  const entries: LedgerEntry[] = [];
  for (const stream of table.streams) {
    const parts: Uint8Array[] = [];
    for await (const bytes of reader.stream(streamOf(snapshot, stream).chunks, { signal })) {
      parts.push(Uint8Array.from(bytes));
    }
    for (const line of Buffer.concat(parts).toString('utf8').split('\n')) {
      if (line !== '') entries.push(entryOf(rowOf(line, table.columns)));
    }
  }
  return entries.sort((a, b) => (a.module < b.module || (a.module === b.module && a.number < b.number) ? -1 : 1));
}

/** The newest release that brought something. */
export function newestRelease(ledger: readonly LedgerEntry[]): MigrationBundle | undefined {
  const releases = ledger.flatMap(({ seenIn, appliedIn }) => [seenIn, appliedIn]).filter((one) => one !== undefined);
  return releases.sort((a, b) => b.sequence - a.sequence)[0];
}

/** PostgreSQL, "COPY", "Text Format". */
function rowOf(line: string, columns: readonly string[]): Row {
  const fields = line.split('\t');
  return Object.fromEntries(columns.map((column, index) => [column, fieldOf(fields[index] ?? '\\N')]));
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

function fieldOf(text: string): string | null {
  return text === '\\N' ? null : text.replace(/\\(.)/gs, (_, letter: string) => ESCAPES[letter] ?? letter);
}
