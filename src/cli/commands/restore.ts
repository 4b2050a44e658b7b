import type { PostgresRestoreReport } from '../../usecases/restore/postgres/types.ts';
import { defineCommand, flag, integer, list, path, text } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { formatBytes, formatCount, formatDuration } from '../output-units.ts';
import { recordTeller } from './audit-options.ts';
import { checkpointOption, repositoryOptions } from './repository-options.ts';
import { clusterRestoreOptions, requireBundleWithCluster } from './restore-cluster-options.ts';
import { caFileOption, databasePasswordFileOption, identityOption } from './shared-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

const ALLOW_WORDS =
  'superuser, superuser-roles, c-functions, untrusted-languages, event-triggers, untrusted-extensions, foreign-servers, subscriptions, tablespaces, or all';

export const restoreSpec = defineCommand({
  name: 'restore',
  summary: 'restore a snapshot',
  description:
    'Restores databases of a snapshot (the latest unless SNAPSHOT says another) and proves rows, owners, rights, policies ' +
    'and sequences against it. Signatures, chains and digests are checked before anything is run. Nothing is dropped or ' +
    'replaced. Killed anywhere and run again, it goes on. Where the trust file names an identity provider, whoever restores is ' +
    'logged in (`portolan login`). Every restore is recorded: see `portolan audit list`.',
  arguments: {
    snapshot: { description: 'WRITER, WRITER/SEQUENCE or the id of a run; without it the latest', optional: true },
  },
  options: {
    identity: { ...identityOption, required: true },
    ...repositoryOptions,
    checkpoint: checkpointOption,
    to: text({
      value: 'TARGET',
      required: true,
      complete: 'folder',
      description:
        'postgres://USER@HOST:PORT/NAME: one database goes into NAME; with /postgres databases keep their names. ' +
        'folder:DIR: files as they were, and databases as files for stock tools. Or a context of the kubeconfig: the whole ' +
        'product into a cluster that has nothing of it, with --bundle',
    }),
    ...clusterRestoreOptions,
    plan: flag({ description: 'show what would be done, and change nothing' }),
    source: list({ value: 'NAME', description: 'only this source, such as postgres or files; repeatable' }),
    path: list({ value: 'PATH', description: 'with folder: only this file or folder of a source; repeatable' }),
    overwrite: flag({ description: 'with folder: replace what is there' }),
    database: list({ value: 'NAME', description: 'only this database; repeatable' }),
    schema: list({ value: 'PATTERN', description: 'only this schema, such as public or tmp_*; repeatable' }),
    table: list({ value: 'PATTERN', description: 'only this table: SCHEMA.TABLE, with * and ?; repeatable' }),
    allow: list({
      value: 'WHAT',
      description: `what is refused otherwise, several parted by commas: ${ALLOW_WORDS}`,
    }),
    intoExisting: flag({ description: 'into a database that is not empty; what is there stays as it is' }),
    noTablespaces: flag({ description: 'everything in the default tablespace' }),
    jobs: integer({ value: 'N', minimum: 1, maximum: 64, description: 'connections that work side by side' }),
    databasePasswordFile: databasePasswordFileOption,
    databaseCaFile: caFileOption('the database is'),
    pgBin: path({
      value: 'DIR',
      complete: 'folder',
      description: 'folder with pg_restore; by default it is looked for by the server’s version',
    }),
    breakGlass: flag({
      description: 'restore without a login at the identity provider of the root; the audit journal says so',
    }),
    despiteProblems: flag({
      description: 'go on although something is wrong with the repository; SNAPSHOT must say which one',
    }),
    ...telemetryOptions,
  },
  examples: [
    {
      command: 'portolan restore --repo /srv/backups -i key.txt --to postgres://postgres@db.example/postgres --plan',
      note: 'what would be done',
    },
    {
      command:
        'portolan restore --repo /srv/backups -i key.txt --to postgres://postgres@db.example/postgres --allow superuser',
      note: 'everything, into a new server',
    },
    {
      command:
        'portolan restore db-1/7 --repo /srv/backups -i key.txt --database shop --to postgres://admin@db.example/shop_old',
      note: 'one database beside the present one',
    },
    {
      command:
        'portolan restore --repo /srv/backups -i key.txt --to new-cluster --bundle /media/usb:cms-1.4.0 --bundle-trust cosign.pub --allow superuser',
      note: 'the whole product, into a new cluster',
    },
    {
      command: 'portolan restore --repo /srv/backups -i key.txt --to folder:/srv/restored --break-glass',
      note: 'while the identity provider is lost',
    },
  ],
  async run(context, { snapshot }, options) {
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeRestore } = await import('../../compose/restore.ts');
    const { databaseRequestOf } = await import('./database-options.ts');
    const { throwProblems } = await import('../../core/errors.ts');
    const { findRestorer } = await import('../../compose/restorer.ts');
    const { VERSION } = await import('../version.ts');
    const allow = await allowancesOf(options.allow);
    const [kind, target] = targetOf(options);
    requireBundleWithCluster(kind, options);
    // Before a passphrase is asked for.
    const restorer = options.plan
      ? undefined
      : { who: await findRestorer(options, context), program: VERSION, onRecord: await recordTeller(context) };
    const identities = await readIdentities(options.identity, context.askSecret);
    if (kind === 'folder') {
      const { runFolderRestore } = await import('./restore-folder.ts');
      const { source: sources, path: paths } = options;
      return await runFolderRestore(context, {
        ...options,
        restorer,
        snapshot,
        identities,
        folder: target,
        sources,
        paths,
      });
    }
    if (kind === 'cluster') {
      const { runClusterRestore } = await import('./restore-cluster.ts');
      return await runClusterRestore(context, { ...options, restorer, snapshot, identities, context: target, allow });
    }
    const startMs = context.now();
    const report = await composeRestore(
      {
        ...options,
        restorer,
        snapshot,
        identities,
        database: await databaseRequestOf(
          options.to,
          { databasePasswordFile: options.databasePasswordFile, caFile: options.databaseCaFile },
          'portolan restore',
          context,
        ),
        selection: {
          sources: options.source,
          databases: options.database,
          schemas: options.schema,
          tables: options.table,
        },
        allow,
      },
      context,
    );
    const { problems, ...fields } = report;
    const durationMs = context.now() - startMs;
    context.output.result({ ...fields, problems: problems.map(({ code }) => code), durationMs }, () =>
      reportLines(report, durationMs).join('\n'),
    );
    throwProblems(problems);
  },
});

