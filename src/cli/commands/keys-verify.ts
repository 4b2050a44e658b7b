import type { KeysVerification, VerifiedRecipient } from '../../usecases/keys/verify-keys.ts';
import { defineCommand } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatCount } from '../output-units.ts';
import { checkpointOption, repositoryOptions } from './repository-options.ts';

export const spec = defineCommand({
  name: 'verify',
  summary: 'check who reads, and why',
  description:
    'Checks the signatures of all epochs of the roster against the root, and the evidence of every reader who enrolled: that the ' +
    'identity provider of the root signed for this recipient, with the role and a second factor. Asks no provider and needs no key. ' +
    'Exit status 3 when something is not right.',
  arguments: {},
  options: { checkpoint: checkpointOption, ...repositoryOptions },
  examples: [{ command: 'portolan keys verify --repo /srv/backups --trust root.json', note: 'anybody, offline' }],
  async run(context, _, options) {
    const { composeKeysVerify } = await import('../../compose/keys-verify.ts');
    const { findings, ...report } = await composeKeysVerify(options, context);
    const shown = { ...report, findings: findings.map(({ code, message }) => ({ code, message })) };
    context.output.result(shown, () => verificationText({ ...report, findings }));
    const [first] = findings;
    if (first === undefined) return;
    const { UseCaseError } = await import('../../usecases/errors.ts');
    throw new UseCaseError('KEYS_NOT_RIGHT', `${formatCount(findings.length, 'thing')} about the readers not right`, {
      others: findings,
    });
  },
});

function verificationText({
  repository,
  epoch,
  signers,
  threshold,
  issuer,
  recipients,
  minimumRecipients,
}: KeysVerification) {
  const columns = ['role', 'name', 'fingerprint', 'subject', 'evidence', 'notes'].map((title) => ({ title }));
  const present = recipients.filter(({ ended }) => !ended).length;
  return [
    `epoch ${epoch} of ${repository}, signed by ${signers.join(', ')} (${threshold} must)`,
    `identity provider: ${issuer ?? 'none in the trust file'}`,
    formatTable(columns, recipients.map(rowOf)),
    `${formatCount(present, 'recipient')}; at least ${minimumRecipients} must be left`,
  ].join('\n');
}

function rowOf({ role, name, fingerprint, subject, evidence, authenticatedAt, notAfter, ended }: VerifiedRecipient) {
  const notes = [
    ...(authenticatedAt === undefined ? [] : [`logged in ${minute(authenticatedAt)}`]),
    ...(notAfter === undefined ? [] : [`${ended ? 'ended' : 'until'} ${minute(notAfter)}`]),
  ];
  return [role, name, fingerprint, subject ?? '', evidence, notes.join('; ')];
}

function minute(time: string): string {
  return time.slice(0, 16).replace('T', ' ');
}
