import { defineCommand, text } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { repositoryOptions } from './repository-options.ts';

export const spec = defineCommand({
  name: 'list',
  summary: 'list the snapshots',
  description:
    'Lists the snapshots of all writers, each with its signature and its chain verified. Needs no key. Exit status 3: ' +
    'something of a chain is missing, forged or another than was seen before.',
  arguments: {},
  options: {
    ...repositoryOptions,
    writer: text({ value: 'NAME', description: 'only this writer' }),
  },
  examples: [{ command: 'portolan backup list --repo /srv/backups', note: 'what is there' }],
  async run(context, _, values) {
    const { composeBackupList } = await import('../../compose/backup.ts');
    const { throwProblems } = await import('../../core/errors.ts');
    const { problems, ...report } = await composeBackupList(values, context);
    const snapshots = report.writers.flatMap((writer) => writer.snapshots);
    const forgotten = report.writers.reduce((sum, writer) => sum + writer.forgotten, 0);
    const columns = [
      { title: 'snapshot' },
      { title: 'time' },
      { title: 'stored', align: 'right' },
      { title: 'packs', align: 'right' },
      { title: 'verified' },
      { title: 'notes' },
    ] as const;
    const rows = snapshots.map((one) => [
      `${one.writer}/${one.sequence}`,
      one.storageTime.slice(0, 19).replace('T', ' '),
      formatBytes(one.storedBytes),
      String(one.packs),
      one.verified === undefined ? '-' : one.verified ? 'good' : 'BAD',
      [
        one.full ? 'full' : '',
        one.hold ? 'hold' : '',
        one.collapsed ? 'collapsed' : '',
        one.isForgotten ? 'being forgotten' : '',
        one.dropped.length > 0 ? `not to ${one.dropped.length}` : '',
        one.identityProvider === undefined || one.identityProvider.state === 'answered'
          ? ''
          : `roles ${one.identityProvider.state}`,
        ...one.tags,
      ]
        .filter(Boolean)
        .join(', '),
    ]);
    context.output.result({ ...report, problems: problems.map(({ code }) => code) }, () =>
      [
        snapshots.length === 0 ? 'No snapshots.' : formatTable(columns, rows),
        `${formatCount(snapshots.length, 'snapshot')}${forgotten === 0 ? '' : `, ${forgotten} forgotten`}; times are UTC`,
      ].join('\n'),
    );
    throwProblems(problems);
  },
});
