import { IMPORT_PARTS, type ImportPlan } from '../../usecases/import/types.ts';
import { defineCommand, flag, path, text } from '../arguments.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { planText, tellPlan } from './import-plan-text.ts';
import { onlyOption, partsOf } from './parts-option.ts';
import { bundleArgument, caFileOption, carriedHelmOption, identityOption, trustOption } from './shared-options.ts';
import { databaseOf, databaseOptions, targetOptions, targetOptionsOf, waitOptions, waitsOf } from './target-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

export const spec = defineCommand({
  name: 'import',
  summary: 'bring a bundle into a cluster that has no internet',
  description:
    'Checks everything first and tells all that is wrong at once. Then: images, configuration, data charts until they are ' +
    'ready, migrations, app charts until they are ready, receipt. Only what is missing is sent and done: killed anywhere ' +
    'and run again, it comes to the same end. Nothing is changed while a check fails: exit status 3, or 1 where the target cannot take it.',
  arguments: { bundle: bundleArgument },
  options: {
    trust: trustOption,
    identity: { ...identityOption, required: true },
    plan: flag({ description: 'show what would be done and what stands against it; change nothing' }),
    images: text({
      value: 'TARGET',
      description:
        'containerd, k3s-images[=DIR], registry=HOST[:PORT][/PREFIX] (http:// in front for plain HTTP) or folder=DIR. ' +
        'Default: containerd where k3s runs here',
    }),
    rewriteImages: flag({
      description: 'with a registry: set the values that name images to it, for nodes that take no mirrors',
    }),
    only: onlyOption(IMPORT_PARTS, 'everything'),
    ...targetOptions,
    ...databaseOptions,
    helm: carriedHelmOption,
    caFile: caFileOption('registries (beside the system’s) and the database (instead) are'),
    allowDowngrade: flag({ description: 'import a bundle that is older than one which this target had' }),
    allowOrphans: flag({
      description: 'leave data where it is of which the bundle carries no module or chart any more',
    }),
    receipt: path({
      value: 'FILE',
      description: 'write what the target holds now, signed by the target, and sealed to whom the bundle names',
    }),
    ...waitOptions,
    ...telemetryOptions,
  },
  examples: [
    { command: 'portolan bundle import /media/usb -i key.txt --trust cosign.pub --plan', note: 'look first' },
    { command: 'portolan bundle import /media/usb:cms-1.4.0 -i key.txt --trust cosign.pub', note: 'on a k3s node' },
    {
      command:
        'portolan bundle import /media/usb -i key.txt --trust cosign.pub --images registry=registry.ship:5000 --rewrite-images',
      note: 'for managed nodes',
    },
  ],
  async run(context, { bundle }, values) {
    const { resolve } = await import('node:path');
    const { readIdentities, readTrust } = await import('../../compose/keys.ts');
    const { parseBundleAddress } = await import('../../compose/bundle-medium.ts');
    const { composeImport, composeImportPlan } = await import('../../compose/import.ts');
    const { refuseProblems } = await import('../../usecases/refuse.ts');
    const address = await parseBundleAddress(bundle, context.cwd);
    const options = {
      ...targetOptionsOf(values),
      ...waitsOf(values),
      helm: values.helm,
      trust: await readTrust(values.trust),
      identities: await readIdentities(values.identity, context.askSecret),
      images: values.images,
      parts: new Set(partsOf(values.only, IMPORT_PARTS)),
      rewriteImages: values.rewriteImages,
      database: await databaseOf(values, context),
      allowDowngrade: values.allowDowngrade,
      allowOrphans: values.allowOrphans,
      caFile: values.caFile,
      receipt: values.receipt === undefined ? undefined : resolve(context.cwd, values.receipt),
    };
    if (values.plan) {
      const { errorFields } = await import('../output-errors.ts');
      const { plan, problems } = await composeImportPlan(address, options, context);
      const fields = {
        ...plan,
        ok: problems.length === 0,
        problems: problems.map(errorFields),
      };
      context.output.result(fields, () => planText(plan));
      refuseProblems(problems);
      return;
    }
    const onPlan = (plan: ImportPlan) => tellPlan(plan, context);
    const { receipt, receiptSealed, ...report } = await composeImport(address, options, { ...context, onPlan });
    const { images, charts, migrations } = report;
    const fields = { ...report, ...(options.receipt === undefined ? {} : { receipt: options.receipt, receiptSealed }) };
    context.output.result(fields, () =>
      [
        `${report.tag}: imported into ${report.place}`,
        `  signed by   ${report.signedBy.name} (${report.signedBy.keyHint})`,
        ...(images === undefined
          ? []
          : [
              `  images      ${images.target}: ${formatCount(images.sent, 'image')} sent, ${formatBytes(images.sentBytes)}`,
            ]),
        ...charts.map((chart) => `  release     ${chart.namespace}/${chart.release}, revision ${chart.revision}`),
        ...(migrations === undefined
          ? []
          : [
              `  migrations  ${migrations.applied.length} applied, ${migrations.deferred.length} wait for the next import`,
            ]),
        ...(options.receipt === undefined
          ? []
          : [`  receipt     ${options.receipt}${receiptSealed ? ', sealed' : ''}`]),
        `  root        ${report.root}`,
      ].join('\n'),
    );
  },
});
