import { resolve } from 'node:path';
import { defineCommand, list } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { parseObjectName, parseTableName, placeOptions, placeOptionsOf } from './config-options.ts';
import { recipientsFileOption, recipientsOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'export',
  summary: 'read a configuration into one document',
  description:
    'Reads what is named into one JSON document. Secrets and the values of Helm releases are sealed for the recipients, ' +
    'and are not written without any; ConfigMaps and tables stand in the clear.',
  arguments: { file: { description: 'the document to write', complete: 'file' } },
  options: {
    namespace: list({
      value: 'NS',
      description: 'all ConfigMaps of a namespace but those of the cluster, of controllers and of releases; repeatable',
    }),
    configMap: list({ value: 'NS/NAME', description: 'this ConfigMap; repeatable' }),
    secret: list({ value: 'NS/NAME', description: 'this Secret; repeatable' }),
    release: list({ value: 'NS/NAME', description: 'the values that this Helm release was given; repeatable' }),
    table: list({ value: 'SCHEMA.NAME', description: 'all rows of this table; repeatable. Wants --database' }),
    recipient: recipientsOption('age recipient that may open Secrets and values; repeatable'),
    recipientsFile: recipientsFileOption,
    ...placeOptions,
  },
  examples: [
    {
      command: 'portolan config export cms.json --namespace cms --secret cms/cms-smtp -R operators.txt',
      note: 'ConfigMaps of a namespace, and a Secret that the operators may open',
    },
    {
      command: 'portolan config export cms.json --table core.settings --database postgres://cms@db.example/cms',
      note: "a table of the product's own configuration",
    },
  ],
  async run(context, { file }, options) {
    const { namespace, configMap, secret, release, table } = options;
    const chosen = [namespace, configMap, secret, release, table];
    if (chosen.every((names) => names.length === 0)) {
      throw new UsageError('USAGE', 'nothing was named to be exported', {
        expected: '--namespace, --config-map, --secret, --release or --table',
        hint: 'Name at least one of them.',
      });
    }
    const { readRecipients } = await import('../../compose/keys.ts');
    const hasRecipients = options.recipient.length + options.recipientsFile.length > 0;
    const request = {
      namespaces: namespace,
      configMaps: configMap.map((text) => parseObjectName(text, '--config-map')),
      secrets: secret.map((text) => parseObjectName(text, '--secret')),
      releases: release.map((text) => parseObjectName(text, '--release')),
      tables: table.map(parseTableName),
      recipients: hasRecipients ? await readRecipients(options.recipient, options.recipientsFile) : [],
    };
    const places = await placeOptionsOf(options, table.length > 0, context);
    const { composeExport } = await import('../../compose/configuration.ts');
    const target = resolve(context.cwd, file);
    const report = await composeExport(request, target, places, context);
    context.output.result({ ...report, file: target }, () => {
      const rows = report.tables.reduce((sum, one) => sum + one.rows, 0);
      return [
        `${target}: ${formatBytes(report.sizeBytes)}`,
        `  in the clear  ${formatCount(report.configMaps.length, 'ConfigMap')}, ${formatCount(report.tables.length, 'table')} (${formatCount(rows, 'row')})`,
        `  sealed        ${formatCount(report.secrets.length, 'Secret')}, values of ${formatCount(report.releases.length, 'release')}`,
      ].join('\n');
    });
  },
});
