import { defineCommand, path } from '../arguments.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { recordTeller } from './audit-options.ts';
import { checkpointOption, repositoryOptions, signerOf, snapshotArgument } from './repository-options.ts';
import { identityOption, passwordFileOption } from './shared-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

export const spec = defineCommand({
  name: 'drill',
  summary: 'restore a snapshot into a server that is thrown away',
  description:
    'Starts a PostgreSQL server of the same major version, restores the newest snapshot into it, compares everything with ' +
    'what was recorded when it was backed up, asks your own questions, and signs the result as a verifier. Server and data ' +
    'are gone when it ends, however it ends. Exit status 3: the snapshot is not right. Needs the programs of PostgreSQL, and ' +
    'room for the databases. What is restored may run functions: see docs/threats.md before you choose the machine.',
  arguments: {
    snapshot: { description: `${snapshotArgument.description}; without it the latest`, optional: true },
  },
  options: {
    identity: { ...identityOption, required: true },
    signKey: path({
      value: 'FILE',
      description: "a verifier's encrypted cosign private key; without it the one that `backup init` was given",
    }),
    passwordFile: passwordFileOption,
    checks: path({
      value: 'FILE',
      description: 'SQL: for each check one query whose only row has one boolean, below a comment that names it',
    }),
    pgBin: path({
      value: 'DIR',
      complete: 'folder',
      description: 'folder with postgres, initdb, pg_restore; by default they are looked for by the version',
    }),
    workDir: path({
      value: 'DIR',
      complete: 'folder',
      description: 'folder for the server and its data; by default the system’s for temporary files',
    }),
    ...repositoryOptions,
    checkpoint: checkpointOption,
    ...telemetryOptions,
  },
  examples: [
    {
      command: 'portolan backup drill --repo /srv/backups -i verifier.txt --sign-key verifier.key --checks checks.sql',
      note: 'the newest snapshot, every week',
    },
    { command: 'portolan backup drill db-1/7 --repo /srv/backups -i verifier.txt', note: 'a certain one' },
  ],
  async run(context, { snapshot = 'latest' }, { identity, signKey, passwordFile, ...values }) {
    const { VERSION } = await import('../version.ts');
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeBackupDrill } = await import('../../compose/backup-drill.ts');
    const { throwProblems } = await import('../../core/errors.ts');
    const { UseCaseError } = await import('../../usecases/errors.ts');
    const { errorFields } = await import('../output-errors.ts');
    const report = await composeBackupDrill(
      {
        ...values,
        snapshot,
        identities: await readIdentities(identity, context.askSecret),
        signer: signerOf({ signKey, passwordFile }, context),
        program: VERSION,
        onRecord: await recordTeller(context),
      },
      context,
    );
    const { servers, checks, problems, otherProblems, otherChunks } = report;
    for (const note of servers.flatMap(({ notes }) => notes)) context.progress.note(note);
    const ok = problems.length === 0 && otherProblems.length === 0;
    const fields = {
      ...report,
      ok,
      problems: problems.map(errorFields),
      otherProblems: otherProblems.map(errorFields),
    };
    context.output.result(fields, () =>
      [
        `${report.snapshot}: ${problems.length === 0 ? 'restored, and all is as it was' : formatCount(problems.length, 'problem')}`,
        ...servers.flatMap(({ place, version, databases }) => [
          `  server      ${place}, in PostgreSQL ${version}`,
          ...databases.map(
            ({ name, tables, rows, sizeBytes }) =>
              `  database    ${name}: ${formatCount(tables, 'table')}, ${rows} rows, ${formatBytes(sizeBytes)}`,
          ),
        ]),
        ...checks.map(({ name, ok: isTrue }) => `  ${(isTrue ? 'true' : 'NOT TRUE').padEnd(11)} ${name}`),
        ...(otherChunks === 0 ? [] : [`  opened      ${formatCount(otherChunks, 'chunk')} of files`]),
        `  signed      ${report.signed ?? 'nothing: something else of the repository is not right'}`,
      ].join('\n'),
    );
    if (problems.length > 0) {
      throw new UseCaseError('DRILL_FAILED', `${report.snapshot} is not right`, {
        hint: 'Restore another snapshot until this is explained.',
        others: [...problems, ...otherProblems],
      });
    }
    throwProblems(otherProblems);
  },
});
