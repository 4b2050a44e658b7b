import { resolve } from 'node:path';
import type { AdapterError } from '../adapters/errors.ts';
import { createPace, type Rates } from '../adapters/object-store/pace.ts';
import type { ClientSettings } from '../adapters/object-store/s3/client.ts';
import type { TimeLimits } from '../adapters/object-store/s3/time-limits.ts';
import type { CacheSettings } from '../adapters/object-store/wrappers/cache-folder.ts';
import { cachedStore } from '../adapters/object-store/wrappers/cached-store.ts';
import { limitedStore } from '../adapters/object-store/wrappers/limited-store.ts';
import { pacedStore } from '../adapters/object-store/wrappers/paced-store.ts';
import { retryingStore, type StoreRetries } from '../adapters/object-store/wrappers/retrying-store.ts';
import {
  type BucketAddress,
  parseEndpoint,
  parseRepositoryAddress,
  placeOfRepository,
} from '../formats/storage/repository-address.ts';
import type { ObjectStore } from '../ports/object-store.ts';
import { proxyOf } from './registry-settings.ts';
import { type StorageAccess, type StorageIdentity, storageAccess } from './storage-credentials.ts';

export interface StoreSettings {
  /** Credentials, region, endpoint and proxies come from here, as Amazon's tools and curl read them. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What a path is relative to. */
  readonly cwd?: string;
  /** PEM file of certificate authorities, trusted beside the system's. */
  readonly caFile?: string;
  /** Whose keys are asked of the storage, instead of the environment's. */
  readonly identity?: StorageIdentity;
  /** At least 64 KiB per second each. */
  readonly rates?: Rates;
  /** Requests at once; 8. */
  readonly parallel?: number;
  readonly retries?: Omit<StoreRetries, 'onRetry'>;
  readonly onRetry?: (failure: AdapterError) => void;
  readonly limits?: Partial<TimeLimits>;
}

const PARALLEL = 8;
const DEFAULT_REGION = 'us-east-1';

/**
 * The store at an address: a path, or `s3://bucket/prefix?endpoint=…` (src/formats/storage/repository-address.ts). Nothing is
 * asked of it yet. Failures that another try may mend are tried again.
 *
 * @throws FormatError STORAGE_ADDRESS_INVALID
 */
export async function openStore(address: string, settings: StoreSettings): Promise<ObjectStore> {
  const parsed = parseRepositoryAddress(address);
  const store = parsed.kind === 's3' ? await openBucket(parsed, settings) : await openFolder(parsed.path, settings);
  const retries = { ...settings.retries, ...(settings.onRetry === undefined ? {} : { onRetry: settings.onRetry }) };
  return retryingStore(limitedStore(store, settings.parallel ?? PARALLEL), retries);
}

/** The same store, what is small of a bucket kept in a folder that belongs to one repository; a folder is as quick as a cache. */
export function withCache(address: string, store: ObjectStore, settings: CacheSettings): ObjectStore {
  return parseRepositoryAddress(address).kind === 's3' ? cachedStore(store, settings) : store;
}

async function openFolder(path: string, settings: StoreSettings): Promise<ObjectStore> {
  const { createFolderStore } = await import('../adapters/object-store/folder/folder-store.ts');
  const store = createFolderStore(resolve(settings.cwd ?? '.', path));
  const pace = createPace(settings.rates ?? {});
  return pace === undefined ? store : pacedStore(store, pace);
}

async function openBucket(written: BucketAddress, settings: StoreSettings): Promise<ObjectStore> {
  const { createS3Store } = await import('../adapters/object-store/s3/s3-store.ts');
  const { client, access } = await bucketClient(written, settings);
  const store = createS3Store(client);
  return {
    ...store,
    async close() {
      access.close();
      await store.close();
    },
  };
}

/** What a bucket is reached with. Whoever is done with it closes `access`. */
export async function bucketClient(
  written: BucketAddress,
  settings: StoreSettings,
): Promise<{ readonly client: ClientSettings; readonly access: StorageAccess }> {
  const { environment: env, limits, now } = settings;
  const { USUAL_LIMITS } = await import('../adapters/object-store/s3/time-limits.ts');
  const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL;
  const address: BucketAddress =
    written.endpoint === undefined && endpoint
      ? { ...written, endpoint: parseEndpoint(endpoint), pathStyle: true }
      : written;
  const region = address.region ?? env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? DEFAULT_REGION;
  const caFile = settings.caFile === undefined ? {} : { caFile: resolve(settings.cwd ?? '.', settings.caFile) };
  const proxy = proxyOf(env);
  const pace = createPace(settings.rates ?? {});
  const access = await storageAccess(
    { endpoint: address.endpoint, region, identity: settings.identity },
    { env, now, proxy, ...caFile, ...(settings.onRetry === undefined ? {} : { onRetry: settings.onRetry }) },
  );
  const client = {
    address,
    place: placeOfRepository(address),
    region,
    credentials: access.credentials,
    limits: { ...USUAL_LIMITS, ...limits },
    now,
    proxy,
    ...caFile,
    ...(pace === undefined ? {} : { pace }),
  };
  return { client, access };
}
