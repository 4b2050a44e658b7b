import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ObjectEntry, ObjectStore, ObjectVersion, StoreOptions } from '../../../ports/object-store.ts';
import { AdapterError } from '../../errors.ts';
import { checkObjectKey, checkPrefix } from '../object-key.ts';
import { rangeTarget } from '../range-target.ts';
import type { Bucket } from './bucket.ts';
import { type ClientSettings, createBucketClient } from './client.ts';
import { serviceFailure } from './failure.ts';
import { listEntries, listVersions } from './listing.ts';
import { readRange, readWhole } from './reading.ts';

/** What DeleteObjects takes at once. */
const BATCH = 1000;

/** Objects of a bucket under a prefix. */
export function createS3Store(settings: ClientSettings): ObjectStore {
  const { address, place } = settings;
  const client = createBucketClient(settings);
  const root = address.prefix === '' ? '' : `${address.prefix}/`;
  const bucket: Bucket = { client, name: address.bucket, root, place, pace: settings.pace };

  const versions = (key: string, options?: StoreOptions): Promise<readonly ObjectVersion[]> => {
    checkObjectKey(key);
    return listVersions(bucket, key, options);
  };

  return {
    place,

    async put(key, bytes, { signal } = {}) {
      checkObjectKey(key);
      return client.run<'created' | 'exists'>(
        `put ${key}`,
        { signal, expected: (_, status) => (status === 412 ? { result: 'exists' } : undefined) },
        async ({ sdk, client: s3, watch }) => {
          const command = new sdk.PutObjectCommand({
            Bucket: bucket.name,
            Key: root + key,
            Body: bytes,
            ContentLength: bytes.length,
            ContentType: 'application/octet-stream',
            IfNoneMatch: '*',
            ...checksumOf(bytes, address.checksum),
          });
          await s3.send(command, { abortSignal: watch.signal });
          return 'created';
        },
      );
    },

    async get(key, options) {
      checkObjectKey(key);
      return readWhole(bucket, key, options, versions);
    },

    async getRange(key, range, options = {}) {
      checkObjectKey(key);
      const into = rangeTarget(range, options.into);
      return readRange(bucket, key, range.offsetBytes, into, options);
    },

    async stat(key, { signal } = {}) {
      checkObjectKey(key);
      return client.run<ObjectEntry | undefined>(
        `stat ${key}`,
        // Of a missing bucket, HEAD says no more: its answer has no body.
        { signal, expected: (_, status) => (status === 404 ? { result: undefined } : undefined) },
        async ({ sdk, client: s3, watch }) => {
          const command = new sdk.HeadObjectCommand({ Bucket: bucket.name, Key: root + key });
          const { ContentLength, LastModified } = await s3.send(command, { abortSignal: watch.signal });
          return { key, sizeBytes: ContentLength ?? 0, modified: LastModified ?? new Date(0) };
        },
      );
    },

    async *list(prefix, options = {}) {
      checkPrefix(prefix);
      yield* listEntries(bucket, prefix, options);
    },

    versions,

    async remove(keys, options) {
      for (const key of keys) checkObjectKey(key);
      for (let start = 0; start < keys.length; start += BATCH) {
        await removeSome(bucket, keys.slice(start, start + BATCH), address.checksum === 'none', options);
      }
    },

    async now({ signal } = {}) {
      return client.run(
        'ask for the time',
        { signal, expected: () => undefined },
        async ({ sdk, client: s3, watch }) => {
          const command = new sdk.HeadBucketCommand({ Bucket: bucket.name });
          await s3.send(command, { abortSignal: watch.signal }).catch((cause) => {
            // Every answer has a date, also that one may not ask; there is no telling what a gateway's error comes from.
            if (watch.answer === undefined || watch.answer.status >= 500 || watch.signal.aborted) throw cause;
          });
          const date = new Date(watch.answer?.date ?? '');
          if (!Number.isNaN(date.getTime())) return date;
          throw new AdapterError('STORE_FAILED', `${place}: the storage does not say what time it is`, {
            expected: 'a Date header',
            found: watch.answer?.date ?? 'none',
            hint: 'Check that no proxy in between alters its answers.',
          });
        },
      );
    },

    close: () => client.close(),
  };
}

/** Computed here by Node's native code; the SDK's own would be JavaScript. */
function checksumOf(bytes: Uint8Array, mode: ClientSettings['address']['checksum']) {
  if (mode === 'sha256') return { ChecksumSHA256: createHash('sha256').update(bytes).digest('base64') };
  if (mode === 'none') return {};
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return { ChecksumCRC32: sum.toString('base64') };
}

async function removeSome(
  { client, name, root, place }: Bucket,
  keys: readonly string[],
  isOneByOne: boolean,
  { signal }: StoreOptions = {},
): Promise<void> {
  if (isOneByOne) {
    // A storage without checksums may refuse the batch, which must have one.
    for (const key of keys) {
      await client.run(`remove ${key}`, { signal }, async ({ sdk, client: s3, watch }) => {
        await s3.send(new sdk.DeleteObjectCommand({ Bucket: name, Key: root + key }), { abortSignal: watch.signal });
      });
    }
    return;
  }
  const what = keys.length === 1 ? `remove ${keys[0]}` : `remove ${keys.length} objects`;
  const refused = await client.run(what, { signal }, async ({ sdk, client: s3, watch }) => {
    const Delete = { Quiet: true, Objects: keys.map((key) => ({ Key: root + key })) };
    const answer = await s3.send(new sdk.DeleteObjectsCommand({ Bucket: name, Delete }), { abortSignal: watch.signal });
    return (answer.Errors ?? []).filter(({ Code }) => Code !== 'NoSuchKey');
  });
  const [first] = refused;
  if (first !== undefined) throw removalRefused(place, root, first, refused.length);
}

function removalRefused(
  place: string,
  root: string,
  {
    Key = '',
    Code = 'InternalError',
    Message = '',
  }: { Key?: string | undefined; Code?: string | undefined; Message?: string | undefined },
  count: number,
): AdapterError {
  const key = Key.slice(root.length);
  const others = count === 1 ? '' : ` and ${count - 1} more`;
  const status = Code === 'InternalError' ? 500 : Code === 'SlowDown' ? 503 : 403;
  return serviceFailure(place, `remove ${key}${others}`, { status, name: Code, message: Message });
}
