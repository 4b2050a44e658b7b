import { list, path, text } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { passwordFileOption } from './shared-options.ts';

/** Options of commands that work on a repository of backups. */

export const repoOption = text({
  value: 'REPO',
  required: true,
  complete: 'folder',
  description: 'the repository: a folder, or s3://BUCKET/PREFIX?endpoint=http://HOST:PORT',
});

export const repositoryTrustOption = path({
  value: 'FILE',
  description: "the approvers' public keys (cosign.pub), or trust.json; without it what `backup init` left here",
});

export const repositoryStateOption = path({
  value: 'DIR',
  complete: 'folder',
  description: 'folder that remembers what was seen last; without it /var/lib/portolan or ~/.local/state/portolan',
});

export const storageOptions = {
  caFile: path({
    value: 'FILE',
    description: "certificates (PEM) that the storage and its identity provider are trusted by, beside the system's",
  }),
  serviceKey: path({
    value: 'FILE',
    description: 'key file of a ZITADEL service account, for which the storage gives keys of 15 minutes',
  }),
  clientId: text({ value: 'ID', description: 'name of a service account, instead of --service-key' }),
  clientSecretFile: path({ value: 'FILE', description: 'with --client-id: a file with its secret' }),
  sts: text({ value: 'URL', description: 'token service that gives these keys; by default the storage itself' }),
  roleArn: text({ value: 'ARN', description: 'role that they are for, as the storage names it' }),
  limitUpload: text({ value: 'RATE', description: 'send at most so much in a second to the storage, such as 10MiB' }),
  limitDownload: text({ value: 'RATE', description: 'read at most so much in a second from the storage' }),
};

/** Of commands that begin with a bucket. */
export const BUCKETS =
  'The keys of a bucket come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else from the profile AWS_PROFILE in ' +
  '~/.aws/credentials; never from the command line. An identity gets keys of 15 minutes instead, renewed in a long run: by ' +
  '--service-key, or by AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, as a Pod in EKS has them. Behind the ? of its address may also stand region=NAME, ' +
  'path-style=true|false and checksum=crc32|sha256|none, joined by &.';

export const repositoryOptions = {
  repo: repoOption,
  trust: repositoryTrustOption,
  state: repositoryStateOption,
  ...storageOptions,
};

const repositorySignKeyOption = path({
  value: 'FILE',
  description: 'encrypted cosign private key; without it the one that `backup init` was given',
});

export const repositorySignerOptions = { signKey: repositorySignKeyOption, passwordFile: passwordFileOption };

/** Public keys of a role. */
export function roleKeys(description: string) {
  return list({ value: '[NAME=]FILE', complete: 'file', description });
}

/** What a composer opens the signing key with. */
export function signerOf(
  { signKey, passwordFile }: { readonly signKey: string | undefined; readonly passwordFile: string | undefined },
  { env, askSecret }: CommandContext,
) {
  return { signKey, passwordFile, passwordFromEnvironment: env.COSIGN_PASSWORD, askSecret };
}

export const checkpointOption = path({
  value: 'FILE',
  description: 'what was seen of the repository before, kept by somebody else; held against it as well',
});

export const tagOption = list({
  value: 'TAG',
  description: 'a word for the snapshot, such as before-upgrade; repeatable',
});

export const snapshotArgument = {
  description: 'latest, WRITER, WRITER/SEQUENCE or the id of a run',
} as const;
