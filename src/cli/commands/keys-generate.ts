import { defineCommand, flag } from '../arguments.ts';

export const spec = defineCommand({
  name: 'generate',
  summary: 'make an age identity',
  description:
    'Writes a new age identity file, for its owner alone, and prints its recipient. It is post-quantum unless --classic; ' +
    'stock age 1.3 and later reads both.',
  arguments: { file: { description: 'the file to write', complete: 'file' } },
  options: {
    passphrase: flag({ description: 'protect it by a passphrase, which is asked for' }),
    classic: flag({ description: 'an identity that any age reads (X25519)' }),
  },
  examples: [
    { command: 'portolan keys generate key.txt --passphrase', note: 'for a person' },
    { command: 'portolan keys generate /media/safe/break-glass.txt', note: 'for the safe' },
  ],
  async run(context, { file }, { passphrase, classic }) {
    const { composeKeysGenerate } = await import('../../compose/repository-keys.ts');
    const { askNewPassphrase } = await import('./new-passphrase.ts');
    const secret = passphrase ? await askNewPassphrase(context.askSecret) : undefined;
    const kind = classic ? 'classic' : 'post-quantum';
    const outcome = await composeKeysGenerate(file, { kind, passphrase: secret }, context);
    context.output.result({ ...outcome, kind, protected: passphrase }, () =>
      [`identity written to ${outcome.file}`, outcome.recipient].join('\n'),
    );
  },
});
