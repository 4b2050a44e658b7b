import type { Reader } from '../../usecases/repository/readers.ts';
import { defineCommand } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatCount } from '../output-units.ts';
import { repositoryOptions } from './repository-options.ts';
import { keyRows, rosterHead, sharedLines } from './roster-text.ts';

export const spec = defineCommand({
  name: 'list',
  summary: 'list who may do what, and who opens which snapshots',
  description:
    'Lists the newest epoch of the roster, after all its signatures were checked, and how many of the live snapshots each reader ' +
    'opens: also readers who were taken off, to whom older ones stay open. Needs no key.',
  arguments: {},
  options: repositoryOptions,
  examples: [{ command: 'portolan keys list --repo /srv/backups', note: 'who reads, who writes' }],
  async run(context, _, options) {
    const { composeKeysList } = await import('../../compose/repository-keys.ts');
    const { throwProblems } = await import('../../core/errors.ts');
    const { problems, ...report } = await composeKeysList(options, context);
    context.output.result({ ...report, problems: problems.map(({ code }) => code) }, () => {
      const columns = ['role', 'name', 'key', 'opens', 'notes'].map((title) => ({ title }));
      const rows = [
        ...report.readers.map((reader) => readerRow(reader, report.snapshots)),
        ...keyRows(report).map(([role = '', name = '', key = '']) => [role, name, key]),
      ];
      return [
        rosterHead(report),
        formatTable(columns, rows),
        `${formatCount(report.snapshots, 'snapshot')}`,
        ...sharedLines(report),
      ].join('\n');
    });
    throwProblems(problems);
  },
});

function readerRow({ role, name, recipient, snapshots, ranges, notAfter, subject, evidence }: Reader, all: number) {
  const which = ranges.map(({ writer, first, last }) => `${writer} ${first === last ? first : `${first}-${last}`}`);
  const notes = [
    ...(notAfter === undefined ? [] : [`until ${notAfter.slice(0, 16).replace('T', ' ')}`]),
    ...(subject === undefined ? [] : [`${subject} (evidence ${evidence})`]),
  ];
  const opens = snapshots === 0 ? 'none' : `${snapshots} of ${all}: ${which.join(', ')}`;
  return [role, name, `${recipient.slice(0, 24)}…${recipient.slice(-8)}`, opens, notes.join('; ')];
}
