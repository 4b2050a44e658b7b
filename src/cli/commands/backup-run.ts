import { defineCommand, flag, integer, list, path, pathList, text } from '../arguments.ts';
import { formatBytes, formatCount, formatDuration } from '../output-units.ts';
import { durationOf } from './duration-option.ts';
import {
  repoOption,
  repositorySignerOptions,
  repositoryStateOption,
  signerOf,
  storageOptions,
  tagOption,
} from './repository-options.ts';
import { droppedLines, rolesLines } from './roles-text.ts';
import { caFileOption, databasePasswordFileOption, waitLockOption } from './shared-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

export const spec = defineCommand({
  name: 'run',
  summary: 'back up databases and folders into a repository',
  description:
    'Backs up everything that is named as one snapshot, which appears when all of it is stored. Only what changed since ' +
    'the last snapshot is written. What this machine holds opens no backup. Killed anywhere, the next run goes on from ' +
    'the last snapshot. It must not take longer than 24 hours. With a service account, where the root names an identity ' +
    'provider, readers who enrolled there and lost their role are left out; where it does not answer, nobody is, with a warning.',
  arguments: {},
  options: {
    repo: repoOption,
    database: list({
      value: 'URL',
      description: 'postgres://USER@HOST:PORT/NAME, without a password; repeatable',
    }),
    allDatabases: flag({ description: 'all databases of these servers, not only the ones named' }),
    databasePasswordFile: databasePasswordFileOption,
    databaseCaFile: caFileOption('the database is'),
    excludeSchema: list({ value: 'PATTERN', description: 'leave a schema out, such as audit or tmp_*; repeatable' }),
    excludeTable: list({ value: 'PATTERN', description: 'leave a table out: SCHEMA.TABLE, with * and ?; repeatable' }),
    excludeRows: list({
      value: 'PATTERN',
      description: 'leave the rows of a table out, and keep its definition; repeatable',
    }),
    files: pathList({ value: 'DIR', complete: 'folder', description: 'folder with everything in it; repeatable' }),
    excludeFiles: list({
      value: 'PATTERN',
      description: 'leave files and folders out, such as *.tmp or cache/**; repeatable',
    }),
    oneFileSystem: flag({ description: 'leave out what is mounted below these folders' }),
    rereadFiles: flag({ description: 'read files too whose size, times and inode are those of the run before' }),
    profile: text({ value: 'NAME', choices: ['supabase'], description: 'what the server is besides PostgreSQL' }),
    pgBin: path({
      value: 'DIR',
      complete: 'folder',
      description: 'folder with pg_dump and pg_dumpall; by default they are looked for by the server’s version',
    }),
    writerKey: path({
      value: 'FILE',
      description: 'the key file of the writer; without it what `backup init` left here',
    }),
    minimumEpoch: integer({
      value: 'N',
      minimum: 1,
      maximum: 99_999_999,
      description: 'believe no roster before this epoch: for machines that keep no state between runs',
    }),
    ...repositorySignerOptions,
    tag: tagOption,
    hold: flag({ description: 'never forget this snapshot' }),
    full: flag({ description: 'write everything afresh, whatever is there' }),
    fullEvery: text({
      value: 'TIME',
      description: 'write everything afresh when the last full run is so long ago, such as 30d',
    }),
    rolesMaxAge: text({
      value: 'TIME',
      defaultValue: '7d',
      description: 'warn when the identity provider has not said for so long who still holds the role of a reader',
    }),
    waitLock: waitLockOption('how long another run of the same writer on this machine is waited for'),
    state: repositoryStateOption,
    ...storageOptions,
    ...telemetryOptions,
  },
  examples: [
    {
      command:
        'portolan backup run --repo /srv/backups --database postgres://backup@127.0.0.1:5432/shop --full-every 30d',
      note: 'every night',
    },
    {
      command: "portolan backup run --repo /srv/backups --files /srv/uploads --exclude-files '*.tmp'",
      note: 'a folder; several of both kinds may be named',
    },
    {
      command:
        'portolan backup run --repo /srv/backups --database postgres://postgres@db/postgres --all-databases --tag before-upgrade --hold',
      note: 'before something risky',
    },
    {
      command:
        'portolan backup run --repo /srv/backups --database postgres://backup@127.0.0.1/shop --service-key writer-key.json',
      note: 'not for readers who lost their role in ZITADEL',
    },
  ],
  async run(context, _, values) {
    const { composeBackupRun } = await import('../../compose/backup-run.ts');
    const { databaseRequestOf } = await import('./database-options.ts');
    const { VERSION } = await import('../version.ts');
    const database = { databasePasswordFile: values.databasePasswordFile, caFile: values.databaseCaFile };
    const outcome = await composeBackupRun(
      {
        ...values,
        databases: await Promise.all(
          values.database.map((url) => databaseRequestOf(url, database, 'portolan backup', context)),
        ),
        excludeSchemas: values.excludeSchema,
        excludeTables: values.excludeTable,
        profile: values.profile === 'supabase' ? values.profile : undefined,
        signer: signerOf(values, context),
        tags: values.tag,
        fullEveryMs: values.fullEvery === undefined ? undefined : durationOf('full-every', values.fullEvery),
        program: VERSION,
        lockWaitMs: values.waitLock * 1000,
        rolesMaxAgeMs: durationOf('roles-max-age', values.rolesMaxAge),
      },
      context,
    );
    const { writer, sequence, sources } = outcome;
    for (const { collapses = [] } of sources) for (const collapse of collapses) context.progress.warn(collapse);
    const share = outcome.sizeBytes === 0 ? 0 : Math.round((100 * outcome.reusedBytes) / outcome.sizeBytes);
    context.output.result({ ...outcome, snapshot: `${writer}/${sequence}`, digest: outcome.snapshot }, () =>
      [
        `${writer}/${sequence}: backed up to ${outcome.place}${outcome.full ? ' (full)' : ''}`,
        ...sources.map(
          ({ place, items, rows, kind, sizeBytes }) =>
            `  ${kind.padEnd(11)} ${place}: ${formatCount(items, kind === 'postgres' ? 'table' : 'file')}${rows === undefined ? '' : `, ${rows} rows`}, ${formatBytes(sizeBytes)}`,
        ),
        ...sources.flatMap(({ notes }) => notes.map((note) => `  note        ${note}`)),
        `  size        ${formatBytes(outcome.sizeBytes)}, of which ${share} % was there already`,
        `  stored      ${formatBytes(outcome.storedBytes)} in ${formatCount(outcome.newPacks, 'new pack')}`,
        `  readers     ${outcome.recipients.length}`,
        ...droppedLines(outcome.dropped),
        ...rolesLines(outcome),
        `  took        ${formatDuration(outcome.durationMs)}`,
      ].join('\n'),
    );
  },
});
