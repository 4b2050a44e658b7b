import { defineCommand, flag } from '../arguments.ts';
import { formatBytes, formatCount, formatDuration } from '../output-units.ts';
import { repositoryOptions, repositorySignerOptions, signerOf } from './repository-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

export const spec = defineCommand({
  name: 'prune',
  summary: 'delete what no snapshot names',
  description:
    'Marks what no snapshot names, and deletes what was marked more than 48 hours ago by the storage’s clock: twice the ' +
    'longest that a run may take, so that no run builds on it any more. Opens nothing, and needs no identity. Run it every ' +
    'day; what is marked today goes the day after tomorrow.',
  arguments: {},
  options: {
    plan: flag({ description: 'show what would be marked and deleted; change nothing' }),
    acceptMissing: flag({
      description: 'go on although snapshots are gone without a stub: what they named is deleted',
    }),
    ...repositorySignerOptions,
    ...repositoryOptions,
    ...telemetryOptions,
  },
  examples: [
    { command: 'portolan backup prune --repo /srv/backups --plan', note: 'look first' },
    { command: 'portolan backup prune --repo /srv/backups --sign-key pruner.key', note: 'every day' },
  ],
  async run(context, _, values) {
    const { composeBackupPrune } = await import('../../compose/backup.ts');
    const report = await composeBackupPrune({ ...values, signer: signerOf(values, context) }, context);
    const { marked, deleted, kept, waitMs, strangers } = report;
    const total = ({ objects, sizeBytes }: { readonly objects: number; readonly sizeBytes: number }) =>
      `${formatCount(objects, 'object')}, ${formatBytes(sizeBytes)}`;
    const would = values.plan ? 'would be ' : '';
    context.output.result({ ...report, strangers: strangers.length }, () =>
      [
        `${total(deleted)}: ${would}deleted`,
        `${total(marked)}: ${would}marked; deleted after ${formatDuration(waitMs)}`,
        `  named       ${total(kept.named)}`,
        `  young       ${total(kept.young)}: a run may still commit it`,
        `  waiting     ${total(kept.waiting)}: marked not long ago`,
        ...(kept['unreadable-snapshots'].objects === 0 ? [] : [`  in doubt    ${total(kept['unreadable-snapshots'])}`]),
        ...(strangers.length === 0 ? [] : [`  strangers   ${strangers.length}, such as ${strangers[0]}: left alone`]),
      ].join('\n'),
    );
  },
});
