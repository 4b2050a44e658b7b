import type { DatabaseRequest } from '../../compose/migrate.ts';
import type { CommandContext } from '../context.ts';

interface DatabaseValues {
  readonly databasePasswordFile: string | undefined;
  readonly caFile: string | undefined;
}

/** What --database URL and the options beside it ask for. `what` is the command, for who looks into `pg_stat_activity`. */
export async function databaseRequestOf(
  url: string,
  { databasePasswordFile, caFile }: DatabaseValues,
  what: string,
  { env, cwd }: CommandContext,
): Promise<DatabaseRequest> {
  const { resolve } = await import('node:path');
  const { hostname } = await import('node:os');
  return {
    url,
    env,
    applicationName: `${what} on ${hostname()}`.slice(0, APPLICATION_NAME_MAX),
    ...(databasePasswordFile === undefined ? {} : { passwordFile: resolve(cwd, databasePasswordFile) }),
    ...(caFile === undefined ? {} : { caFile: resolve(cwd, caFile) }),
  };
}

/** PostgreSQL cuts what is longer (NAMEDATALEN, in bytes). */
const APPLICATION_NAME_MAX = 63;
