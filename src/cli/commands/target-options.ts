import { integer, path, text } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { clusterOptions } from './cluster-options.ts';
import { databaseRequestOf } from './database-options.ts';
import { databasePasswordFileOption, waitLockOption } from './shared-options.ts';

/** Options of commands that work on what is installed at a target. */

export const targetOptions = {
  ...clusterOptions,
  namespace: text({
    value: 'NAMESPACE',
    defaultValue: 'portolan-system',
    description: "namespace of Portolan's own state in the cluster",
  }),
  state: path({
    value: 'DIR',
    complete: 'folder',
    description:
      "folder for Portolan's own state, instead of the cluster; where no cluster is used, /var/lib/portolan or ~/.local/state/portolan",
  }),
};

export const waitOptions = {
  waitLock: waitLockOption('how long another command that works on the same target is waited for'),
  timeout: integer({
    value: 'SECONDS',
    defaultValue: 600,
    minimum: 1,
    maximum: 86_400,
    description: 'how long a chart may take until it is ready, or gone',
  }),
};

export const databaseOptions = {
  database: text({
    value: 'URL',
    description: 'reach the database from here, not in a Pod: postgres://USER@HOST:PORT/NAME, without a password',
  }),
  databasePasswordFile: databasePasswordFileOption,
};

interface DatabaseValues {
  readonly database: string | undefined;
  readonly databasePasswordFile: string | undefined;
  readonly caFile: string | undefined;
}

/** The database of --database; `undefined` without one. */
export async function databaseOf(values: DatabaseValues, context: CommandContext) {
  if (values.database === undefined) return undefined;
  const { composeDatabase } = await import('../../compose/migrate.ts');
  return composeDatabase(await databaseRequestOf(values.database, values, 'portolan', context));
}

interface TargetValues {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly namespace: string;
  readonly state: string | undefined;
}

export function targetOptionsOf({ kubeconfig, context, namespace, state }: TargetValues) {
  return { kubeconfig, context, namespace, state };
}

/** In milliseconds, as use cases take them. */
export function waitsOf({ waitLock, timeout }: { readonly waitLock: number; readonly timeout: number }) {
  return { lockWaitMs: waitLock * 1000, chartTimeoutMs: timeout * 1000 };
}
