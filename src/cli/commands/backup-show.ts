import { defineCommand } from '../arguments.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { repositoryOptions, snapshotArgument } from './repository-options.ts';
import { droppedLines, rolesLines } from './roles-text.ts';
import { identityOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'show',
  summary: 'show one snapshot',
  description:
    'Shows what a snapshot says of itself: when, by whom, to whom it is sealed, what it takes. With an identity also what ' +
    'it holds.',
  arguments: { snapshot: snapshotArgument },
  options: { identity: identityOption, ...repositoryOptions },
  examples: [
    { command: 'portolan backup show latest --repo /srv/backups', note: 'without a key' },
    { command: 'portolan backup show db-1/7 --repo /srv/backups -i key.txt', note: 'with what is sealed' },
  ],
  async run(context, { snapshot }, { identity, ...options }) {
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeBackupShow } = await import('../../compose/backup.ts');
    const { throwProblems } = await import('../../core/errors.ts');
    const identities = await readIdentities(identity, context.askSecret);
    const { problems, details, ...report } = await composeBackupShow(options, snapshot, identities, context);
    const flags = [
      report.full ? 'full' : '',
      report.hold ? 'hold' : '',
      report.collapsed ? 'collapsed' : '',
      ...report.tags,
    ];
    context.output.result({ ...report, details, problems: problems.map(({ code }) => code) }, () =>
      [
        `${report.writer}/${report.sequence}`,
        `  run         ${report.run}`,
        `  digest      ${report.digest}`,
        `  started     ${report.started}`,
        `  finished    ${report.finished} (storage: ${report.storageTime})`,
        `  notes       ${flags.filter(Boolean).join(', ') || '-'}`,
        `  verified    ${report.verified === undefined ? 'by nobody' : report.verified ? 'good' : 'BAD'}`,
        `  sealed to   ${report.recipientNames.join(', ')} (epoch ${report.epoch})`,
        ...droppedLines(report.dropped),
        ...rolesLines(report),
        `  packs       ${report.packs}, ${formatBytes(report.storedBytes)}, of ${formatCount(report.runs.length, 'run')}`,
        ...(details === undefined
          ? []
          : [
              `  host        ${details.host} (portolan ${details.program})`,
              ...details.sources.flatMap(({ kind, name, place, items, rows, sizeBytes, notes }) => [
                `  ${kind.padEnd(11)} ${name}: ${place}, ${formatCount(items, kind === 'postgres' ? 'table' : 'file')}${rows === undefined ? '' : `, ${rows} rows`}, ${formatBytes(sizeBytes)}`,
                ...notes.map((note) => `              ${note}`),
              ]),
            ]),
      ].join('\n'),
    );
    throwProblems(problems);
  },
});
