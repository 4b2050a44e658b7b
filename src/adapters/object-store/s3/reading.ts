import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { digestOf } from '../../../core/digest.ts';
import { giveBack } from '../../../core/give-back.ts';
import type { GetOptions, ObjectVersion, RangeOptions, StoreOptions } from '../../../ports/object-store.ts';
import { AdapterError } from '../../errors.ts';
import { objectMissing, objectReplaced, objectShort, objectTooLarge } from '../store-errors.ts';
import type { Bucket } from './bucket.ts';
import type { Connection } from './client.ts';

/** An object is not there, or not in that version. */
const MISSING = new Set(['NoSuchKey', 'NoSuchVersion', 'MethodNotAllowed', 'HTTP 404', 'NotFound']);

type Versions = (key: string, options?: StoreOptions) => Promise<readonly ObjectVersion[]>;

/** The object; where a digest is expected and the newest has another one, what an overwrite or a removal hid. */
export async function readWhole(
  bucket: Bucket,
  key: string,
  options: GetOptions,
  versions: Versions,
): Promise<Uint8Array> {
  const { expected } = options;
  const newest = await readVersion(bucket, key, undefined, options);
  if (expected === undefined) {
    if (newest === undefined) throw objectMissing(bucket.place, key);
    return newest.bytes as Uint8Array;
  }
  const found = newest?.bytes === undefined ? undefined : digestOf(newest.bytes);
  if (newest?.bytes !== undefined && found === expected.digest) return newest.bytes;
  let listed: readonly ObjectVersion[];
  try {
    listed = await versions(key, options);
  } catch (cause) {
    // Who may not look at versions, or has a storage without them, is told what it is about.
    if (!(cause instanceof AdapterError) || !['STORE_DENIED', 'STORE_FAILED'].includes(cause.code)) throw cause;
    throw newest === undefined
      ? objectMissing(bucket.place, key, cause)
      : objectReplaced(bucket.place, key, { expected: expected.digest, found }, cause);
  }
  for (const { version } of likelyFirst(listed.filter(({ sizeBytes }) => sizeBytes === expected.sizeBytes))) {
    const older = await readVersion(bucket, key, version, options);
    if (older?.bytes !== undefined && digestOf(older.bytes) === expected.digest) return older.bytes;
  }
  if (newest === undefined && listed.length === 0) throw objectMissing(bucket.place, key);
  throw objectReplaced(bucket.place, key, { expected: expected.digest, found });
}

/** The first that was ever stored is what it was created as; whoever overwrites often must not make reading slow. */
function likelyFirst(versions: readonly ObjectVersion[]): readonly ObjectVersion[] {
  const oldest = versions.at(-1);
  return oldest === undefined ? [] : [oldest, ...versions.slice(0, -1)];
}

/** @returns `undefined` when there is none; no `bytes` when the size is not the expected one */
async function readVersion(
  bucket: Bucket,
  key: string,
  version: string | undefined,
  { maxBytes, expected, signal }: GetOptions,
): Promise<{ readonly bytes?: Uint8Array } | undefined> {
  return bucket.client.run<{ readonly bytes?: Uint8Array } | undefined>(
    `get ${key}`,
    { signal, expected: (name) => (MISSING.has(name) ? { result: undefined } : undefined) },
    async (connection) => {
      const answer = await request(bucket, key, connection, version === undefined ? {} : { VersionId: version });
      const sizeBytes = answer.ContentLength;
      try {
        if (expected !== undefined && sizeBytes !== expected.sizeBytes) return {};
        if (sizeBytes === undefined) throw new TypeError('an answer without a length');
        if (sizeBytes > maxBytes) throw objectTooLarge(bucket.place, key, maxBytes, sizeBytes);
        const bytes = new Uint8Array(sizeBytes);
        const filled = await readBody(bucket, answer, bytes, connection);
        if (filled < sizeBytes) throw objectShort(bucket.place, key, sizeBytes, filled);
        return { bytes };
      } finally {
        discard(answer);
      }
    },
  );
}

export async function readRange(
  bucket: Bucket,
  key: string,
  offsetBytes: number,
  into: Uint8Array,
  { version, signal }: RangeOptions,
): Promise<Uint8Array> {
  if (into.length === 0) return into;
  const isFound = await bucket.client.run<'read' | 'missing' | 'short'>(
    `read ${key}`,
    {
      signal,
      expected: (name, status) =>
        MISSING.has(name) ? { result: 'missing' } : status === 416 ? { result: 'short' } : undefined,
    },
    async (connection) => {
      const answer = await request(bucket, key, connection, {
        Range: `bytes=${offsetBytes}-${offsetBytes + into.length - 1}`,
        ...(version === undefined ? {} : { VersionId: version }),
      });
      try {
        const start = /^bytes (\d+)-/.exec(answer.ContentRange ?? '')?.[1];
        if (Number(start) !== offsetBytes) throw rangeIgnored(bucket.place, key, offsetBytes, answer.ContentRange);
        const filled = await readBody(bucket, answer, into, connection);
        if (filled < into.length) throw objectShort(bucket.place, key, into.length, filled);
        return 'read';
      } finally {
        discard(answer);
      }
    },
  );
  if (isFound === 'missing') throw objectMissing(bucket.place, key);
  if (isFound === 'short') throw objectShort(bucket.place, key, into.length, 0);
  return into;
}

function request(
  { name: Bucket, root }: Bucket,
  key: string,
  { sdk, client, watch }: Connection,
  more: { readonly Range?: string; readonly VersionId?: string },
): Promise<GetObjectCommandOutput> {
  return client.send(new sdk.GetObjectCommand({ Bucket, Key: root + key, ...more }), { abortSignal: watch.signal });
}

/** Into the caller's memory as it comes: each byte is copied once. @returns how many there were */
async function readBody(
  { pace }: Bucket,
  answer: GetObjectCommandOutput,
  into: Uint8Array,
  { watch }: Connection,
): Promise<number> {
  let filled = 0;
  for await (const piece of answer.Body as AsyncIterable<Uint8Array>) {
    const isMore = piece.length > into.length - filled;
    const fittingBytes = isMore ? into.length - filled : piece.length;
    into.set(isMore ? piece.subarray(0, fittingBytes) : piece, filled);
    filled += fittingBytes;
    watch.moved(fittingBytes);
    giveBack(piece);
    // More than was asked for: whatever it is, it is not read.
    if (isMore) break;
    if (pace !== undefined) {
      await pace.down(fittingBytes, watch.signal);
      watch.moved(fittingBytes);
    }
  }
  return filled;
}

/** What was not read to its end would hold the connection. */
function discard(answer: GetObjectCommandOutput): void {
  const body = answer.Body as { readonly readableEnded?: boolean; destroy?(): void; on?(...listener: unknown[]): void };
  if (body.readableEnded === true) return;
  body.on?.('error', () => {});
  body.destroy?.();
}

function rangeIgnored(place: string, key: string, offsetBytes: number, found: string | undefined): AdapterError {
  return new AdapterError('STORE_FAILED', `${place}: the storage sends another part of ${key} than was asked for`, {
    expected: `from byte ${offsetBytes}`,
    found: found ?? 'no Content-Range',
    hint: 'This storage cannot hold a repository: use another one.',
  });
}
