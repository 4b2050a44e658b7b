import { defineCommand, flag, list } from '../arguments.ts';
import { repositoryOptions, repositorySignerOptions, signerOf } from './repository-options.ts';
import { changeOptions, rosterOutcomeText } from './roster-outcome-text.ts';

const named = (what: string) => list({ value: 'NAME', description: `${what}, by its name; repeatable` });

export const spec = defineCommand({
  name: 'revoke',
  summary: 'take somebody off the roster',
  description:
    'Signs the next epoch of the roster, without whom you name. It protects what is backed up from now on: who could read ' +
    'a snapshot can read it for ever. What did not change stays in packs that were sealed to the readers of then: --fresh has the ' +
    'next run of every writer write everything afresh, sealed to the readers that are left.',
  arguments: {},
  options: {
    recipient: named('a reader'),
    writer: named('a writer'),
    pruner: named('a pruner'),
    verifier: named('a verifier'),
    approver: named('an approver'),
    fresh: flag({ description: 'every writer writes everything afresh in its next run; also with nobody named' }),
    ...changeOptions,
    ...repositorySignerOptions,
    ...repositoryOptions,
  },
  examples: [
    { command: 'portolan keys revoke --repo /srv/backups --recipient anna', note: 'a reader who left' },
    {
      command: 'portolan keys revoke --repo /srv/backups --recipient anna --fresh',
      note: 'whose identity may be in wrong hands',
    },
  ],
  async run(context, _, values) {
    const { composeKeysRevoke } = await import('../../compose/repository-keys.ts');
    const { recipient, writer, pruner, verifier, approver, ...options } = values;
    const outcome = await composeKeysRevoke(
      {
        ...options,
        revoked: {
          recipients: recipient,
          writers: writer,
          pruners: pruner,
          verifiers: verifier,
          approvers: approver,
        },
        signer: signerOf(values, context),
      },
      context,
    );
    context.output.result({ ...outcome }, () => rosterOutcomeText(outcome));
  },
});
