import { PortolanError } from '../../../core/errors.ts';
import { parseSchemaPattern, parseTablePattern } from '../../../formats/postgres/pattern.ts';
import {
  DATABASE_RECORD_VERSION,
  type EndRecord,
  type ServerRecord,
  type TableCounts,
} from '../../../formats/repository/database-record.ts';
import type { BackupSource, SourceSummary } from '../../../ports/backup-source.ts';
import type { DatabaseServer, DatabaseSession, ReachableDatabase } from '../../../ports/database.ts';
import type { PostgresPrograms } from '../../../ports/postgres-programs.ts';
import { findPrograms } from './begin.ts';
import { findCollapses } from './collapse.ts';
import { dumpDatabase } from './database-dump.ts';
import { chooseDatabases, type DatabaseChoice } from './databases.ts';
import { dumpGlobals, type GlobalsResult } from './globals.ts';
import { readServerState } from './leader.ts';
import { checkRights } from './rights.ts';
import { readSettings } from './settings.ts';
import { type Exclusions, listTables, readSizes, type TableSize } from './tables.ts';
import type { DumpLimits, DumpResult } from './types.ts';

export interface PostgresSourceSettings {
  /** Of the source within the snapshot: `[a-z0-9][a-z0-9-]*`. */
  readonly name: string;
  /** For messages, without secrets. */
  readonly place: string;
  readonly server: DatabaseServer;
  readonly programs: PostgresPrograms;
  /** The one of the address unless given. */
  readonly databases?: DatabaseChoice;
  /** Patterns: see src/formats/postgres/pattern.ts. */
  readonly exclude?: {
    readonly schemas?: readonly string[];
    readonly tables?: readonly string[];
    /** Their definition stays. */
    readonly tableRows?: readonly string[];
  };
  readonly profile?: 'supabase';
  /** Of the run before, by which a collapse is seen. */
  readonly countsBefore?: TableCounts;
  /** For the run after; told when everything was read. */
  readonly onCounts?: (counts: TableCounts) => void;
  readonly limits?: Partial<DumpLimits>;
}

const LIMITS: DumpLimits = {
  lockTimeoutMs: 20_000,
  attempts: 4,
  rangeBytes: 64 * 1024 * 1024,
  heartbeatMs: 30_000,
};

/** For a guess at sizes. */
const LOOK_LOCK_TIMEOUT_MS = 1000;

/** What an initialised Supabase has before anything of the user's is in it. */
const SUPABASE_SCHEMAS = [
  ...['auth', 'storage', 'realtime', '_realtime', 'vault', 'extensions', 'graphql', 'graphql_public', 'pgsodium'],
  ...[
    'pgsodium_masks',
    'pgbouncer',
    'supabase_functions',
    'supabase_migrations',
    '_analytics',
    '_supavisor',
    'net',
    'cron',
  ],
];

/**
 * Databases of a PostgreSQL server as a source of a backup (docs/backup-postgres.md).
 *
 * @throws FormatError DATABASE_PATTERN_INVALID
 */
