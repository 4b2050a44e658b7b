import { defineCommand, flag, integer, list, text } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatCount } from '../output-units.ts';
import { durationOf } from './duration-option.ts';
import { acceptOption, copiedOption, holdReasonsOf, perDayOption } from './hold-options.ts';
import { repositoryOptions, repositorySignerOptions, signerOf } from './repository-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

const count = (what: string) => integer({ value: 'N', minimum: 1, description: `keep the newest of ${what}` });

export const spec = defineCommand({
  name: 'forget',
  summary: 'forget snapshots that a schedule does not keep',
  description:
    'Keeps what a rule asks for, of each writer, and forgets the rest: a signed stub remains, so that nobody takes it for ' +
    'lost. The newest is kept, what is on hold, what is younger than --floor and, where the roster has verifiers, what none ' +
    'of them looked at yet. A chain that looks wrong is held as it is. The space is freed by `backup prune`.',
  arguments: { snapshots: { description: 'WRITER/SEQUENCE, to be forgotten by name', optional: true, variadic: true } },
  options: {
    keepLast: integer({ value: 'N', minimum: 1, description: 'keep the N newest' }),
    keepHourly: count('N hours'),
    keepDaily: count('N days'),
    keepWeekly: count('N weeks'),
    keepMonthly: count('N months'),
    keepYearly: count('N years'),
    keepWithin: text({ value: 'TIME', description: 'keep all that is not older, such as 14d' }),
    keepTag: list({ value: 'TAG', description: 'keep all with this tag; repeatable' }),
    floor: text({ value: 'TIME', defaultValue: '1d', description: 'forget nothing that is younger' }),
    perDay: perDayOption,
    writer: list({ value: 'NAME', description: 'only this writer; repeatable' }),
    accept: acceptOption('forget although a chain is held'),
    evenHeld: flag({ description: 'with SNAPSHOTS: forget them even when they are on hold' }),
    acceptMissing: flag({ description: 'go on although snapshots are gone without a stub' }),
    copied: copiedOption,
    plan: flag({ description: 'show what would be forgotten, and why the rest stays; change nothing' }),
    ...repositorySignerOptions,
    ...repositoryOptions,
    ...telemetryOptions,
  },
  examples: [
    {
      command: 'portolan backup forget --repo /srv/backups --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --plan',
      note: 'look first',
    },
    { command: 'portolan backup forget db-1/3 --repo /srv/backups', note: 'one snapshot' },
  ],
  async run(context, { snapshots }, values) {
    const { composeBackupForget } = await import('../../compose/backup.ts');
    const { UsageError } = await import('../errors.ts');
    const named = snapshots ?? [];
    const policy = policyOf(values);
    if (policy === undefined && named.length === 0) {
      throw new UsageError('USAGE', 'nothing says what to keep', {
        hint: 'Give rules such as --keep-daily 7 --keep-weekly 4, or name snapshots.',
      });
    }
    const accept = holdReasonsOf(values.accept);
    const report = await composeBackupForget(
      {
        ...values,
        policy,
        named,
        accept,
        writers: values.writer,
        signer: signerOf(values, context),
      },
      context,
    );
    for (const { writer, reason, sequences } of report.held) {
      context.progress.warn(
        `${writer} is held: ${reason} (${formatCount(sequences.length, 'snapshot')}, such as ${sequences[0]}); look at it, then --accept ${reason}`,
      );
    }
    const rows = [
      ...report.forgotten.map(({ snapshot, time }) => [
        snapshot,
        timeText(time),
        values.plan ? 'forget' : 'forgotten',
        '',
      ]),
      // By names alone nothing is decided about the others.
      ...(policy === undefined ? [] : report.kept).map(({ snapshot, time, reasons }) => [
        ...[snapshot, timeText(time), 'keep', reasons.join(', ')],
      ]),
    ];
    const columns = [{ title: 'snapshot' }, { title: 'time' }, { title: 'what' }, { title: 'why' }];
    context.output.result({ ...report }, () =>
      [
        ...(rows.length === 0 ? [] : [formatTable(columns, rows)]),
        `${formatCount(report.forgotten.length, 'snapshot')} ${values.plan ? 'would be ' : ''}forgotten, ${report.kept.length} kept`,
      ].join('\n'),
    );
  },
});

function timeText(time: Date): string {
  return time.toISOString().slice(0, 19).replace('T', ' ');
}

interface PolicyValues {
  readonly keepLast: number | undefined;
  readonly keepHourly: number | undefined;
  readonly keepDaily: number | undefined;
  readonly keepWeekly: number | undefined;
  readonly keepMonthly: number | undefined;
  readonly keepYearly: number | undefined;
  readonly keepWithin: string | undefined;
  readonly keepTag: readonly string[];
  readonly floor: string;
  readonly perDay: number | undefined;
}

/** `undefined` when no rule was given. */
function policyOf(values: PolicyValues) {
  const slots = {
    ...(values.keepLast === undefined ? {} : { last: values.keepLast }),
    ...(values.keepHourly === undefined ? {} : { hourly: values.keepHourly }),
    ...(values.keepDaily === undefined ? {} : { daily: values.keepDaily }),
    ...(values.keepWeekly === undefined ? {} : { weekly: values.keepWeekly }),
    ...(values.keepMonthly === undefined ? {} : { monthly: values.keepMonthly }),
    ...(values.keepYearly === undefined ? {} : { yearly: values.keepYearly }),
    ...(values.keepWithin === undefined ? {} : { withinMs: durationOf('keep-within', values.keepWithin) }),
    ...(values.keepTag.length === 0 ? {} : { tags: values.keepTag }),
  };
  if (Object.keys(slots).length === 0) return undefined;
  return {
    ...slots,
    floorMs: durationOf('floor', values.floor),
    ...(values.perDay === undefined ? {} : { perDay: values.perDay }),
  };
}