/** @throws UsageError USAGE */
function targetOf(options: {
  readonly to: string;
  readonly path: readonly string[];
  readonly overwrite: boolean;
  readonly database: readonly string[];
  readonly schema: readonly string[];
  readonly table: readonly string[];
  readonly intoExisting: boolean;
}): readonly ['postgres' | 'folder' | 'cluster', string] {
  const { to, path: paths, overwrite, database, schema, table, intoExisting } = options;
  const wrong = (message: string, hint: string) => new UsageError('USAGE', message, { hint });
  if (/^postgres(?:ql)?:/.test(to)) {
    if (paths.length === 0 && !overwrite) return ['postgres', to];
    throw wrong('--path and --overwrite are for folders', 'Leave them out, or write --to folder:DIR.');
  }
  const folder = /^folder:(.+)$/s.exec(to)?.[1];
  if (folder === undefined) {
    if (to === '' || to.startsWith('folder:') || to.includes('://')) {
      throw wrong(
        '--to names no target',
        'Write postgres://USER@HOST:PORT/NAME, folder:DIR or a context of the kubeconfig.',
      );
    }
    if (paths.length + schema.length + table.length === 0 && !overwrite && !intoExisting) return ['cluster', to];
    throw wrong(
      'A cluster gets whole databases',
      'Leave out --path, --overwrite, --schema, --table and --into-existing; or write postgres://… or folder:DIR in --to.',
    );
  }
  if (database.length + schema.length + table.length === 0) return ['folder', folder];
  throw wrong(
    'Parts of databases go into a server',
    'Leave out --database, --schema and --table, or name a server in --to.',
  );
}

/** @throws UsageError USAGE */
async function allowancesOf(given: readonly string[]) {
  const { ALLOWANCES } = await import('../../usecases/restore/postgres/needs.ts');
  type Allowance = keyof typeof ALLOWANCES;
  const all = Object.keys(ALLOWANCES) as Allowance[];
  const words = given.flatMap((part) => part.split(',')).filter((word) => word !== '');
  const unknown = words.find((word) => word !== 'all' && !all.includes(word as Allowance));
  if (unknown !== undefined) {
    throw new UsageError('USAGE', `--allow does not know ${unknown}`, {
      expected: ALLOW_WORDS,
      hint: 'Correct the word.',
    });
  }
  return new Set(words.includes('all') ? all : (words as Allowance[]));
}

const STATES: Readonly<Record<PostgresRestoreReport['databases'][number]['state'], string>> = {
  new: 'is made',
  empty: 'is there, and empty',
  existing: 'is there, and not empty',
  begun: 'was begun by a run before',
};

function reportLines(report: PostgresRestoreReport, durationMs: number): string[] {
  const { snapshot, place, sourceVersion, targetVersion, programVersion, needs, roles, tablespaces } = report;
  return [
    `${snapshot}: ${place} ${report.done ? 'restored' : report.problems.length > 0 ? 'not restored' : 'would be restored'}`,
    `  versions    ${sourceVersion} to ${targetVersion}, by pg_restore ${programVersion} as ${report.user}`,
    ...report.databases.map(
      ({ name, target, state, tables, rows, sizeBytes, largeObjects, extensions }) =>
        `  database    ${name}${target === name ? '' : ` into ${target}`} (${report.done ? 'done' : STATES[state]}): ` +
        `${formatCount(tables, 'table')}, ${rows} rows, ${formatBytes(sizeBytes)}` +
        `${largeObjects === 0 ? '' : `, ${largeObjects} large objects`}` +
        `${extensions.length === 0 ? '' : `; extensions ${extensions.map((one) => one.name + (one.available === undefined ? ' (MISSING)' : '')).join(', ')}`}`,
    ),
    ...(roles.length === 0 ? [] : [`  roles       ${roles.join(', ')}`]),
    ...(tablespaces.length === 0 ? [] : [`  tablespaces ${tablespaces.join(', ')}`]),
    ...needs.map(
      ({ allowance, name, database, isAllowed }) =>
        `  needs       --allow ${allowance}: ${name}${database === undefined ? '' : ` in ${database}`}${isAllowed ? '' : ' (NOT ALLOWED)'}`,
    ),
    ...report.notes.map((note) => `  note        ${note}`),
    ...report.differences.map(
      ({ database, kind, name, what }) => `  DIFFERENT   ${database ?? 'server'}: ${kind} ${name} ${what}`,
    ),
    ...(report.done ? [`  took        ${formatDuration(durationMs)}`] : []),
  ];
}
