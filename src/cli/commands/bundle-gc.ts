import { defineCommand, flag } from '../arguments.ts';
import { formatCount } from '../output-units.ts';
import { caFileOption } from './shared-options.ts';
import { targetOptions, targetOptionsOf, waitOptions } from './target-options.ts';

export const spec = defineCommand({
  name: 'gc',
  summary: 'take away images that no release needs',
  description:
    'Takes away images that imports brought and that neither the present nor the former release of any bundle names. Pinned ' +
    'images are never collected by the kubelet, so they fill disks until this is done.',
  arguments: {},
  options: {
    dryRun: flag({ description: 'show what would be taken away; change nothing' }),
    ...targetOptions,
    caFile: caFileOption('registries (beside the system’s) are'),
    waitLock: waitOptions.waitLock,
  },
  examples: [{ command: 'portolan bundle gc --dry-run', note: 'look first' }],
  async run(context, _, { dryRun, caFile, ...values }) {
    const { composeGc } = await import('../../compose/manage-bundles.ts');
    const lockWaitMs = values.waitLock * 1000;
    const report = await composeGc({ ...targetOptionsOf(values), lockWaitMs, dryRun, caFile }, context);
    context.output.result({ ...report, dryRun }, () =>
      [
        `${formatCount(report.removed.length, 'image')} ${dryRun ? 'would be' : 'were'} taken away`,
        ...report.removed.map(({ target, reference }) => `  ${target}  ${reference}`),
        ...report.cleared.map((what) => `  cleared     ${what}`),
      ].join('\n'),
    );
  },
});
