import type { AuditReport } from '../../compose/audit.ts';
import { defineCommand, path, text } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { formatCount } from '../output-units.ts';
import { auditStateOption, throwFindings } from './audit-options.ts';

export const spec = defineCommand({
  name: 'verify',
  summary: 'check that the journal is what was written',
  description:
    'Checks the signature of every record and that none is missing, replaced or out of its place. Whoever owns the machine can cut the ' +
    'end off or write the whole afresh: --head and --key, noted elsewhere, tell that too. Exit status 3 when something is not right.',
  arguments: {
    file: { description: 'what `audit list --json` printed, instead of the journal of this machine', optional: true },
  },
  options: {
    state: auditStateOption,
    key: path({ value: 'FILE', description: 'public key by which the records must be signed (PEM)' }),
    head: text({ value: 'SEQUENCE:DIGEST', description: 'a record that was the last one when somebody looked before' }),
  },
  examples: [
    { command: 'portolan audit verify', note: 'the journal of this machine' },
    { command: 'portolan audit verify records.jsonl --key machine.pub', note: 'records that were kept elsewhere' },
  ],
  async run(context, { file }, { state, key, head }) {
    const { composeAudit } = await import('../../compose/audit.ts');
    const { formatHead, parseHead } = await import('../../formats/audit/journal.ts');
    const seen = head === undefined ? undefined : parseHead(head);
    if (head !== undefined && seen === undefined) {
      throw new UsageError('USAGE', '--head is not the head of a journal', {
        expected: 'SEQUENCE:DIGEST, as `portolan audit verify` prints it',
        found: head,
        hint: 'Copy it whole.',
      });
    }
    const report = await composeAudit({ file, state, key, head: seen }, context);
    const { place, entries, works, findings, keys } = report;
    const fields = {
      ...{ place, records: entries.length, open: works.filter(({ outcome }) => outcome === 'open').length },
      head: report.head && formatHead(report.head),
      isKeyKnown: report.isKeyKnown,
      publicKeys: keys.map(({ publicKey }) => publicKey.export({ type: 'spki', format: 'pem' })),
      findings: findings.map(({ code, message, at }) => ({ code, message, at })),
    };
    context.output.result(fields, () => verifyText(report, fields.head));
    await throwFindings(report);
  },
});

function verifyText(
  { place, entries, works, keys, isKeyKnown, findings }: AuditReport,
  head: string | undefined,
): string {
  const open = works.filter(({ outcome }) => outcome === 'open').length;
  const ended = open === 0 ? 'each has an end' : `${open} without an end`;
  return [
    `${place}: ${formatCount(entries.length, 'record')}${findings.length === 0 ? ', signed and in their order' : ''}`,
    `  work   ${works.length}, ${ended}`,
    ...keys.map(({ keyHint }) => `  key    ${keyHint}${isKeyKnown ? '' : ' (as the first record says: compare it)'}`),
    ...(head === undefined ? [] : [`  head   ${head}`]),
  ].join('\n');
}
