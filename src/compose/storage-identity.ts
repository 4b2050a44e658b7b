import { resolve } from 'node:path';
import { readSmallFile } from '../adapters/files/small-file.ts';
import type { PinnedIssuer } from '../formats/identity/pinned-issuer.ts';
import { decodeRepositoryTrust, REPOSITORY_TRUST_MAX_BYTES } from '../formats/repository/repository-trust.ts';
import { decodeWriterKey, WRITER_KEY_MAX_BYTES } from '../formats/repository/writer-key.ts';
import type { ServiceAccount } from '../ports/identity-provider.ts';
import { UseCaseError } from '../usecases/errors.ts';
import type { Running } from './environment.ts';
import { proxyOf } from './registry-settings.ts';
import type { RepositoryPlaces } from './repository-places.ts';
import type { StorageIdentity } from './storage-credentials.ts';

/** For whom keys of the storage are asked, as typed; and which files may name the issuer. */
export interface StorageIdentityOptions {
  /** The key file of a service account. */
  readonly serviceKey?: string | undefined;
  /** Or its name, and a file with its secret. */
  readonly clientId?: string | undefined;
  readonly clientSecretFile?: string | undefined;
  readonly sts?: string | undefined;
  readonly roleArn?: string | undefined;
  readonly trust?: string | undefined;
  readonly root?: string | undefined;
  readonly writerKey?: string | undefined;
  readonly caFile?: string | undefined;
}

/**
 * `undefined` where nothing was said: then the environment's credentials count. They do also where the storage trusts no provider, so that
 * the account is there for the provider alone.
 *
 * @throws UseCaseError STORAGE_IDENTITY_INCOMPLETE; AdapterError SERVICE_KEY_INVALID, FILE_…
 */
export async function storageIdentity(
  options: StorageIdentityOptions,
  places: RepositoryPlaces,
  running: Pick<Running, 'cwd' | 'env' | 'now'>,
): Promise<StorageIdentity | undefined> {
  const { sts, roleArn } = options;
  const account = await accountOf(options, running.cwd);
  if (account === undefined) return sts === undefined && roleArn === undefined ? undefined : { sts, roleArn };
  const { issuer, looked } = await issuerOf(options, places, running.cwd);
  if (issuer === undefined) {
    if (sts === undefined && roleArn === undefined && hasOwnKeys(running.env)) return undefined;
    throw issuerMissing(looked);
  }
  return { token: tokenOf(account, issuer, options, running), sts, roleArn };
}

/** The service account that was said. @throws UseCaseError STORAGE_IDENTITY_INCOMPLETE; AdapterError SERVICE_KEY_INVALID, FILE_… */
export async function accountOf(
  { serviceKey, clientId, clientSecretFile }: StorageIdentityOptions,
  cwd: string,
): Promise<ServiceAccount | undefined> {
  if (serviceKey === undefined && clientId === undefined && clientSecretFile === undefined) return undefined;
  const { readClientSecret, readServiceKey } = await import('../adapters/identity-provider/service-key-file.ts');
  if (serviceKey !== undefined && clientId === undefined && clientSecretFile === undefined) {
    return await readServiceKey(resolve(cwd, serviceKey));
  }
  if (serviceKey === undefined && clientId !== undefined && clientSecretFile !== undefined) {
    return await readClientSecret(clientId, resolve(cwd, clientSecretFile));
  }
  throw new UseCaseError('STORAGE_IDENTITY_INCOMPLETE', 'it is not clear whose keys of the storage are wanted', {
    expected: '--service-key FILE, or --client-id ID with --client-secret-file FILE',
    hint: 'Give one of the two, whole.',
  });
}

type StorageIssuer = PinnedIssuer & { readonly storageProject: string };

/** Whichever file pins it: the trust file, the root of a new repository, the writer's key file; else what `backup init` left. */
async function issuerOf(
  { trust, root, writerKey }: StorageIdentityOptions,
  places: RepositoryPlaces,
  cwd: string,
): Promise<{ readonly issuer: StorageIssuer | undefined; readonly looked: readonly string[] }> {
  const isSaid = trust !== undefined || root !== undefined || writerKey !== undefined;
  const trusts = isSaid ? [trust, root] : [places.trust];
  const writerKeys = isSaid ? [writerKey] : [places.writerKey];
  const paths = (names: readonly (string | undefined)[]) =>
    names.flatMap((name) => (name === undefined ? [] : [resolve(cwd, name)]));
  for (const path of paths(trusts)) {
    const bytes = await readSmallFile(path, REPOSITORY_TRUST_MAX_BYTES, { followLinks: isSaid });
    const issuer = bytes === undefined ? undefined : decodeRepositoryTrust(bytes, path).issuer;
    if (isForStorage(issuer)) return { issuer, looked: [] };
  }
  for (const path of paths(writerKeys)) {
    const bytes = await readSmallFile(path, WRITER_KEY_MAX_BYTES, { followLinks: isSaid });
    const issuer = bytes === undefined ? undefined : decodeWriterKey(bytes, path).root?.issuer;
    if (isForStorage(issuer)) return { issuer, looked: [] };
  }
  return { issuer: undefined, looked: paths([...trusts, ...writerKeys]) };
}

function issuerMissing(looked: readonly string[]): UseCaseError {
  return new UseCaseError('STORAGE_IDENTITY_INCOMPLETE', 'no file says which identity provider the storage trusts', {
    expected: 'an issuer with its storageProject',
    found: looked.join(', '),
    hint: 'Give --trust FILE with them: `portolan keys init --issuer` makes it.',
  });
}

function hasOwnKeys({
  AWS_ACCESS_KEY_ID: fixed,
  AWS_WEB_IDENTITY_TOKEN_FILE: token,
  AWS_PROFILE: profile,
}: Running['env']) {
  return Boolean(fixed || token || profile);
}

function isForStorage(issuer: PinnedIssuer | undefined): issuer is StorageIssuer {
  return issuer?.storageProject !== undefined;
}

/** A provider for each token: keys are asked for every ten minutes. */
function tokenOf(
  account: ServiceAccount,
  { url, storageProject }: StorageIssuer,
  { caFile }: StorageIdentityOptions,
  { env, cwd, now }: Pick<Running, 'cwd' | 'env' | 'now'>,
): NonNullable<StorageIdentity['token']> {
  return async (options) => {
    const { createIdentityProvider } = await import('../adapters/identity-provider/identity-provider.ts');
    const provider = createIdentityProvider({
      issuer: url,
      now,
      transport: { proxy: proxyOf(env), ...(caFile === undefined ? {} : { caFile: resolve(cwd, caFile) }) },
    });
    try {
      return (await provider.serviceToken(account, { kind: 'storage', project: storageProject }, options)).token;
    } finally {
      await provider.close();
    }
  };
}
