import type { ArchiveItem } from '../../../formats/postgres/archive.ts';
import { connectionValue, quoteText } from '../../../formats/postgres/names.ts';
import type { ChunkReader, StreamRecord } from '../../../ports/chunks.ts';
import type { DatabaseSession, ReachableDatabase } from '../../../ports/database.ts';
import type { ProgramSet } from '../../../ports/postgres-programs.ts';

/** By which sessions of this restore are told from others. */
export const RESTORE_APPLICATION = 'portolan restore';

/** A large index or foreign key says nothing for hours: after this time the server is asked whether it is at work. */
const QUIET_MS = 15 * 60_000;

export interface ArchiveWork {
  /** With the same database, and idle while the program runs. */
  readonly session: DatabaseSession;
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
  { programs, reachable, noTablespaces, signal, onMessages, session }: ArchiveWork,
  items: readonly ArchiveItem[],
  args: readonly string[],
  files: Readonly<Record<string, AsyncIterable<Uint8Array>>>,
  input?: AsyncIterable<Uint8Array>,
): Promise<void> {
  const list = Buffer.from(items.map(({ id }) => `${id};\n`).join(''));
  let fed = 0;
  let before = '';
  const isAtWork = async (): Promise<boolean> => {
    const { isActive, history } = await lookAtSessions(session);
    const now = `${fed} ${history}`;
    const hasChanged = now !== before;
    before = now;
    return isActive || hasChanged;
  };
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
      ...(input === undefined
        ? {}
        : {
            input: told(input, () => {
              fed += 1;
            }),
          }),
      idleTimeoutMs: QUIET_MS,
      isAtWork,
      onMessages,
    },
    { signal },
  );
  for await (const _ of output);
}

async function* told(input: AsyncIterable<Uint8Array>, onBytes: () => void): AsyncGenerator<Uint8Array> {
  for await (const bytes of input) {
    onBytes();
    yield bytes;
  }
}

/** What sessions of this restore do in the server; one that waits for its client does nothing. Another history: they did something. */
async function lookAtSessions(session: DatabaseSession): Promise<{ isActive: boolean; history: string }> {
  const rows = await session.query(
    `select a.pid::text as pid, a.state_change::text as changed,
       (a.state not like 'idle%' and a.wait_event_type is distinct from 'Client')::text as active
     from pg_catalog.pg_stat_activity a
     where a.datname = pg_catalog.current_database() and a.application_name = ${quoteText(RESTORE_APPLICATION)}
     order by a.pid`,
  );
  return {
    isActive: rows.some(({ active }) => active === 'true'),
    history: rows.map(({ pid, changed }) => `${pid} ${changed}`).join(),
  };
}
