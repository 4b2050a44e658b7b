import type { ArchiveItem } from '../../../formats/postgres/archive.ts';
import { connectionValue } from '../../../formats/postgres/names.ts';
import type { ChunkReader, StreamRecord } from '../../../ports/chunks.ts';
import type { ReachableDatabase } from '../../../ports/database.ts';
import type { ProgramSet } from '../../../ports/postgres-programs.ts';

/** By which sessions of this restore are told from others. */
export const RESTORE_APPLICATION = 'portolan restore';

/** A large index or foreign key says nothing for hours. */
const QUIET_MS = 7 * 24 * 3_600_000;

export interface ArchiveWork {
  readonly programs: ProgramSet;
  readonly reachable: ReachableDatabase;
  readonly reader: ChunkReader;
  readonly archive: StreamRecord;
  /** Up to its first data. */
  readonly contentsBytes: number;
  readonly items: readonly ArchiveItem[];
  readonly noTablespaces: boolean;
  readonly signal: AbortSignal;
  readonly onMessages: (text: string) => void;
}

/** Definitions before rows, in one transaction: all of them or none. */
export async function restoreDefinitions(work: ArchiveWork): Promise<void> {
  await run(work, work.items, ['--section=pre-data', '--single-transaction', 'definitions.dump'], definitions(work));
}

/** Values of sequences, large objects, rows of extensions' configuration tables; in one transaction. */
export async function restoreOtherData(work: ArchiveWork): Promise<void> {
  const { archive, reader, signal } = work;
  const input = firstBytes(reader.stream(archive.chunks, { signal }), archive.sizeBytes);
  await run(work, work.items, ['--section=data', '--single-transaction'], {}, input);
}

/** Indexes, constraints, triggers, policies and what else comes after rows; `again` when a part of it may be there. */
export async function restoreAfterRows(
  work: ArchiveWork,
  items: readonly ArchiveItem[],
  { jobs, again }: { readonly jobs: number; readonly again: boolean },
): Promise<void> {
  const more = again ? ['--clean', '--if-exists'] : [];
  await run(work, items, ['--section=post-data', `--jobs=${jobs}`, ...more, 'definitions.dump'], definitions(work));
}

function definitions({ reader, archive, contentsBytes, signal }: ArchiveWork) {
  return { 'definitions.dump': firstBytes(reader.stream(archive.chunks, { signal }), contentsBytes) };
}

async function* firstBytes(input: AsyncIterable<Uint8Array>, limitBytes: number): AsyncGenerator<Uint8Array> {
  let left = limitBytes;
  for await (const bytes of input) {
    // Its memory is taken back when the next is asked for, and a pipe asks before it has written this one.
    yield Buffer.from(bytes.subarray(0, left));
    left -= bytes.length;
    if (left <= 0) return;
  }
}

async function run(
  { programs, reachable, noTablespaces, signal, onMessages }: ArchiveWork,
  items: readonly ArchiveItem[],
  args: readonly string[],
  files: Readonly<Record<string, AsyncIterable<Uint8Array>>>,
  input?: AsyncIterable<Uint8Array>,
): Promise<void> {
  const list = Buffer.from(items.map(({ id }) => `${id};\n`).join(''));
  const output = programs.output(
    {
      program: 'pg_restore',
      connection: reachable.connection,
      applicationName: RESTORE_APPLICATION,
      arguments: [
        '--exit-on-error',
        '--no-password',
        `--dbname=dbname=${connectionValue(reachable.name)}`,
        '--use-list=list',
        ...(noTablespaces ? ['--no-tablespaces'] : []),
        ...args,
      ],
      files: { list: [list], ...files },
      ...(input === undefined ? {} : { input }),
      idleTimeoutMs: QUIET_MS,
      onMessages,
    },
    { signal },
  );
  for await (const _ of output);
}
