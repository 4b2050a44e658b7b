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

const repositoryTrustOption = path({
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
    description: "certificates (PEM) that the storage is trusted by, beside the system's",
  }),
  limitUpload: text({ value: 'RATE', description: 'send at most so much in a second to the storage, such as 10MiB' }),
  limitDownload: text({ value: 'RATE', description: 'read at most so much in a second from the storage' }),
};

/** Of commands that begin with a bucket. */
export const BUCKETS =
  'The keys of a bucket come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else from the profile AWS_PROFILE in ' +
  '~/.aws/credentials; never from the command line. Behind the ? of its address may also stand region=NAME, ' +
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
