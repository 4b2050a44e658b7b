import { defineCommand } from '../arguments.ts';
import { caFileOption, carriedHelmOption } from './shared-options.ts';
import { databaseOf, databaseOptions, targetOptions, targetOptionsOf, waitOptions, waitsOf } from './target-options.ts';

export const spec = defineCommand({
  name: 'rollback',
  summary: 'go back to the former release of a bundle',
  description:
    'Takes the charts back to the former release, app charts first, and its configuration with them. Tables stay. It is ' +
    'refused once a contract migration ran that the former release does not know.',
  arguments: { name: { description: 'name of the bundle, without its version', complete: 'none' } },
  options: {
    ...targetOptions,
    ...databaseOptions,
    caFile: caFileOption('the database is'),
    helm: carriedHelmOption,
    ...waitOptions,
  },
  examples: [{ command: 'portolan bundle rollback cms', note: 'after an upgrade that went wrong' }],
  async run(context, { name }, values) {
    const { composeRollback } = await import('../../compose/manage-bundles.ts');
    const database = await databaseOf(values, context);
    const report = await composeRollback(
      name,
      { ...targetOptionsOf(values), ...waitsOf(values), helm: values.helm, database },
      context,
    );
    context.output.result({ ...report }, () =>
      [
        `${name}: back from ${report.from.version} to ${report.to.version}`,
        ...report.charts.map(
          ({ namespace, release, revision }) => `  release     ${namespace}/${release}, revision ${revision}`,
        ),
        ...report.removed.map((release) => `  removed     ${release}`),
      ].join('\n'),
    );
  },
});
