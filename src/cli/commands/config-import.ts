import { resolve } from 'node:path';
import type { ConfigurationChange, ConfigurationPart } from '../../usecases/configuration/types.ts';
import { defineCommand, flag, path } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { placeOptions, placeOptionsOf } from './config-options.ts';
import { onlyOption, partsOf } from './parts-option.ts';
import { identityOption } from './shared-options.ts';

const PARTS: readonly ConfigurationPart[] = ['config-maps', 'secrets', 'values', 'tables'];

export const spec = defineCommand({
  name: 'import',
  summary: 'make a cluster and a database as a document says',
  description:
    'Compares a document with the target and writes what is missing. What is there and differs stops the import before ' +
    'anything is written, unless --overwrite is given. Nothing is ever removed. The values of Helm releases are compared ' +
    'alone; --values-folder writes them to files for `bundle build --values`.',
  arguments: { file: { description: 'the document that `config export` wrote', complete: 'file' } },
  options: {
    plan: flag({ description: 'show the differences, and change nothing' }),
    overwrite: flag({ description: 'change what is there and differs' }),
    identity: identityOption,
    only: onlyOption(PARTS, 'all that the document has'),
    valuesFolder: path({
      value: 'DIR',
      complete: 'folder',
      description: 'write the values of releases there, as NAMESPACE.RELEASE.yaml',
    }),
    ...placeOptions,
  },
  examples: [
    { command: 'portolan config import cms.json -i key.txt --plan', note: 'what would be added or changed' },
    { command: 'portolan config import cms.json --only config-maps --overwrite', note: 'ConfigMaps alone' },
  ],
  async run(context, { file }, options) {
    const parts = partsOf(options.only, PARTS);
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeImport, readConfiguration } = await import('../../compose/configuration.ts');
    const source = resolve(context.cwd, file);
    const document = await readConfiguration(source);
    const needsDatabase = parts.includes('tables') && document.tables.length > 0;
    const places = await placeOptionsOf(options, needsDatabase, context);
    const { changes, written } = await composeImport(
      source,
      document,
      {
        parts,
        identities: await readIdentities(options.identity, context.askSecret),
        overwrite: options.overwrite,
        planOnly: options.plan,
        valuesFolder: options.valuesFolder === undefined ? undefined : resolve(context.cwd, options.valuesFolder),
      },
      places,
      context,
    );
    for (const { kind, name, isOfHelm } of changes) {
      if (isOfHelm !== true) continue;
      context.progress.warn(`${kind} ${name} is of a Helm release, whose next upgrade writes it again`);
    }
    context.output.result({ plan: options.plan, changes, written }, () => render(changes, written, options.plan));
  },
});

function render(changes: readonly ConfigurationChange[], written: readonly string[], isPlan: boolean): string {
  const rows = changes.map(({ kind, name, action, keys, rows: counts }) => [
    action,
    kind,
    name,
    counts === undefined
      ? (keys ?? []).join(', ')
      : `${counts.added} added, ${counts.changed} changed, ${counts.same} same`,
  ]);
  const isSame = changes.every(({ action }) => action === 'same');
  const verdict = isSame
    ? 'everything is as the document says'
    : isPlan
      ? 'nothing was changed: this is a plan'
      : 'done';
  return [
    formatTable([{ title: 'action' }, { title: 'kind' }, { title: 'name' }, { title: 'differences' }], rows),
    '',
    ...written.map((file) => `values written to ${file}`),
    verdict,
  ].join('\n');
}
