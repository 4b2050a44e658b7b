import { relative, resolve } from 'node:path';
import { defineCommand } from '../arguments.ts';

export const spec = defineCommand({
  name: 'init',
  summary: 'write an example definition to start from',
  description:
    'Writes a commented bundle.yaml with a small chart, values, migrations and configuration. It builds as it is, without ' +
    'any network. Nothing is overwritten.',
  arguments: { dir: { description: 'the new folder. Default: this one', optional: true, complete: 'folder' } },
  options: {},
  examples: [{ command: 'portolan bundle init bundles/hello', note: 'then: portolan bundle lock bundles/hello' }],
  async run(context, { dir }) {
    const { composeInit } = await import('../../compose/bundle-inputs.ts');
    const { folder, written } = await composeInit(resolve(context.cwd, dir ?? '.'), context);
    const way = relative(context.cwd, folder) || '.';
    const shown = way.startsWith('..') ? folder : way;
    context.output.result({ folder, written }, () =>
      [
        `Written to ${folder}:`,
        ...written.map((path) => `  ${path}`),
        '',
        'Next:',
        `  portolan bundle lock ${shown}`,
      ].join('\n'),
    );
  },
});
