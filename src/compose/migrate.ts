import { join } from 'node:path';
import { openModuleArchive } from '../adapters/migration-archive/archive.ts';
import { createDatabase, type DatabaseSettings } from '../adapters/postgres/database.ts';
import { parseDatabaseUrl } from '../adapters/postgres/database-url.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import type { Database } from '../ports/database.ts';
import { readModuleFolder } from '../usecases/migrate/read-folder.ts';
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
export function composeDatabase({
  url,
  passwordFile,
  caFile,
  env,
  applicationName,
  limits,
}: DatabaseRequest): Database {
  const { PGPASSWORD, PGPASSFILE, HOME } = env;
  return createDatabase({
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
  });
}

export interface OpenedModules extends AsyncDisposable {
  readonly modules: readonly MigrationModule[];
}

/** Absolute paths. An archive is unpacked into a private folder, which goes with the result. */
export async function composeModules(
  source: { readonly folder: string } | { readonly archive: readonly string[]; readonly temporaryFolder: string },
  options: { readonly signal?: AbortSignal } = {},
): Promise<OpenedModules> {
  const files = createProjectFiles();
  if ('folder' in source) {
    return { modules: await readModuleFolder(source.folder, files, options), [Symbol.asyncDispose]: async () => {} };
  }
  const archive = await openModuleArchive(source.archive, source.temporaryFolder, options);
  try {
    const modules = await readModuleFolder(archive.folder, files, options);
    return { modules, [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose]() };
  } catch (cause) {
    await archive[Symbol.asyncDispose]();
    throw cause;
  }
}
