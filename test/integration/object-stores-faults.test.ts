import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { AdapterError } from '../../src/adapters/errors.ts';
import { openStore, type StoreSettings } from '../../src/compose/object-store.ts';
import { digestOf } from '../../src/core/digest.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { probeStore } from '../../src/usecases/storage/probe-store.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { raised } from '../support/raised.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import { type S3Fault, type S3FaultServer, startS3FaultServer } from '../support/s3-fault-server.ts';
import type { S3Credentials, S3Process } from '../support/s3-process.ts';
import { startVersitygw } from '../support/versitygw-process.ts';

const QUICK = { attempts: 3, baseDelayMs: 5, maxDelayMs: 20 };
const LIMITS = { connectTimeoutMs: 2000, answerTimeoutMs: 2000, stallTimeoutMs: 1500 };
const expectedOf = (bytes: Uint8Array) => ({ digest: digestOf(bytes), sizeBytes: bytes.length });
const equal = (left: Uint8Array, right: Uint8Array) => Buffer.compare(left, right) === 0;

let buckets = 0;
const newBucket = async (server: S3Process, options?: Parameters<typeof makeBucket>[2]) => {
  buckets += 1;
  await makeBucket(server.client(), `bucket-${buckets}`, options);
  return `bucket-${buckets}`;
};

async function open(
  endpoint: string,
  bucket: string,
  { accessKeyId, secretAccessKey }: S3Credentials,
  more: Partial<StoreSettings> = {},
): Promise<ObjectStore> {
  const store = await openStore(`s3://${bucket}?endpoint=${endpoint}`, {
    environment: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    now: () => Date.now(),
    limits: LIMITS,
    retries: { policy: QUICK, firstPolicy: QUICK },
    ...more,
  });
  onTestFinished(() => store.close());
  return store;
}

