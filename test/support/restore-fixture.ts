import { tmpdir } from 'node:os';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createDatabaseServer } from '../../src/adapters/postgres/server.ts';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { openSnapshot } from '../../src/usecases/repository/open-snapshot.ts';
import { ALLOWANCES, type Allowance } from '../../src/usecases/restore/postgres/needs.ts';
import { restoreToPostgres } from '../../src/usecases/restore/postgres/restore-postgres.ts';
import type {
  PostgresRestoreDependencies,
  PostgresRestoreReport,
  PostgresRestoreRequest,
} from '../../src/usecases/restore/postgres/types.ts';
import type { RestoreSelection } from '../../src/usecases/restore/selection.ts';
import type { BackupRepository } from './backup-repository.ts';
import type { PostgresServer } from './postgres-server.ts';
import { run } from './program.ts';

const EVERYTHING = new Set(Object.keys(ALLOWANCES) as Allowance[]);

export interface RestoreOptions extends Partial<Omit<PostgresRestoreRequest, 'selection'>> {
  readonly selection?: Partial<RestoreSelection>;
  readonly user?: string;
  /** In the address; `postgres` unless given. */
  readonly into?: string;
  readonly snapshot?: string;
  readonly signal?: AbortSignal;
  readonly change?: (dependencies: PostgresRestoreDependencies) => PostgresRestoreDependencies;
}

/** Restores into a server of the tests, over its socket and with its own programs. Everything is allowed unless said. */
export async function restoreInto(
  repository: BackupRepository,
  server: PostgresServer,
  options: RestoreOptions = {},
): Promise<PostgresRestoreReport> {
  const { selection, user = 'postgres', into = 'postgres', snapshot = 'latest', change = (same) => same } = options;
  const signal = options.signal ?? new AbortController().signal;
  const opened = await openSnapshot(await repository.open(), snapshot, [repository.identity], { signal });
  return await restoreToPostgres(
    opened,
    {
      allow: options.allow ?? EVERYTHING,
      intoExisting: options.intoExisting ?? false,
      noTablespaces: options.noTablespaces ?? false,
      plan: options.plan ?? false,
      selection: { sources: [], databases: [], schemas: [], tables: [], ...selection },
      ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
    },
    change({
      server: createDatabaseServer({
        address: { host: server.folder, port: server.port, user, name: into, sslMode: 'prefer' },
        password: {},
        applicationName: 'portolan test',
        connectWaitMs: 0,
      }),
      programs: createPostgresPrograms({ folder: server.programs, temporaryFolder: tmpdir() }),
      createChunkReader: (settings) => createChunkReader({ ...settings, workers: 2 }),
      progress: silentProgress,
    }),
    { signal },
  );
}

/** What pg_dumpall, that of another server unless its own, says of a server, without remarks and the random word of newer versions. */
export async function dumpAll(
  server: PostgresServer,
  { programs }: PostgresServer = server,
  what: readonly string[] = [],
): Promise<readonly string[]> {
  const args = ['-h', server.folder, '-p', String(server.port), '-U', server.superuser, '--no-sync', ...what];
  const { status, stdout, stderr } = await run(`${programs}/pg_dumpall`, args);
  if (status !== 0) throw new Error(stderr);
  return stdout.split('\n').filter((line) => !/^(?:--|\\(?:un)?restrict )/.test(line));
}

/** Not the whole: 80 MB would be printed. */
export function firstDifference(a: readonly string[], b: readonly string[]): string | undefined {
  const at = a.findIndex((line, index) => line !== b[index]);
  if (at < 0 && a.length === b.length) return undefined;
  return `line ${at}: ${a[at]?.slice(0, 300)} | ${b[at]?.slice(0, 300)}`;
}
