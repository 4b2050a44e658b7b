import type { SourceEntry, TableEntry } from '../../../formats/repository/contents.ts';
import {
  type DatabaseRecord,
  decodeEndRecord,
  decodeFacts,
  decodeServerRecord,
  type EndRecord,
  type Fact,
  type ServerRecord,
} from '../../../formats/repository/database-record.ts';
import type { ChunkReader, StreamRecord } from '../../../ports/chunks.ts';
import { UseCaseError } from '../../errors.ts';
import type { OpenedSnapshot } from '../../repository/open-snapshot.ts';

/** A PostgreSQL server in a snapshot: what is said of it, and where its bytes lie. */
export interface PostgresSnapshot {
  /** Name of the source. */
  readonly source: string;
  /** Where it was read from. */
  readonly place: string;
  readonly server: ServerRecord;
  readonly end: EndRecord;
  readonly tables: readonly TableEntry[];
  readonly streams: ReadonlyMap<string, StreamRecord>;
}

/** All of PostgreSQL that a snapshot holds. Memory: 48 bytes for each chunk, and what names the tables. */
export async function readPostgresSources(
  opened: OpenedSnapshot,
  options: { readonly signal: AbortSignal },
): Promise<readonly PostgresSnapshot[]> {
  const begun = new Map<string, Begun>();
  const sources: PostgresSnapshot[] = [];
  for await (const entry of opened.contents(options)) {
    if (entry.entry === 'source') {
      if (entry.kind === 'postgres') begun.set(entry.source, { entry, tables: [], streams: new Map(), parts: [] });
      continue;
    }
    const source = begun.get(entry.source);
    if (source === undefined) continue;
    if (entry.entry === 'table') source.tables.push(entry);
    else if (entry.entry === 'stream') {
      source.parts.push(entry.chunks);
      if (!entry.last) continue;
      const chunks = source.parts.length === 1 ? entry.chunks : Buffer.concat(source.parts);
      source.parts.length = 0;
      source.streams.set(entry.name, { sizeBytes: entry.sizeBytes, chunks });
    } else if (entry.entry === 'end') {
      sources.push({
        source: entry.source,
        place: source.entry.name,
        server: decodeServerRecord(source.entry.record),
        end: decodeEndRecord(entry.record),
        tables: source.tables,
        streams: source.streams,
      });
    }
  }
  return sources;
}

interface Begun {
  readonly entry: SourceEntry;
  readonly tables: TableEntry[];
  readonly streams: Map<string, StreamRecord>;
  readonly parts: Uint8Array[];
}

/** @throws UseCaseError SNAPSHOT_NOT_RIGHT */
export function streamOf({ streams }: Pick<PostgresSnapshot, 'streams'>, name: string): StreamRecord {
  const stream = streams.get(name);
  if (stream !== undefined) return stream;
  throw new UseCaseError('SNAPSHOT_NOT_RIGHT', `the snapshot has no stream ${name}`, {
    hint: 'Restore another snapshot, and run `portolan backup check`.',
  });
}

/** The facts of a database, as they were. */
export function recordedFacts(
  snapshot: PostgresSnapshot,
  { facts }: Pick<DatabaseRecord, 'facts'>,
  reader: ChunkReader,
  signal: AbortSignal,
): AsyncGenerator<Fact> {
  return decodeFacts(reader.stream(streamOf(snapshot, facts).chunks, { signal }));
}
