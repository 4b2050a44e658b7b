import { defineCommand, flag } from '../arguments.ts';
import { carriedHelmOption } from './shared-options.ts';
import { targetOptions, targetOptionsOf, waitOptions, waitsOf } from './target-options.ts';

export const spec = defineCommand({
  name: 'remove',
  summary: 'take a bundle out of a cluster',
  description:
    'Uninstalls the releases of a bundle, app charts first, and removes its configuration. Volumes and what charts ask to ' +
    'be kept stay, unless --delete-data is given. Its images stay until `bundle gc`.',
  arguments: { name: { description: 'name of the bundle, without its version', complete: 'none' } },
  options: {
    deleteData: flag({ description: 'delete its volumes as well, and the Secrets that go with them' }),
    ...targetOptions,
    helm: carriedHelmOption,
    ...waitOptions,
  },
  examples: [{ command: 'portolan bundle remove cms', note: 'its data stays' }],
  async run(context, { name }, { deleteData, ...values }) {
    const { composeRemove } = await import('../../compose/manage-bundles.ts');
    const report = await composeRemove(
      name,
      { ...targetOptionsOf(values), ...waitsOf(values), helm: values.helm, deleteData },
      context,
    );
    context.output.result({ ...report }, () =>
      [
        `${name}: removed`,
        ...report.releases.map((release) => `  release     ${release}`),
        ...report.deleted.map((object) => `  deleted     ${object}`),
        ...report.kept.map((object) => `  kept        ${object}`),
      ].join('\n'),
    );
  },
});
