import { join } from 'node:path';
import { createDatabase, type DatabaseSettings } from '../adapters/postgres/database.ts';
import { parseDatabaseUrl } from '../adapters/postgres/database-url.ts';
import type { Database } from '../ports/database.ts';
import type { MigrationModule } from '../usecases/migrate/types.ts';

export interface DatabaseRequest {
  /** Without a password. */
  readonly url: string;
  /** Absolute. */
  readonly passwordFile?: string;
  /** Absolute. */
  readonly caFile?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For `pg_stat_activity`, and so for whoever waits for our lock. */
  readonly applicationName: string;
  readonly limits?: Pick<DatabaseSettings, 'connectWaitMs' | 'lockTimeoutMs' | 'statementTimeoutMs'>;
}

/**
 * The password comes from the file, else PGPASSWORD, else PGPASSFILE, else ~/.pgpass, and is looked for only when the server
 * asks.
 *
 * @throws AdapterError DATABASE_URL_INVALID
 */
export function composeDatabase(request: DatabaseRequest): Database {
  return createDatabase(databaseSettings(request));
}

/** The same for adapters that open several databases of the server. @throws AdapterError DATABASE_URL_INVALID */
export function databaseSettings({
  url,
  passwordFile,
  caFile,
  env,
  applicationName,
  limits,
}: DatabaseRequest): DatabaseSettings {
  const { PGPASSWORD, PGPASSFILE, HOME } = env;
  return {
    ...limits,
    address: parseDatabaseUrl(url),
    applicationName,
    ...(caFile === undefined ? {} : { caFile }),
    password: {
      ...(passwordFile === undefined ? {} : { file: passwordFile }),
      ...(PGPASSWORD ? { value: PGPASSWORD } : {}),
      ...(PGPASSFILE
        ? { passFile: { path: PGPASSFILE, mustExist: true } }
        : HOME
          ? { passFile: { path: join(HOME, '.pgpass'), mustExist: false } }
          : {}),
    },
  };
}

export interface OpenedModules extends AsyncDisposable {
  readonly modules: readonly MigrationModule[];
}

/** Absolute paths. An archive is unpacked into a private folder, which goes with the result. */
export async function composeModules(
  source: { readonly folder: string } | { readonly archive: readonly string[]; readonly temporaryFolder: string },
  options: { readonly signal?: AbortSignal } = {},
): Promise<OpenedModules> {
  // A backup needs the settings of a database and none of these.
  const { createProjectFiles } = await import('../adapters/project-files/project-files.ts');
  const { readModuleFolder } = await import('../usecases/migrate/read-folder.ts');
  const files = createProjectFiles();
  if ('folder' in source) {
    return { modules: await readModuleFolder(source.folder, files, options), [Symbol.asyncDispose]: async () => {} };
  }
  const { openModuleArchive } = await import('../adapters/migration-archive/archive.ts');
  const archive = await openModuleArchive(source.archive, source.temporaryFolder, options);
  try {
    const modules = await readModuleFolder(archive.folder, files, options);
    return { modules, [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose]() };
  } catch (cause) {
    await archive[Symbol.asyncDispose]();
    throw cause;
  }
}
