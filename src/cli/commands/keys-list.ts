import { defineCommand } from '../arguments.ts';
import { repositoryOptions } from './repository-options.ts';
import { rosterText } from './roster-text.ts';

export const spec = defineCommand({
  name: 'list',
  summary: 'list who may do what',
  description: 'Lists the newest epoch of the roster, after all its signatures were checked. Needs no key.',
  arguments: {},
  options: repositoryOptions,
  examples: [{ command: 'portolan keys list --repo /srv/backups', note: 'who reads, who writes' }],
  async run(context, _, options) {
    const { composeKeysList } = await import('../../compose/repository-keys.ts');
    const report = await composeKeysList(options, context);
    context.output.result({ ...report }, () => rosterText(report));
  },
});