describe.each([
  ['MinIO', startMinio],
  ['the Versity gateway', startVersitygw],
] as const)('%s', (_, start) => {
  let folder: string;
  let server: S3Process;
  let faults: S3FaultServer;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portolan-test-'));
    server = await start(folder);
    faults = await startS3FaultServer(server.endpoint);
  });
  afterAll(async () => {
    await faults.close();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  describe('one fault', () => {
    const kinds = ['reset', 'answer-lost', 'cut', 'longer', 'hang', 'hang-in-body', 'hang-in-request'] as const;
    const passing: readonly S3Fault[] = [
      ...kinds.map((kind) => ({ kind })),
      { kind: 'status', status: 503, code: 'SlowDown' },
      { kind: 'status', status: 500, code: 'InternalError' },
    ];
    test.each(passing.map((fault) => [JSON.stringify(fault), fault] as const))(
      '%s is got over',
      async (_name, fault) => {
        const bucket = await newBucket(server);
        const met: AdapterError[] = [];
        const store = await open(faults.endpoint, bucket, server.root, { onRetry: (failure) => met.push(failure) });
        const content = randomBytes(3_000_000);

        faults.plan(fault);
        expect(await store.put('packs/one', content)).toBe('created');
        faults.plan(fault);
        expect(await store.put('packs/one', randomBytes(3_000_000))).toBe('exists');
        faults.plan(fault);
        expect(equal(await store.get('packs/one', { maxBytes: 4e6, expected: expectedOf(content) }), content)).toBe(
          true,
        );
        faults.plan(fault);
        const range = { offsetBytes: 1_000_000, lengthBytes: 1_500_000 };
        expect(equal(await store.getRange('packs/one', range), content.subarray(1_000_000, 2_500_000))).toBe(true);
        faults.plan(fault);
        const keys: string[] = [];
        for await (const { key } of store.list('')) keys.push(key);
        expect(keys).toEqual(['packs/one']);
        faults.plan(fault);
        expect(await store.versions('packs/one')).toHaveLength(1);
        const direct = await open(server.endpoint, bucket, server.root);
        expect(equal(await direct.get('packs/one', { maxBytes: 4e6 }), content)).toBe(true);
        faults.plan(fault);
        await store.remove(['packs/one']);
        expect(await direct.stat('packs/one')).toBeUndefined();
        // Bodies of a put and of HEAD have nothing to cut: those faults pass unnoticed there.
        expect(met.length).toBeGreaterThanOrEqual(4);
      },
    );

    test('a length that lies is found out', async () => {
      const store = await open(faults.endpoint, await newBucket(server), server.root);
      const content = randomBytes(100_000);
      await store.put('packs/one', content);
      faults.plan({ kind: 'half' });
      const range = { offsetBytes: 1000, lengthBytes: 50_000 };
      expect(await raised(() => store.getRange('packs/one', range))).toMatchObject({ code: 'OBJECT_DAMAGED' });
      faults.plan({ kind: 'half' });
      // The newest version has the wrong size by what was said of it: the list of versions leads to it again.
      const options = { maxBytes: 1e6, expected: expectedOf(content) };
      expect(equal(await store.get('packs/one', options), content)).toBe(true);
      faults.plan({ kind: 'half' });
      expect(await store.get('packs/one', { maxBytes: 1e6 })).toHaveLength(50_000);
    });

    test('that lasts is told at last', async () => {
      const bucket = await newBucket(server);
      const store = await open(faults.endpoint, bucket, server.root);
      for (const [fault, code] of [
        [{ kind: 'reset' }, 'STORE_UNREACHABLE'],
        [{ kind: 'status', status: 503, code: 'SlowDown' }, 'STORE_BUSY'],
      ] as const) {
        faults.plan(...Array.from({ length: 3 }, () => fault));
        expect(await raised(() => store.put('key', randomBytes(10)))).toMatchObject({ code });
      }
      expect(await store.put('key', randomBytes(10))).toBe('created');
    });
  });

  test('a server that is gone for a while, in the middle of everything', async () => {
    const bucket = await newBucket(server);
    const policy = { attempts: 60, baseDelayMs: 50, maxDelayMs: 200 };
    let failures = 0;
    const store = await open(server.endpoint, bucket, server.root, {
      retries: { policy, firstPolicy: QUICK },
      onRetry: () => {
        failures += 1;
      },
    });
    const contents = Array.from({ length: 24 }, () => randomBytes(1_000_000));
    await store.now();
    const puts = Promise.all(contents.map((content, index) => store.put(`packs/${index}`, content)));
    await server.kill();
    await server.start();
    expect(new Set(await puts)).toEqual(new Set(['created']));
    expect(failures).toBeGreaterThan(0);
    for (const [index, content] of contents.entries()) {
      expect(equal(await store.get(`packs/${index}`, { maxBytes: 2e6 }), content)).toBe(true);
    }
  });

  test('an overwrite and a removal hide nothing from who knows the digest', async () => {
    const bucket = await newBucket(server, { versioning: true });
    const store = await open(server.endpoint, bucket, server.root);
    const client = server.client();
    const content = randomBytes(10_000);
    const Key = 'snapshots/writer/00000001.json';
    await store.put(Key, content);
    await store.put(`${Key}x`, randomBytes(10));
    const overwrite = (Body: Uint8Array) => client.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));
    const options = { maxBytes: 1e6, expected: expectedOf(content) };

    await overwrite(randomBytes(20_000));
    await overwrite(randomBytes(10_000));
    expect(equal(await store.get(Key, options), content)).toBe(true);
    const versions = await store.versions(Key);
    expect(versions.map(({ sizeBytes }) => sizeBytes)).toEqual([10_000, 20_000, 10_000]);
    const version = versions.at(-1)?.version ?? '';
    const range = { offsetBytes: 100, lengthBytes: 200 };
    expect(equal(await store.getRange(Key, range, { version }), content.subarray(100, 300))).toBe(true);
    expect(equal(await store.getRange(Key, range), content.subarray(100, 300))).toBe(false);

    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
    expect(await store.stat(Key)).toBeUndefined();
    expect(equal(await store.get(Key, options), content)).toBe(true);
    expect(equal(await store.getRange(Key, range, { version }), content.subarray(100, 300))).toBe(true);
    const other = { maxBytes: 1e6, expected: expectedOf(randomBytes(10_000)) };
    expect(await raised(() => store.get(Key, other))).toMatchObject({ code: 'OBJECT_DAMAGED' });
    expect(await raised(() => store.get(Key, { maxBytes: 1e6 }))).toMatchObject({ code: 'OBJECT_MISSING' });
  });

  test('a probe', async () => {
    const plain = await open(server.endpoint, await newBucket(server), server.root);
    const all = { mayRead: true, mayList: true, mayRemove: true };
    expect(await probeStore(plain, { now: Date.now })).toMatchObject({ ...all, keepsVersions: false });
    const kept = await open(server.endpoint, await newBucket(server, { versioning: true }), server.root);
    expect(await probeStore(kept, { now: Date.now })).toMatchObject({ ...all, keepsVersions: true });
  });

  test('wrong credentials, and a bucket that is not there', async () => {
    const bucket = await newBucket(server);
    const wrong = await open(server.endpoint, bucket, { ...server.root, secretAccessKey: 'wrong-secret' });
    expect(await raised(() => wrong.put('key', randomBytes(9)))).toMatchObject({ code: 'STORE_DENIED' });
    expect(await raised(() => wrong.stat('key'))).toMatchObject({ code: 'STORE_DENIED' });
    const none = await open(server.endpoint, 'no-such-bucket', server.root);
    expect(await raised(() => none.put('key', randomBytes(9)))).toMatchObject({ code: 'STORE_MISSING' });
    expect(await raised(() => none.list('')[Symbol.asyncIterator]().next())).toMatchObject({ code: 'STORE_MISSING' });
  });
});

describe('a writer that may only create, on MinIO', () => {
  let folder: string;
  let server: MinioProcess;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portolan-test-'));
    server = await startMinio(folder);
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('creates, is told what exists, and reads nothing', async () => {
    const bucket = await newBucket(server);
    const user = await server.createUser([
      { Effect: 'Allow', Action: ['s3:PutObject'], Resource: [`arn:aws:s3:::${bucket}/*`] },
    ]);
    const store = await open(server.endpoint, bucket, user);
    const content = randomBytes(100_000);
    expect(await store.put('packs/one', content)).toBe('created');
    expect(await store.put('packs/one', content)).toBe('exists');
    expect(Math.abs((await store.now()).getTime() - Date.now())).toBeLessThan(3_600_000);
    const denied = { name: 'AdapterError', code: 'STORE_DENIED' };
    expect(await raised(() => store.get('packs/one', { maxBytes: 1e6 }))).toMatchObject(denied);
    expect(await raised(() => store.stat('packs/one'))).toMatchObject(denied);
    expect(await raised(() => store.remove(['packs/one']))).toMatchObject(denied);
    expect(await raised(() => store.list('')[Symbol.asyncIterator]().next())).toMatchObject(denied);
    expect(await probeStore(store, { now: Date.now })).toMatchObject({
      mayRead: false,
      mayList: false,
      mayRemove: false,
    });
  });
});
