import { defineCommand, list, path, text } from '../arguments.ts';
import { endOfDay } from './duration-option.ts';
import { repositoryOptions, repositorySignerOptions, roleKeys, signerOf } from './repository-options.ts';
import { rosterText } from './roster-text.ts';
import { identityOption, recipientsFileOption, recipientsOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'approve',
  summary: 'add readers, writers, pruners, verifiers or approvers',
  description:
    'Signs the next epoch of the roster, with whom you name; an entry of the same name is replaced. Backups from now on ' +
    'follow it. New readers open older snapshots after `keys rewrap`. A new writer gets a key file of its own, which must ' +
    'come to its machine by a safe way.',
  arguments: {},
  options: {
    recipient: recipientsOption('a reader, or NAME=RECIPIENT; repeatable'),
    recipientsFile: recipientsFileOption,
    breakGlass: list({ value: 'RECIPIENT', description: 'a reader whose identity is kept offline; repeatable' }),
    notAfter: text({
      value: 'DATE',
      description: 'with readers: no backup after this day is sealed to them, such as 2027-06-30',
    }),
    writer: text({ value: 'NAME', description: 'a writer; with --writer-pub and --writer-key-out' }),
    writerPub: path({ value: 'FILE', description: "the new writer's public key (cosign.pub)" }),
    writerKeyOut: path({ value: 'FILE', description: 'where the key file of the new writer is written' }),
    writerKey: path({
      value: 'FILE',
      description: 'key file of another writer, for the new one; without it what `backup init` left here',
    }),
    identity: {
      ...identityOption,
      description: 'for a new writer, where no key file of another one is at hand: an identity that opens a snapshot',
    },
    pruner: roleKeys('public key of a pruner; repeatable'),
    verifier: roleKeys('public key of a verifier; repeatable'),
    approver: roleKeys('public key of an approver; repeatable'),
    ...repositorySignerOptions,
    ...repositoryOptions,
  },
  examples: [
    { command: 'portolan keys approve --repo /srv/backups -r anna=age1pq1…', note: 'a reader' },
    {
      command:
        'portolan keys approve --repo /srv/backups --writer db-2 --writer-pub db-2.pub --writer-key-out db-2.writer.json',
      note: 'a writer',
    },
  ],
  async run(context, _, values) {
    const { resolve } = await import('node:path');
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeKeysApprove } = await import('../../compose/repository-keys.ts');
    const parts = [values.writer, values.writerPub, values.writerKeyOut].filter((part) => part !== undefined);
    if (parts.length !== 0 && parts.length !== 3) {
      const { UsageError } = await import('../errors.ts');
      throw new UsageError('USAGE', '--writer, --writer-pub and --writer-key-out go together', {
        hint: 'Give all three of them for a new writer.',
      });
    }
    const outcome = await composeKeysApprove(
      {
        ...values,
        notAfter: values.notAfter === undefined ? undefined : endOfDay('not-after', values.notAfter),
        recipients: values.recipient,
        recipientsFiles: values.recipientsFile.map((file) => resolve(context.cwd, file)),
        pruners: values.pruner,
        verifiers: values.verifier,
        approvers: values.approver,
        identities: await readIdentities(values.identity, context.askSecret),
        signer: signerOf(values, context),
      },
      context,
    );
    context.output.result({ ...outcome }, () =>
      [
        rosterText(outcome),
        ...(outcome.writerKeyFile === undefined ? [] : [`key file of the writer: ${outcome.writerKeyFile}`]),
      ].join('\n'),
    );
  },
});
