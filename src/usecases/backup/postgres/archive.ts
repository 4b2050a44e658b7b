import { type ArchiveSummary, createArchiveCheck } from '../../../formats/postgres/archive.ts';
import { exactPatterns, type QualifiedName, quoteName, quoteRelation } from '../../../formats/postgres/names.ts';
import type { DatabaseConnection } from '../../../ports/database-connection.ts';
import type { ProgramRun, ProgramSet } from '../../../ports/postgres-programs.ts';
import { UseCaseError } from '../../errors.ts';
import type { Leader } from './leader.ts';
import { clientEncoding } from './settings.ts';

/** A system takes about 2 MiB of arguments. */
const ARGUMENTS_LIMIT_BYTES = 1024 * 1024;
/** From here on pg_dump reads patterns from its input. */
const FILTER_MAJOR = 17;

export interface Archive {
  /** From the first byte on; the program has all its locks then. Read it to its end: the proof comes last. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** After the end of the bytes. */
  archivedRows(): readonly QualifiedName[];
  /** Ends the program when the bytes are not wanted any more. */
  stop(): Promise<void>;
}

export interface ArchiveOptions {
  readonly lockTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly onMessages: (text: string) => void;
  /** Above this, patterns go by the program's input. 1 MiB; for tests. */
  readonly argumentsLimitBytes?: number;
}

/** Definitions, sequences, large objects and configuration of extensions, by pg_dump, in the leader's snapshot. */
export async function startArchive(
  connection: DatabaseConnection,
  programs: ProgramSet,
  leader: Leader,
  options: ArchiveOptions,
): Promise<Archive> {
  const run = archiveRun(connection, programs, leader, options);
  const output = programs.output(run, { signal: options.signal });
  const contents = { tables: new Set<string>(), archivedRows: [] as QualifiedName[] };
  // pg_dump writes nothing before it has locked and looked at everything.
  const first = await output.next();
  return {
    bytes: checked(first, output, leader, contents),
    archivedRows: () => contents.archivedRows,
    stop: async () => {
      await output.return();
    },
  };
}

interface Contents {
  readonly tables: Set<string>;
  readonly archivedRows: QualifiedName[];
}

async function* checked(
  first: IteratorResult<Uint8Array, void>,
  output: AsyncGenerator<Uint8Array, void, void>,
  leader: Leader,
  contents: Contents,
): AsyncGenerator<Uint8Array> {
  const check = createArchiveCheck(({ kind, schema, name }) => {
    if (kind === 'TABLE') contents.tables.add(quoteRelation({ schema, name }));
    else if (kind === 'TABLE DATA') contents.archivedRows.push({ schema, name });
  });
  try {
    if (first.done !== true) {
      check.push(first.value);
      yield first.value;
      for await (const bytes of output) {
        check.push(bytes);
        yield bytes;
      }
    }
    requireWhole(check.finish(), contents, leader);
  } finally {
    await output.return();
  }
}

/** Every table whose rows are read has its definition in the archive, and none has its rows there too. */
function requireWhole(summary: ArchiveSummary, contents: Contents, { list }: Leader): void {
  const lost = list.withRows.filter((table) => !contents.tables.has(quoteRelation(table)));
  const streamed = new Set(list.withRows.map(quoteRelation));
  const twice = contents.archivedRows.filter((table) => streamed.has(quoteRelation(table)));
  if (lost.length === 0 && twice.length === 0) return;
  const [what, tables] = lost.length > 0 ? ['lacks the definition', lost] : ['has rows besides', twice];
  throw new UseCaseError('BACKUP_INCOMPLETE', `The archive of pg_dump ${what} of tables that are read by themselves`, {
    found: tables.slice(0, 20).map(quoteRelation).join(', '),
    expected: `each of ${list.withRows.length} tables once (pg_dump ${summary.programVersion})`,
    hint: 'Run the backup again.',
  });
}

function archiveRun(
  connection: DatabaseConnection,
  programs: ProgramSet,
  { list, facts, snapshot }: Leader,
  options: ArchiveOptions,
): ProgramRun {
  const tables = list.excludedTables.map(quoteRelation);
  const rows = exactPatterns([...list.withRows, ...list.excludedRows]);
  const schemas = list.excludedSchemas.map(quoteName);
  const base = [
    '--format=custom',
    '--compress=0',
    '--no-sync',
    '--no-password',
    `--snapshot=${snapshot}`,
    `--lock-wait-timeout=${Math.round(options.lockTimeoutMs)}`,
    // Names in patterns are ours, in UTF-8. SQL_ASCII knows no characters: there they are bytes, and the same.
    ...(clientEncoding(facts.encoding) === 'UTF8' ? ['--encoding=UTF8'] : []),
  ];
  const patterns = [
    ...schemas.map((pattern) => `--exclude-schema=${pattern}`),
    ...tables.map((pattern) => `--exclude-table=${pattern}`),
    ...rows.map((pattern) => `--exclude-table-data=${pattern}`),
  ];
  const common = { program: 'pg_dump', connection, onMessages: options.onMessages } as const;
  const lengthBytes = patterns.reduce((sum, pattern) => sum + Buffer.byteLength(pattern) + 9, 0);
  if (lengthBytes <= (options.argumentsLimitBytes ?? ARGUMENTS_LIMIT_BYTES)) {
    return { ...common, arguments: [...base, ...patterns] };
  }
  if (programs.major < FILTER_MAJOR) {
    throw new UseCaseError('BACKUP_DATABASE_UNUSABLE', 'There are more tables than the arguments of pg_dump can name', {
      expected: `at most ${ARGUMENTS_LIMIT_BYTES} bytes of names with pg_dump ${programs.major}`,
      found: `${lengthBytes} bytes`,
      hint: `Name the folder of client programs of PostgreSQL ${FILTER_MAJOR} or newer by --pg-bin: they read longer lists.`,
    });
  }
  // In a list a backslash has a meaning within quotes too, and there are no regular expressions.
  const line = (kind: string, pattern: string) => `exclude ${kind} ${pattern.replaceAll('\\', '\\\\')}\n`;
  const lines = [
    ...schemas.map((pattern) => line('schema', pattern)),
    ...tables.map((pattern) => line('table', pattern)),
    ...[...list.withRows, ...list.excludedRows].map((table) => line('table_data', quoteRelation(table))),
  ];
  return { ...common, arguments: [...base, '--filter=-'], input: inPieces(lines) };
}

async function* inPieces(lines: readonly string[]): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < lines.length; at += 500) yield Buffer.from(lines.slice(at, at + 500).join(''));
}
