import type { Policy, TrustPolicy } from '../../formats/storage/policy.ts';
import { defineCommand, flag, text } from '../arguments.ts';
import { roleOf, roleOptions } from './storage-options.ts';

export const spec = defineCommand({
  name: 'policy',
  summary: 'print what a role may do with a bucket, for the storage',
  description:
    'Prints the policy of a role as JSON, for MinIO or Amazon S3. With --subject it is for an identity of an OpenID provider: ' +
    'for MinIO the policy of its role, which then holds for this subject alone and only for keys of 15 minutes (--by-claim: where a ' +
    'claim of the token names the policy); for Amazon ' +
    '--trust-policy prints the second document, which says who gets the role. Nothing is sent anywhere.',
  arguments: {},
  options: {
    for: text({ value: 'STORAGE', required: true, choices: ['minio', 'aws'], description: 'minio or aws' }),
    ...roleOptions,
    bucket: text({ value: 'BUCKET', required: true, description: 'name of the bucket' }),
    prefix: text({
      value: 'PREFIX',
      description: 'the folder of the repository in the bucket; without it the whole bucket',
    }),
    subject: text({ value: 'SUBJECT', description: 'the `sub` of the identity: the user id of a service account' }),
    byClaim: flag({
      description: 'for minio: a claim of the token names the policy; it is for every identity that has the claim',
    }),
    trustPolicy: flag({ description: 'for aws: print who gets the role, instead of what it may do' }),
    issuer: text({ value: 'URL', description: 'with --trust-policy: the OpenID provider, as its tokens name it' }),
    audience: text({
      value: 'AUDIENCE',
      description: 'with --trust-policy: whom the tokens are for; for EKS sts.amazonaws.com',
    }),
    account: text({ value: 'ID', description: 'with --trust-policy: the Amazon account, 12 digits' }),
  },
  examples: [
    {
      command: 'portolan storage policy --for minio --role writer --writer db-1 --bucket backups --prefix shop',
      note: 'for a user of MinIO',
    },
    {
      command:
        'portolan storage policy --for minio --role writer --writer db-1 --bucket backups --subject 312345678901234567',
      note: "for a service account of ZITADEL, by MinIO's role",
    },
    {
      command:
        'portolan storage policy --for aws --role writer --writer db-1 --bucket backups --trust-policy --account 123456789012 --issuer https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE --audience sts.amazonaws.com --subject system:serviceaccount:shop:portolan',
      note: 'for a Pod in EKS',
    },
  ],
  async run(
    context,
    _,
    { for: storage, bucket, prefix, trustPolicy: isTrust, byClaim, subject, issuer, audience, account, ...role },
  ) {
    const { parseBucketAddress } = await import('../../formats/storage/repository-address.ts');
    const { storagePolicy, trustPolicy } = await import('../../formats/storage/policy.ts');
    const { UsageError } = await import('../errors.ts');
    const refuse = (message: string, hint: string) => {
      throw new UsageError('USAGE', message, { hint });
    };
    const names = { ...roleOf(role), ...parseBucketAddress(`s3://${bucket}/${prefix ?? ''}`) };
    if (subject !== undefined && !/^[\x21-\x7e]{1,255}$/.test(subject)) {
      refuse('--subject is no subject', 'Give the user id, without white space.');
    }
    if (byClaim && (storage !== 'minio' || isTrust)) {
      refuse('--by-claim is for minio', 'Leave it out: Amazon has the identity in the trust policy.');
    }
    if (byClaim && subject !== undefined) {
      refuse('--by-claim is for every identity with the claim', 'Give --subject alone for a policy of one identity.');
    }
    const isOfIdentity = storage === 'minio' && (byClaim || subject !== undefined);
    let policy: Policy | TrustPolicy = storagePolicy(names.role, names, isOfIdentity ? { subject } : undefined);
    if (isTrust) {
      if (storage !== 'aws')
        refuse('--trust-policy is for aws', 'MinIO has the subject in the policy itself: leave it out.');
      if (issuer === undefined || audience === undefined || account === undefined || subject === undefined) {
        throw new UsageError('USAGE', '--trust-policy needs to know who it is for', {
          hint: 'Give --issuer, --audience, --account and --subject.',
        });
      }
      if (!/^https:\/\/[\w.:/-]+[\w-]$/.test(issuer)) {
        refuse('--issuer is no issuer that Amazon takes', 'Give https://HOST, without a slash at the end.');
      }
      if (!/^[0-9]{12}$/.test(account)) refuse('--account is no account', 'Give its 12 digits.');
      policy = trustPolicy({ issuer, audience, account, subject });
    } else if (issuer !== undefined || audience !== undefined || account !== undefined) {
      refuse(
        '--issuer, --audience and --account belong to --trust-policy',
        'Give --trust-policy as well, or leave them out.',
      );
    } else if (storage === 'aws' && subject !== undefined) {
      refuse('for aws the subject stands in the trust policy', 'Give --trust-policy as well, or leave --subject out.');
    }
    context.output.result({ policy }, () => JSON.stringify(policy, undefined, 2));
  },
});
