import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { createChunkReader } from '../adapters/chunk-reader/chunk-reader.ts';
import { placeOfDatabase } from '../adapters/postgres/database-url.ts';
import { createDatabaseServer } from '../adapters/postgres/server.ts';
import { createPostgresPrograms } from '../adapters/postgres-programs/programs.ts';
import type { ChunkReaderSettings } from '../ports/chunks.ts';
import type { OpeningOptions } from '../usecases/repository/open-snapshot.ts';
import type { Allowance } from '../usecases/restore/postgres/needs.ts';
import { restoreToPostgres } from '../usecases/restore/postgres/restore-postgres.ts';
import type { PostgresRestoreReport } from '../usecases/restore/postgres/types.ts';
import { openForRestore, type SnapshotRequest } from '../usecases/restore/restore.ts';
import type { RestoreSelection } from '../usecases/restore/selection.ts';
import { type DatabaseRequest, databaseSettings } from './migrate.ts';
import { openPlace, openTrusted, type RepositoryOptions, type Running } from './repository.ts';
import { type Restorer, recordedWork } from './restorer.ts';

interface RestoreSettings extends RepositoryOptions, SnapshotRequest {
  readonly plan: boolean;
  /** `undefined` for a plan, which is not recorded. */
  readonly restorer: Restorer | undefined;
}

export interface PostgresRestoreSettings extends RestoreSettings {
  readonly database: DatabaseRequest;
  readonly selection: RestoreSelection;
  readonly allow: ReadonlySet<Allowance>;
  readonly intoExisting: boolean;
  readonly noTablespaces: boolean;
  readonly jobs?: number | undefined;
  /** A folder with the PostgreSQL programs. */
  readonly pgBin?: string | undefined;
}

/** Restores databases of a snapshot into a server, and proves them. What stands against it is in the report. */
export async function composeRestore(
  settings: PostgresRestoreSettings,
  running: Running,
): Promise<PostgresRestoreReport> {
  const { progress, signal, env, cwd } = running;
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, running);
  const { jobs, restorer, selection, ...request } = settings;
  const database = databaseSettings(settings.database);
  const dependencies = {
    server: createDatabaseServer(database),
    programs: createPostgresPrograms({
      temporaryFolder: tmpdir(),
      ...(settings.pgBin === undefined ? {} : { folder: resolve(cwd, settings.pgBin) }),
      ...(env.PATH === undefined ? {} : { searchPath: env.PATH }),
    }),
    createChunkReader: (chunks: ChunkReaderSettings) =>
      createChunkReader({ ...chunks, ...(jobs === undefined ? {} : { workers: jobs }) }),
    progress,
  };
  const { sources: source, databases, schemas: schema, tables: table } = selection;
  const facts = {
    what: 'restore',
    repository: repository.id,
    target: placeOfDatabase(database.address),
    selection: { source, database: databases, schema, table },
  } as const;
  const restore = async (opening: Pick<OpeningOptions, 'beforeOpening'>) =>
    await restoreToPostgres(
      await openForRestore(repository, settings, { progress }, { signal, ...opening }),
      { ...request, selection, ...(jobs === undefined ? {} : { jobs }) },
      dependencies,
      { signal },
    );
  return await recordedWork(restorer, facts, settings, running, restore, ({ problems }) => problems[0]?.code);
}
