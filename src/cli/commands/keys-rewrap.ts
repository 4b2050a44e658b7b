import { defineCommand } from '../arguments.ts';
import { formatCount } from '../output-units.ts';
import { repositoryOptions, repositorySignerOptions, signerOf } from './repository-options.ts';
import { identityOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'rewrap',
  summary: 'seal the keys of older runs to the present readers',
  description:
    'Opens the key of every run that a snapshot names and seals it to the present readers: new readers can then open older ' +
    'snapshots, and writers build on older packs again. No pack is read. Signed by an approver or a verifier.',
  arguments: {},
  options: { identity: { ...identityOption, required: true }, ...repositorySignerOptions, ...repositoryOptions },
  examples: [{ command: 'portolan keys rewrap --repo /srv/backups -i key.txt', note: 'after `keys approve -r`' }],
  async run(context, _, { identity, ...values }) {
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeKeysRewrap } = await import('../../compose/repository-keys.ts');
    const identities = await readIdentities(identity, context.askSecret);
    const report = await composeKeysRewrap({ ...values, identities, signer: signerOf(values, context) }, context);
    context.output.result(
      { ...report },
      () =>
        `${formatCount(report.rewrapped.length, 'key')} of ${formatCount(report.runs, 'run')} sealed again, to ${formatCount(report.recipients.length, 'reader')} (epoch ${report.epoch})`,
    );
    if (report.unopened.length === 0) return;
    const { UseCaseError } = await import('../../usecases/errors.ts');
    throw new UseCaseError('RUN_KEY_NOT_FOR_US', `no identity opens ${formatCount(report.unopened.length, 'key')}`, {
      hint: 'Run the command again with the identity of somebody to whom those runs were sealed: `portolan backup show` names them.',
    });
  },
});
