import type { AdapterError } from '../adapters/errors.ts';
import type { CredentialsProvider } from '../adapters/object-store/s3/credentials.ts';
import type { WebIdentitySettings } from '../adapters/object-store/s3/web-identity.ts';
import type { WebIdentityToken } from '../adapters/object-store/s3/web-identity-token.ts';
import { PortolanError } from '../core/errors.ts';
import { isPrivateWay } from '../core/loopback.ts';
import { parseEndpoint } from '../formats/storage/repository-address.ts';
import { UseCaseError } from '../usecases/errors.ts';
import type { proxyOf } from './registry-settings.ts';

/** Who gets keys of 15 minutes from the storage's token service. */
export interface StorageIdentity {
  /** That of AWS_WEB_IDENTITY_TOKEN_FILE unless given. */
  readonly token?: WebIdentityToken | undefined;
  /** The token service, as typed; the storage itself unless given. */
  readonly sts?: string | undefined;
  readonly roleArn?: string | undefined;
}

/** Where keys for a bucket come from. */
export interface StorageAccess {
  readonly credentials: CredentialsProvider;
  /** With which a token service is asked, where one is. */
  readonly webIdentity?: WebIdentitySettings;
  close(): void;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Bucket {
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly identity: StorageIdentity | undefined;
}

interface Surroundings {
  readonly env: Environment;
  readonly now: () => number;
  readonly proxy: ReturnType<typeof proxyOf>;
  readonly caFile?: string;
  readonly onRetry?: (failure: AdapterError) => void;
}

/**
 * `identity`, else as Amazon's tools look: AWS_ACCESS_KEY_ID, then AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN (so does EKS
 * give a Pod its role), then a profile.
 */
export async function storageAccess(
  { identity, ...bucket }: Bucket,
  { env, now, proxy, caFile, onRetry }: Surroundings,
): Promise<StorageAccess> {
  const own = identity?.token === undefined ? await identityOfEnvironment(env, identity) : identity;
  const { token, roleArn, sts } = own ?? {};
  if (token === undefined) {
    if (identity !== undefined) throw identityMissing();
    const { credentialsOf } = await import('../adapters/object-store/s3/credentials.ts');
    return { credentials: credentialsOf(env), close: () => {} };
  }
  const { assumeWebIdentity } = await import('../adapters/object-store/s3/web-identity.ts');
  const { renewedKeys } = await import('../adapters/object-store/s3/web-identity-renewal.ts');
  const webIdentity = {
    sts: serviceOf(sts ?? (env.AWS_ENDPOINT_URL_STS || undefined), bucket),
    token,
    sessionName: env.AWS_ROLE_SESSION_NAME || SESSION_NAME,
    now,
    proxy,
    ...(roleArn === undefined ? {} : { roleArn }),
    ...(caFile === undefined ? {} : { caFile }),
  };
  const keys = renewedKeys((options) => assumeWebIdentity(webIdentity, options), {
    now,
    onFailure: (failure) => {
      if (failure instanceof PortolanError) onRetry?.(failure as AdapterError);
    },
  });
  return { ...keys, webIdentity };
}

const SESSION_NAME = 'portolan';

async function identityOfEnvironment(
  env: Environment,
  said: StorageIdentity | undefined,
): Promise<StorageIdentity | undefined> {
  const file = env.AWS_WEB_IDENTITY_TOKEN_FILE;
  const roleArn = said?.roleArn ?? (env.AWS_ROLE_ARN || undefined);
  if (!file || (said === undefined && (roleArn === undefined || env.AWS_ACCESS_KEY_ID || env.AWS_SECRET_ACCESS_KEY))) {
    return undefined;
  }
  const { tokenOfFile } = await import('../adapters/object-store/s3/web-identity-token.ts');
  return { token: tokenOfFile(file), roleArn, sts: said?.sts };
}

function identityMissing(): UseCaseError {
  return new UseCaseError('STORAGE_IDENTITY_INCOMPLETE', 'a token service or a role is given, but no identity', {
    expected: '--service-key FILE, --client-id ID with --client-secret-file FILE, or AWS_WEB_IDENTITY_TOKEN_FILE',
    hint: 'Say whose keys are wanted, or leave out --sts and --role-arn.',
  });
}

/** Who reads a token on its way has the keys of the storage for as long as it lives. */
function requirePrivateWay(address: string): string {
  const url = new URL(address);
  if (isPrivateWay(url)) return address;
  throw new UseCaseError('STORAGE_IDENTITY_EXPOSED', `the token would go to ${url.host} in the clear`, {
    expected: 'https, or http on this very machine',
    found: address,
    hint: 'Give the storage a certificate and use https (--ca-file trusts an authority of your own), or name its token service with --sts https://HOST.',
  });
}

/** MinIO is its own token service; Amazon's has a host for each region. */
function serviceOf(written: string | undefined, { endpoint, region }: Omit<Bucket, 'identity'>): string {
  const address = written ?? endpoint;
  if (address !== undefined) return requirePrivateWay(parseEndpoint(address));
  return `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
}
