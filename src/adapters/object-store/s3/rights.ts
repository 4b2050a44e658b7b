import { createHash, randomUUID } from 'node:crypto';
import { retry } from '../../../core/retry.ts';
import type {
  BucketSettings,
  ObjectAction,
  RightsOptions,
  StorageRights,
  StorageTrial,
  Verdict,
} from '../../../ports/storage-rights.ts';
import { decideStoreRetry } from '../store-errors.ts';
import { type ClientSettings, type Connection, createBucketClient } from './client.ts';

export interface BucketRights extends StorageRights {
  close(): Promise<void>;
}

const RETRIES = { attempts: 4, baseDelayMs: 500, maxDelayMs: 5_000 };
const NOT_THERE = ['NoSuchKey', 'NoSuchVersion', 'NotFound', 'HTTP 404', 'InvalidArgument', 'InvalidVersionId'];
const DIGEST_WRONG = ['BadDigest', 'InvalidDigest', 'XAmzContentChecksumMismatch'];

/** What a storage answers that would have done it, had there been something to do it with. It looks at rights first. */
const PASSED: Readonly<Record<StorageTrial['action'], readonly string[]>> = {
  list: [],
  'list versions': [],
  get: NOT_THERE,
  'get version': [...NOT_THERE, 'MethodNotAllowed', 'HTTP 400', 'HTTP 405'],
  put: [...DIGEST_WRONG, 'PreconditionFailed', 'HTTP 412'],
  delete: [],
  'delete version': NOT_THERE,
  'set retention': [],
  'set legal hold': NOT_THERE,
  'set versioning': [
    'MalformedXML',
    'IllegalVersioningConfigurationException',
    'InvalidArgument',
    'InvalidBucketState',
  ],
  'set object lock': ['MalformedXML', 'InvalidArgument', 'InvalidBucketState', 'ObjectLockConfigurationNotFoundError'],
  'set life cycle': ['MalformedXML', 'InvalidArgument', 'InvalidRequest'],
  'set bucket policy': ['MalformedPolicy', 'MalformedXML', 'InvalidArgument'],
};
/** There is no such thing here: a bucket without locks, a storage without life cycles. */
const ABSENT = new Set(['NotImplemented', 'InvalidRequest', 'MethodNotAllowed', 'HTTP 501', 'HTTP 405']);

/** Tries with a bucket under a prefix. Close it. */
export function createBucketRights(settings: ClientSettings): BucketRights {
  const { address, place } = settings;
  const client = createBucketClient(settings);
  const Bucket = address.bucket;
  const root = address.prefix === '' ? '' : `${address.prefix}/`;

  const tryOnce = (trial: StorageTrial, { signal }: RightsOptions) =>
    client.run<Verdict>(
      `try to ${trial.action}`,
      {
        signal,
        expected: (name, status) => (isVerdict(name, status) ? { result: verdictOf(trial, name, status) } : undefined),
      },
      async (connection) => {
        await send(connection, { Bucket, root }, trial);
        return { may: 'allowed', said: 'done' };
      },
    );

  return {
    place,
    prefix: address.prefix,
    attempt: (trial, options = {}) => retry(() => tryOnce(trial, options), RETRIES, decideStoreRetry, options),
    overwrite: (key, bytes, options = {}) =>
      retry(
        () =>
          client.run(`put ${key}`, options, async ({ sdk, client: s3, watch }) => {
            const command = new sdk.PutObjectCommand({ Bucket, Key: root + key, Body: bytes, ...md5Of(bytes) });
            await s3.send(command, { abortSignal: watch.signal });
          }),
        RETRIES,
        decideStoreRetry,
        options,
      ),
    async bucketSettings(options = {}) {
      const asked = <T>(what: string, work: (connection: Connection) => Promise<T>, missing: T) =>
        retry(
          () =>
            client.run<T | undefined>(
              what,
              { ...options, expected: (name, status) => settingMissing(name, status, missing) },
              work,
            ),
          RETRIES,
          decideStoreRetry,
          options,
        );
      const versioning = await asked('read the versioning', (connection) => readVersioning(connection, Bucket), 'off');
      const lock = await asked('read the lock', (connection) => readLock(connection, Bucket), 'off');
      return { versioning, lock };
    },
    close: () => client.close(),
  };
}