export function createPostgresSource(settings: PostgresSourceSettings): BackupSource {
  const { name, place, server, programs, exclude = {} } = settings;
  const exclusions: Exclusions = {
    schemas: (exclude.schemas ?? []).map(parseSchemaPattern),
    tables: (exclude.tables ?? []).map(parseTablePattern),
    tableRows: (exclude.tableRows ?? []).map(parseTablePattern),
  };
  const limits = { ...LIMITS, ...settings.limits };
  const choice = settings.databases ?? { names: [server.name] };
  return {
    kind: 'postgres',
    name,
    place,
    async prepare({ signal }) {
      const own = await server.database(server.name);
      await using session = await own.database.open({ readOnly: true, signal });
      const facts = await readServerState(session);
      await findPrograms(programs, facts.versionNumber, signal);
      const chosen = await chooseDatabases(session, choice, own.database.place);
      let expectedBytes = 0;
      for (const database of chosen.names) {
        expectedBytes += await look(await server.database(database), exclusions, server.user, signal);
      }
      return { expectedBytes };
    },
    async backUp(writer, { signal }) {
      const own = await server.database(server.name);
      const { facts, chosen, version } = await survey(own, choice, programs, signal);
      const record: ServerRecord = {
        version: DATABASE_RECORD_VERSION,
        serverVersionNumber: facts.versionNumber,
        serverVersion: facts.version,
        programVersion: version,
        user: server.user,
        isSuperuser: facts.isSuperuser,
        isStandby: facts.isStandby,
        databases: [...chosen.names],
        excluded: {
          schemas: [...(exclude.schemas ?? [])],
          tables: [...(exclude.tables ?? [])],
          tableRows: [...(exclude.tableRows ?? [])],
        },
        ...(settings.profile === undefined ? {} : { profile: settings.profile }),
      };
      await writer.entry({ entry: 'source', source: name, kind: 'postgres', name: place, record });
      const results: DumpResult[] = [];
      let globalsRead: GlobalsResult | undefined;
      const readGlobals = (globalsSignal: AbortSignal) =>
        dumpGlobals({ source: name, reachable: own, programs }, writer, { signal: globalsSignal });
      const alongside = async (dumpSignal: AbortSignal): Promise<void> => {
        globalsRead = await readGlobals(dumpSignal);
      };
      const last = chosen.names.length - 1;
      for (const [index, database] of chosen.names.entries()) {
        const reachable = await server.database(database);
        const systemSchemas = settings.profile === 'supabase' ? SUPABASE_SCHEMAS : [];
        results.push(
          await dumpDatabase(
            {
              source: name,
              number: index + 1,
              reachable,
              user: server.user,
              exclusions,
              programs,
              limits,
              systemSchemas,
            },
            writer,
            { signal, alongside: index === last ? alongside : undefined },
          ),
        );
      }
      const { sizeBytes: globalsBytes, ...globals } = globalsRead ?? (await readGlobals(signal));
      const counts = countsOf(results);
      const collapses = findCollapses(settings.countsBefore, counts);
      const notes = [...chosen.notes, ...results.flatMap((result) => result.notes), ...globals.notes];
      const end: EndRecord = {
        ...globals,
        version: DATABASE_RECORD_VERSION,
        databases: results.map((result) => result.record),
        needs: [...globals.needs],
        notes,
      };
      await writer.entry({ entry: 'end', source: name, record: end });
      settings.onCounts?.(counts);
      const total = (of: (result: DumpResult) => number) => results.reduce((sum, result) => sum + of(result), 0);
      return {
        kind: 'postgres',
        name,
        place,
        sizeBytes: globalsBytes + total(({ record: { sizeBytes } }) => sizeBytes),
        items: total(({ record: { tables } }) => tables),
        rows: total(({ record: { rows } }) => rows),
        notes,
        ...(collapses.length === 0 ? {} : { collapses }),
      } satisfies SourceSummary;
    },
  };
}

async function survey(
  { database }: ReachableDatabase,
  choice: DatabaseChoice,
  programs: PostgresPrograms,
  signal: AbortSignal,
) {
  await using session: DatabaseSession = await database.open({ readOnly: true, signal });
  const facts = await readServerState(session);
  const { version } = await findPrograms(programs, facts.versionNumber, signal);
  return { facts, version, chosen: await chooseDatabases(session, choice, database.place) };
}

/** About how much there is to read; also finds missing rights. */
async function look(
  { database }: ReachableDatabase,
  exclusions: Exclusions,
  user: string,
  signal: AbortSignal,
): Promise<number> {
  await using session = await database.open({ readOnly: true, signal });
  const facts = await readServerState(session);
  for (const setting of readSettings(facts)) await session.query(setting);
  await session.query(`set lock_timeout = ${LOOK_LOCK_TIMEOUT_MS}`);
  const list = await listTables(session, exclusions, facts);
  await checkRights(session, list, { user, place: database.place });
  const [row] = await session.query(`select pg_catalog.pg_relation_size('pg_catalog.pg_largeobject')::text as size`);
  const sizes = await readSizes(session, list.withRows).catch((cause: unknown) => {
    // Somebody holds a table, perhaps for a moment: it is a guess without its size.
    if (cause instanceof PortolanError && cause.code === 'DATABASE_STATEMENT_FAILED')
      return new Map<number, TableSize>();
    throw cause;
  });
  return [...sizes.values()].reduce((sum, size) => sum + size.heapBytes + size.toastBytes, Number(row?.size ?? 0));
}

function countsOf(results: readonly DumpResult[]): TableCounts {
  return {
    version: DATABASE_RECORD_VERSION,
    databases: Object.fromEntries(
      results.map(({ record, rowsByTable }) => [record.name, Object.fromEntries(rowsByTable)]),
    ),
  };
}
