import { defineCommand } from '../arguments.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { repositoryOptions } from './repository-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

export const spec = defineCommand({
  name: 'copy',
  summary: 'copy a repository to another storage',
  description:
    'Copies a repository, sealed as it is, to an empty place or onto an older copy. Needs no key: every object is held ' +
    'against the digest that a signed snapshot names. What is there is not copied again, so a copy that was interrupted ' +
    'goes on. Exit status 3: something is damaged here, and was left out.',
  arguments: { target: { description: 'the other repository: a folder or s3://…', complete: 'folder' } },
  options: { ...repositoryOptions, ...telemetryOptions },
  examples: [
    { command: 'portolan backup copy /media/disk/backups --repo /srv/backups', note: 'onto a disk' },
    {
      command: "portolan backup copy 's3://far/backups?endpoint=https://s3.example' --repo /srv/backups",
      note: 'to another site',
    },
  ],
  async run(context, { target }, options) {
    const { composeBackupCopy } = await import('../../compose/backup.ts');
    const { throwProblems } = await import('../../core/errors.ts');
    const { errorFields } = await import('../output-errors.ts');
    const { problems, ...report } = await composeBackupCopy(options, target, context);
    context.output.result({ ...report, problems: problems.map(errorFields) }, () =>
      [
        `${report.from}: copied to ${report.to}`,
        `  snapshots   ${report.copiedSnapshots} of ${report.snapshots} were new`,
        `  wrote       ${formatCount(report.copiedObjects, 'object')}, ${formatBytes(report.copiedBytes)}`,
      ].join('\n'),
    );
    throwProblems(problems);
  },
});