/** What says nothing about rights: who asks is not known, or what is asked is not there. */
const NO_VERDICT = new Set([
  ...['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'ExpiredToken', 'ExpiredTokenException', 'InvalidToken'],
  ...['RequestTimeTooSkewed', 'AuthorizationHeaderMalformed', 'PermanentRedirect', 'NoSuchBucket'],
]);

/** Else it is left to be an error, of which another attempt may mend some. */
function isVerdict(name: string, status: number): boolean {
  return !NO_VERDICT.has(name) && status !== 429 && (status < 500 || status === 501);
}

function verdictOf({ action }: StorageTrial, name: string, status: number): Verdict {
  if (PASSED[action].includes(name)) return { may: 'allowed', said: name };
  if (status === 401 || status === 403) return { may: 'refused', said: name };
  return { may: ABSENT.has(name) ? 'refused' : 'unclear', said: name };
}

interface Target {
  readonly Bucket: string;
  readonly root: string;
}

async function send({ sdk, client, watch }: Connection, { Bucket, root }: Target, trial: StorageTrial): Promise<void> {
  const options = { abortSignal: watch.signal };
  // What no storage takes, and no type either.
  const NONE = 'Portolan' as never;
  switch (trial.action) {
    case 'list':
    case 'list versions': {
      const query = { Bucket, MaxKeys: 1, ...(trial.place === 'prefix' ? { Prefix: root } : {}) };
      await (trial.action === 'list'
        ? client.send(new sdk.ListObjectsV2Command(query), options)
        : client.send(new sdk.ListObjectVersionsCommand(query), options));
      return;
    }
    case 'set versioning':
      await client.send(
        new sdk.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: NONE } }),
        options,
      );
      return;
    case 'set object lock': {
      const ObjectLockConfiguration = { ObjectLockEnabled: NONE };
      await client.send(new sdk.PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }), options);
      return;
    }
    case 'set life cycle': {
      const LifecycleConfiguration = { Rules: [{ Status: NONE, Filter: { Prefix: '' } }] };
      await client.send(new sdk.PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }), options);
      return;
    }
    case 'set bucket policy':
      await client.send(new sdk.PutBucketPolicyCommand({ Bucket, Policy: 'no policy' }), options);
      return;
    case 'set retention': {
      const Retention = { Mode: 'COMPLIANCE', RetainUntilDate: trial.until } as const;
      const object = { Bucket, Key: root + trial.key, VersionId: trial.version };
      await client.send(new sdk.PutObjectRetentionCommand({ ...object, Retention }), options);
      return;
    }
    default: {
      const Key = trial.outside === true ? trial.key : root + trial.key;
      await sendForObject({ sdk, client, watch }, trial.action, { Bucket, Key });
    }
  }
}

async function sendForObject(
  { sdk, client, watch }: Connection,
  action: ObjectAction,
  object: { readonly Bucket: string; readonly Key: string },
): Promise<void> {
  const options = { abortSignal: watch.signal };
  const version = { ...object, VersionId: randomUUID() };
  switch (action) {
    case 'get':
      await client.send(new sdk.HeadObjectCommand(object), options);
      return;
    case 'get version':
      await client.send(new sdk.HeadObjectCommand(version), options);
      return;
    case 'put': {
      const Body = Buffer.from(randomUUID());
      const command = new sdk.PutObjectCommand({ ...object, Body, IfNoneMatch: '*', ...md5Of(Buffer.from('other')) });
      await client.send(command, options);
      return;
    }
    case 'delete':
      await client.send(new sdk.DeleteObjectCommand(object), options);
      return;
    case 'delete version':
      await client.send(new sdk.DeleteObjectCommand(version), options);
      return;
    case 'set legal hold':
      await client.send(new sdk.PutObjectLegalHoldCommand({ ...version, LegalHold: { Status: 'OFF' } }), options);
  }
}

function md5Of(bytes: Uint8Array): { readonly ContentMD5: string } {
  return { ContentMD5: createHash('md5').update(bytes).digest('base64') };
}

const UNSET = new Set(['ObjectLockConfigurationNotFoundError', 'NoSuchObjectLockConfiguration', 'HTTP 404']);

function settingMissing<T>(name: string, status: number, missing: T): { readonly result: T | undefined } | undefined {
  if (UNSET.has(name)) return { result: missing };
  return status < 500 || status === 501 ? { result: undefined } : undefined;
}

async function readVersioning(
  { sdk, client, watch }: Connection,
  Bucket: string,
): Promise<BucketSettings['versioning']> {
  const { Status } = await client.send(new sdk.GetBucketVersioningCommand({ Bucket }), { abortSignal: watch.signal });
  return Status === 'Enabled' ? 'enabled' : Status === 'Suspended' ? 'suspended' : 'off';
}

async function readLock({ sdk, client, watch }: Connection, Bucket: string): Promise<BucketSettings['lock']> {
  const command = new sdk.GetObjectLockConfigurationCommand({ Bucket });
  const { ObjectLockConfiguration } = await client.send(command, { abortSignal: watch.signal });
  const { Mode, Days, Years } = ObjectLockConfiguration?.Rule?.DefaultRetention ?? {};
  return Mode === undefined ? 'off' : { mode: Mode.toLowerCase(), days: Days ?? (Years ?? 0) * 365 };
}
