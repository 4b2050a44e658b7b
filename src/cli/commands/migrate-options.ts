import type { MigrationBundle } from '../../usecases/migrate/types.ts';
import { integer, list, path, pathList, text } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../errors.ts';
import { databaseRequestOf } from './database-options.ts';
import { caFileOption, databasePasswordFileOption, waitLockOption } from './shared-options.ts';

/** Options of `portolan migrate …`, and what is made of them. */

export const databaseOptions = {
  database: text({
    value: 'URL',
    required: true,
    description: 'postgres://USER@HOST:PORT/NAME?sslmode=verify-full, without a password',
  }),
  databasePasswordFile: databasePasswordFileOption,
  caFile: caFileOption('the database is'),
  connectWait: integer({
    value: 'SECONDS',
    defaultValue: 10,
    maximum: 86_400,
    description: 'how long a server that is starting or not there yet is tried again',
  }),
};

export const moduleOptions = {
  dir: path({
    value: 'DIR',
    complete: 'folder',
    description: 'folder of modules: `modules` of an unpacked bundle, or the one beside bundle.yaml',
  }),
  archive: pathList({
    value: 'FILE',
    description: 'instead of --dir: a tar archive of it (gzip or plain); repeatable for its parts, in order',
  }),
  module: list({ value: 'NAME', description: 'only this module; repeatable. What it requires must be named too' }),
};

export const bundleOptions = {
  bundle: text({ value: 'NAME', description: 'the bundle that brings the modules, for the ledger' }),
  bundleVersion: text({ value: 'VERSION', description: 'its version' }),
  bundleSequence: integer({ value: 'N', minimum: 1, description: 'its sequence' }),
  bundleRoot: text({ value: 'DIGEST', description: 'its root digest' }),
  completedSequence: integer({
    value: 'N',
    description:
      'with --bundle: contract files that came with this sequence or before run now; 0 for none. The highest one whose ' +
      'programs all run',
  }),
};

export const lockOptions = { waitLock: waitLockOption("how long another run's lock is waited for") };

export const limitOptions = {
  lockTimeout: integer({
    value: 'SECONDS',
    defaultValue: 10,
    minimum: 1,
    maximum: 86_400,
    description: 'how long a statement waits for a lock on a table; five times, then the run ends',
  }),
  statementTimeout: integer({
    value: 'SECONDS',
    maximum: 86_400,
    description: 'how long a statement may take; without it, or 0, without end',
  }),
};

interface DatabaseValues {
  readonly database: string;
  readonly databasePasswordFile: string | undefined;
  readonly caFile: string | undefined;
  readonly connectWait: number;
  readonly lockTimeout?: number | undefined;
  readonly statementTimeout?: number | undefined;
}

export async function openDatabase(values: DatabaseValues, context: CommandContext) {
  const { composeDatabase } = await import('../../compose/migrate.ts');
  return composeDatabase({
    ...(await databaseRequestOf(values.database, values, 'portolan migrate', context)),
    limits: {
      connectWaitMs: values.connectWait * 1000,
      ...(values.lockTimeout === undefined ? {} : { lockTimeoutMs: values.lockTimeout * 1000 }),
      ...(values.statementTimeout === undefined ? {} : { statementTimeoutMs: values.statementTimeout * 1000 }),
    },
  });
}

interface ModuleValues {
  readonly dir: string | undefined;
  readonly archive: readonly string[];
  readonly module: readonly string[];
}

export async function openModules({ dir, archive, module }: ModuleValues, context: CommandContext) {
  const { resolve } = await import('node:path');
  const { tmpdir } = await import('node:os');
  const { composeModules } = await import('../../compose/migrate.ts');
  if ((dir === undefined) === (archive.length === 0)) {
    throw new UsageError('USAGE', 'either --dir or --archive says where the modules are', {
      hint: 'Give one of them.',
    });
  }
  const absolute = (file: string) => resolve(context.cwd, file);
  const opened = await composeModules(
    dir === undefined ? { archive: archive.map(absolute), temporaryFolder: tmpdir() } : { folder: absolute(dir) },
    context,
  );
  if (module.length === 0) return opened;
  const chosen = opened.modules.filter(({ name }) => module.includes(name));
  const unknown = module.find((name) => !chosen.some((one) => one.name === name));
  if (unknown === undefined) return { ...opened, modules: chosen };
  await opened[Symbol.asyncDispose]();
  throw new UsageError('USAGE', `--module names ${unknown}, which is not there`, {
    expected: opened.modules.map(({ name }) => name).join(', '),
    hint: 'Correct the name.',
  });
}

interface BundleValues {
  readonly bundle: string | undefined;
  readonly bundleVersion: string | undefined;
  readonly bundleSequence: number | undefined;
  readonly bundleRoot: string | undefined;
  readonly completedSequence: number | undefined;
}

/** All of the options or none. */
export function bundleOf(values: BundleValues): { bundle?: MigrationBundle; completedSequence?: number } {
  const {
    bundle: name,
    bundleVersion: version,
    bundleSequence: sequence,
    bundleRoot: root,
    completedSequence,
  } = values;
  const parts = [name, version, sequence, root];
  if (parts.every((part) => part === undefined) && completedSequence === undefined) return {};
  if (name === undefined || version === undefined || sequence === undefined || root === undefined) {
    throw new UsageError('USAGE', 'a bundle is named by all four of its options', {
      expected: '--bundle, --bundle-version, --bundle-sequence and --bundle-root',
      hint: 'Give all of them, or none.',
    });
  }
  return {
    bundle: { name, version, sequence, root },
    ...(completedSequence === undefined ? {} : { completedSequence }),
  };
}
