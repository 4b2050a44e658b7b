import type { TargetStatus } from '../../compose/manage-bundles.ts';
import { defineCommand } from '../arguments.ts';
import { formatCount } from '../output-units.ts';
import { carriedHelmOption } from './shared-options.ts';
import { targetOptions, targetOptionsOf } from './target-options.ts';

export const spec = defineCommand({
  name: 'status',
  summary: 'what is installed at a target',
  description:
    'Shows the bundles of a target: what runs, what a rollback would go back to, which contract migrations wait, and what ' +
    'helm says of each release now. Exit status 3: an import did not come to its end, or a release is not as imported.',
  arguments: {},
  options: { ...targetOptions, helm: carriedHelmOption },
  examples: [{ command: 'portolan bundle status', note: 'of the current context' }],
  async run(context, _, values) {
    const { composeStatus } = await import('../../compose/manage-bundles.ts');
    const { UseCaseError } = await import('../../usecases/errors.ts');
    const { place, bundles } = await composeStatus({ ...targetOptionsOf(values), helm: values.helm }, context);
    context.output.result({ place, bundles }, () =>
      [place, ...(bundles.length === 0 ? ['  nothing is installed'] : bundles.flatMap(linesOf))].join('\n'),
    );
    const bad = bundles.filter(
      ({ running, charts }) => running !== undefined || charts.some(({ asImported }) => asImported === false),
    );
    if (bad.length === 0) return;
    throw new UseCaseError('TARGET_NOT_RIGHT', `${bad.map(({ name }) => name).join(', ')}: not as imported`, {
      hint: 'Import the same bundle again: it does what is missing.',
    });
  },
});

function linesOf({ name, applied, former, running, charts, idleImages }: TargetStatus['bundles'][number]): string[] {
  return [
    applied === undefined
      ? `${name}: not installed`
      : `${name} ${applied.version} (sequence ${applied.sequence}), imported ${applied.at}: ${applied.parts.join(', ')}`,
    ...(running === undefined
      ? []
      : [
          `  interrupted ${running.what} of ${running.version} by ${running.by}, begun ${running.startedAt}; done: ${running.done.join(', ') || 'nothing'}`,
        ]),
    ...charts.map(
      ({ namespace, release, revision, status }) =>
        `  release     ${namespace}/${release}, revision ${revision}${status === undefined ? '' : `: ${status}`}`,
    ),
    ...(applied?.deferred ?? []).map((file) => `  waits       ${file}`),
    ...(former === undefined ? [] : [`  rollback to ${former.version} (sequence ${former.sequence})`]),
    ...(idleImages === 0 ? [] : [`  idle        ${formatCount(idleImages, 'image')}: see portolan bundle gc`]),
  ];
}
