import type { AuditReport } from '../../compose/audit.ts';
import type { RecordedWork } from '../../usecases/audit/look-into-journal.ts';
import { defineCommand } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatCount } from '../output-units.ts';
import { actorText, auditStateOption, recordTeller, throwFindings } from './audit-options.ts';

export const spec = defineCommand({
  name: 'list',
  summary: 'list who restored what',
  description:
    'Lists the restores and drills that this machine recorded. What has no end is under way, or was killed. With --json each signed ' +
    'record is an event of its own: keep them elsewhere, `portolan audit verify FILE` takes them.',
  arguments: {},
  options: { state: auditStateOption },
  examples: [
    { command: 'portolan audit list', note: 'who, when, what' },
    { command: 'portolan audit list --json > records.jsonl', note: 'to be kept on another machine' },
  ],
  async run(context, _, { state }) {
    const { composeAudit } = await import('../../compose/audit.ts');
    const { formatHead } = await import('../../formats/audit/journal.ts');
    const report = await composeAudit({ state }, context);
    const { place, entries, works, findings, head } = report;
    const tell = await recordTeller(context);
    for (const { record, bytes } of entries) tell(record, bytes);
    const fields = {
      ...{ place, records: entries.length, open: works.filter(({ outcome }) => outcome === 'open').length },
      ...{ head: head && formatHead(head), findings: findings.map(({ code, message }) => ({ code, message })) },
    };
    context.output.result(fields, () => listText(report));
    await throwFindings(report);
  },
});

function listText({ place, works }: AuditReport): string {
  if (works.length === 0) return `${place}: nothing was recorded`;
  const columns = ['record', 'begun', 'outcome', 'what', 'snapshot', 'who', 'target'].map((title) => ({ title }));
  return [
    formatTable(columns, works.map(rowOf)),
    `${formatCount(works.length, 'record')} of work in ${place}; times are UTC`,
  ].join('\n');
}

function rowOf({ begin, outcome, end }: RecordedWork): string[] {
  const { sequence, time, what, snapshot, selection, target } = begin;
  const part = Object.entries(selection).map(([option, values]) => ` --${option} ${values.join(', ')}`);
  return [
    String(sequence),
    time.slice(0, 19).replace('T', ' '),
    outcome === 'open' ? 'NO END' : outcome === 'failed' ? `failed: ${end?.code}` : outcome,
    what,
    `${snapshot.writer}/${snapshot.sequence}${part.join('')}`,
    actorText(begin),
    target,
  ];
}
