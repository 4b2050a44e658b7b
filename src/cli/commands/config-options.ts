import type { PlaceOptions } from '../../compose/configuration.ts';
import { text } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../errors.ts';
import { clusterOptions, clusterOptionsOf } from './cluster-options.ts';
import { databaseRequestOf } from './database-options.ts';
import { caFileOption, carriedHelmOption, databasePasswordFileOption } from './shared-options.ts';

/** Options of `portolan config …`: where a configuration is read from and written to. */
export const placeOptions = {
  ...clusterOptions,
  database: text({
    value: 'URL',
    description: 'for tables: postgres://USER@HOST:PORT/NAME?sslmode=verify-full, without a password',
  }),
  databasePasswordFile: databasePasswordFileOption,
  caFile: caFileOption('the database is'),
  helm: carriedHelmOption,
};

interface PlaceValues {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly database: string | undefined;
  readonly databasePasswordFile: string | undefined;
  readonly caFile: string | undefined;
  readonly helm: string | undefined;
}

/** @throws UsageError USAGE when tables are wanted and no database is named */
export async function placeOptionsOf(
  values: PlaceValues,
  needsDatabase: boolean,
  context: CommandContext,
): Promise<PlaceOptions> {
  const { tmpdir } = await import('node:os');
  const { database: url } = values;
  if (needsDatabase && url === undefined) {
    throw new UsageError('USAGE', 'tables are in a database, and none was named', {
      hint: 'Name it with --database postgres://USER@HOST:PORT/NAME.',
    });
  }
  return {
    cluster: clusterOptionsOf(values, context),
    helm: values.helm,
    temporaryFolder: tmpdir(),
    database: url === undefined ? undefined : await databaseRequestOf(url, values, 'portolan config', context),
  };
}

/** `NAMESPACE/NAME`. @throws UsageError USAGE */
export function parseObjectName(text: string, option: string): { readonly namespace: string; readonly name: string } {
  const [, namespace, name] =
    /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\/([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)$/.exec(text) ?? [];
  if (namespace !== undefined && name !== undefined) return { namespace, name };
  throw new UsageError('USAGE', `${option} names an object by its namespace and its name`, {
    expected: `${option} NAMESPACE/NAME`,
    found: text,
  });
}

/** `SCHEMA.NAME`; the schema may not have a dot, the name may. @throws UsageError USAGE */
export function parseTableName(text: string): { readonly schema: string; readonly name: string } {
  const dot = text.indexOf('.');
  if (dot > 0 && dot < text.length - 1) return { schema: text.slice(0, dot), name: text.slice(dot + 1) };
  throw new UsageError('USAGE', '--table names a table by its schema and its name', {
    expected: '--table SCHEMA.NAME',
    found: text,
  });
}
