import { defineCommand, integer, list, path, text } from '../arguments.ts';
import { endOfDay } from './duration-option.ts';
import { repositoryOptions, repositorySignerOptions, roleKeys, signerOf } from './repository-options.ts';
import { changeOptions, rosterOutcomeText } from './roster-outcome-text.ts';
import { identityOption, recipientsFileOption, recipientsOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'approve',
  summary: 'add readers, writers, pruners, verifiers or approvers',
  description:
    'Signs the next epoch of the roster, with whom you name; an entry of the same name is replaced. Backups from now on ' +
    'follow it. New readers open older snapshots after `keys rewrap`. A new writer gets a key file of its own, which must ' +
    'come to its machine by a safe way.\n\n' +
    'A reader who enrolled with the identity provider comes in by two steps: --challenge-out, then --answer. Compare the fingerprint ' +
    'with the reader before the second. The same command a day later publishes the enrolment as evidence.\n\n' +
    'Where several approvers must sign, --proposal-out writes what the first one signed, and the next ones give it as --proposal; ' +
    'each checks it for himself, and the last one publishes it.',
  arguments: {},
  options: {
    recipient: recipientsOption('a reader, or NAME=RECIPIENT; repeatable'),
    recipientsFile: recipientsFileOption,
    breakGlass: list({ value: 'RECIPIENT', description: 'a reader whose identity is kept offline; repeatable' }),
    enrolment: path({ value: 'FILE', description: 'what a new reader’s `portolan keys enroll` wrote' }),
    name: text({ value: 'NAME', description: 'with --enrolment: what the reader is called; without it the subject' }),
    challengeOut: path({
      value: 'FILE',
      description: 'with --enrolment or --proposal: sign nothing, and write a challenge for the reader to answer',
    }),
    answer: path({ value: 'FILE', description: 'the reader’s answer to the challenge' }),
    proposal: path({ value: 'FILE', description: 'sign what another approver proposes' }),
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
    minimumRecipients: integer({
      value: 'N',
      minimum: 1,
      maximum: 64,
      description: 'from now on no backup is sealed to fewer; not below what the root wants',
    }),
    ...changeOptions,
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
    {
      command: 'portolan keys approve --repo /srv/backups --enrolment anna.json --challenge-out anna.challenge',
      note: 'a reader who enrolled; then with --answer',
    },
    {
      command: 'portolan keys approve --repo /srv/backups --proposal change.json --plan',
      note: 'what another approver wants signed',
    },
  ],
  async run(context, _, values) {
    const { resolve } = await import('node:path');
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeKeysApprove } = await import('../../compose/repository-keys.ts');
    await refuseWrongUse(values);
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
    context.output.result({ ...outcome }, () => rosterOutcomeText(outcome));
  },
});

type Given = Readonly<Record<string, unknown>>;

/** Options that count only together, or not at all together. */
async function refuseWrongUse(values: Given): Promise<void> {
  const { UsageError } = await import('../errors.ts');
  const isGiven = (name: string) => {
    const value = values[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined;
  };
  const writer = ['writer', 'writerPub', 'writerKeyOut'].filter(isGiven);
  if (writer.length !== 0 && writer.length !== 3) {
    throw new UsageError('USAGE', '--writer, --writer-pub and --writer-key-out go together', {
      hint: 'Give all three of them for a new writer.',
    });
  }
  if (isGiven('proposal') && CHANGES.some(isGiven)) {
    throw new UsageError('USAGE', 'a proposal is signed as it is: no other change goes with --proposal', {
      hint: 'Sign it, and make the other change afterwards.',
    });
  }
  if (['challengeOut', 'answer'].some(isGiven) && !['enrolment', 'proposal'].some(isGiven)) {
    throw new UsageError('USAGE', '--challenge-out and --answer are for a reader who enrolled', {
      hint: 'Give --enrolment FILE, or --proposal FILE.',
    });
  }
  if (isGiven('name') && !isGiven('enrolment')) {
    throw new UsageError('USAGE', '--name is for --enrolment', { hint: 'Write -r NAME=RECIPIENT.' });
  }
}

const CHANGES = [
  ...['recipient', 'recipientsFile', 'breakGlass', 'enrolment', 'notAfter', 'writer', 'pruner', 'verifier', 'approver'],
  ...['threshold', 'minimumRecipients'],
];
