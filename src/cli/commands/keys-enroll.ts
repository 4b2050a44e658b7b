import { defineCommand, path } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../errors.ts';
import { noBrowserOption, providerOptions } from './root-options.ts';
import { identityOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'enroll',
  summary: 'ask to become a reader, as yourself at the identity provider',
  description:
    'In two steps. First: makes an identity (or takes one with -i), opens a login with a second factor, and writes an ' +
    'enrolment, which goes to an approver. Then: answers the challenge that the approver sends back for this enrolment, and for ' +
    'no other. Nothing of the identity leaves this machine.\n\n' +
    'The address of the login is for your own browser: whoever lets somebody else log in by it enrols in their name.',
  arguments: {},
  options: {
    identityOut: path({ value: 'FILE', description: 'the new identity file; a passphrase for it is asked for' }),
    identity: { ...identityOption, description: 'the identity that is enrolled, or that answers' },
    enrolmentOut: path({ value: 'FILE', description: 'the enrolment, for an approver' }),
    challenge: path({ value: 'FILE', description: 'the second step: the challenge that an approver sent' }),
    enrolment: path({ value: 'FILE', description: 'with --challenge: the enrolment that the first step wrote' }),
    answerOut: path({ value: 'FILE', description: 'with --challenge: the answer, for the approver' }),
    noBrowser: noBrowserOption,
    ...providerOptions,
  },
  examples: [
    {
      command: 'portolan keys enroll --trust trust.json --identity-out anna.txt --enrolment-out anna.enrolment',
      note: 'the first step',
    },
    {
      command:
        'portolan keys enroll --challenge anna.challenge --enrolment anna.enrolment -i anna.txt --answer-out anna.answer',
      note: 'the second step',
    },
  ],
  async run(context, _, values) {
    if (values.challenge !== undefined) return answer(context, { ...values, challenge: values.challenge });
    if (values.enrolment !== undefined)
      throw usage('--enrolment is for --challenge', 'Name a new file: --enrolment-out FILE.');
    if (values.enrolmentOut === undefined) throw usage('--enrolment-out is missing', 'Name the file for the approver.');
    const isNew = values.identityOut !== undefined;
    if (isNew === values.identity.length > 0) {
      throw usage('either a new identity is enrolled, or one that is there', 'Give --identity-out FILE or -i FILE.');
    }
    const { composeEnrol } = await import('../../compose/enrol.ts');
    const outcome = await composeEnrol(
      {
        ...values,
        enrolmentOut: values.enrolmentOut,
        way: values.noBrowser ? 'paste' : 'browser',
        ask: context.askSecret,
        identity: await identityOf(context, values),
      },
      context,
    );
    context.output.result({ ...outcome }, () =>
      [
        `enrolled as ${outcome.subject} of ${outcome.issuer}`,
        ...(outcome.identity === undefined ? [] : [`identity (keep it, and its passphrase): ${outcome.identity}`]),
        `enrolment for an approver: ${outcome.enrolment}`,
        `fingerprint to compare with the approver: ${outcome.fingerprint}`,
      ].join('\n'),
    );
  },
});

interface IdentityValues {
  readonly identity: readonly string[];
  readonly identityOut: string | undefined;
}

async function identityOf({ askSecret }: CommandContext, { identity, identityOut }: IdentityValues) {
  if (identityOut === undefined) {
    const { readIdentities } = await import('../../compose/keys.ts');
    return { kind: 'given', identities: await readIdentities(identity, askSecret) } as const;
  }
  const { askNewPassphrase } = await import('./new-passphrase.ts');
  return { kind: 'new', file: identityOut, passphrase: await askNewPassphrase(askSecret) } as const;
}

async function answer(
  context: CommandContext,
  {
    challenge,
    enrolment,
    identity,
    answerOut,
  }: {
    readonly challenge: string;
    readonly enrolment: string | undefined;
    readonly identity: readonly string[];
    readonly answerOut: string | undefined;
  },
): Promise<void> {
  if (answerOut === undefined || enrolment === undefined || identity.length === 0) {
    throw usage(
      'a challenge is answered with an identity, for the enrolment that it made',
      'Give -i FILE, --enrolment FILE and --answer-out FILE.',
    );
  }
  const { readIdentities } = await import('../../compose/keys.ts');
  const { composeAnswer } = await import('../../compose/enrol.ts');
  const identities = await readIdentities(identity, context.askSecret);
  const outcome = await composeAnswer({ challenge, enrolment, identities, answerOut }, context);
  context.output.result({ ...outcome }, () =>
    [
      `answer for the approver: ${outcome.answer}`,
      `of the enrolment: ${outcome.enrolment}`,
      `fingerprint to compare with the approver: ${outcome.fingerprint}`,
    ].join('\n'),
  );
}

function usage(problem: string, hint: string): UsageError {
  return new UsageError('USAGE', problem, { hint });
}
