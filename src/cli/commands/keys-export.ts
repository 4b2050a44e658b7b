import { defineCommand, path } from '../arguments.ts';
import { repositoryOptions } from './repository-options.ts';

export const spec = defineCommand({
  name: 'export',
  summary: 'write the page for the safe',
  description:
    'Writes a page to print: where the repository is, whom to believe about it, who opens it, and every step of a restore, with ' +
    'Portolan and with stock tools alone. With -i it holds an identity as well: such a page opens every backup, and its file is ' +
    'for its owner alone.',
  arguments: {},
  options: {
    out: path({
      value: 'FILE',
      required: true,
      description: 'the page, Markdown; a file that is there is not replaced',
    }),
    identity: path({
      short: 'i',
      value: 'FILE',
      description:
        'identity file of a reader, which comes onto the page as it is: one with a passphrase stays protected',
    }),
    ...repositoryOptions,
  },
  examples: [
    { command: 'portolan keys export --repo /srv/backups --out restore.md', note: 'beside the identity in the safe' },
    {
      command: 'portolan keys export --repo /srv/backups --out /media/safe/restore.md -i /media/safe/break-glass.txt',
      note: 'all in one; print it, and keep no copy',
    },
  ],
  async run(context, _, values) {
    const { composeKeysExport } = await import('../../compose/keys-export.ts');
    const { VERSION } = await import('../version.ts');
    const outcome = await composeKeysExport({ ...values, program: VERSION, askSecret: context.askSecret }, context);
    const { file, reader } = outcome;
    if (reader !== undefined) context.progress.warn(`${file} opens every backup that ${reader} opens: lock it away`);
    context.output.result({ ...outcome }, () => `page written to ${file}`);
  },
});
