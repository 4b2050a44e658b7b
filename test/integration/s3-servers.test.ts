import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListBucketsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startMinio } from '../support/minio-process.ts';
import { makePrivateCertificate } from '../support/private-certificate.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import type { S3Process, S3ProcessOptions } from '../support/s3-process.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { startVersitygw } from '../support/versitygw-process.ts';

const Bucket = 'backups';
const Key = 'packs/one';

const text = async (client: S3Client, VersionId?: string) => {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...(VersionId && { VersionId }) }));
  return Body?.transformToString();
};
const status = (code: number) => ({ $metadata: { httpStatusCode: code } });

async function started<T extends S3Process>(
  start: (folder: string, options?: S3ProcessOptions) => Promise<T>,
  options?: S3ProcessOptions,
): Promise<T> {
  const server = await start(await temporaryFolder(), options);
  // Before the folder goes: what is registered last runs first.
  onTestFinished(() => server.close());
  return server;
}

describe.each([
  ['MinIO', startMinio],
  ['the Versity gateway', startVersitygw],
] as const)('%s of scripts/peers', (_name, start) => {
  test('creates an object once, keeps its versions, and deletes none that is locked', async () => {
    const server = await started<S3Process>(start);
    const client = server.client();
    await makeBucket(client, Bucket, { lock: { days: 1 } });
    const { VersionId } = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'first', IfNoneMatch: '*' }));
    const again = new PutObjectCommand({ Bucket, Key, Body: 'second', IfNoneMatch: '*' });
    await expect(client.send(again)).rejects.toMatchObject(status(412));
    await client.send(new PutObjectCommand({ Bucket, Key, Body: 'over it' }));
    expect(await text(client)).toBe('over it');
    expect(await text(client, VersionId)).toBe('first');

    await expect(client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }))).rejects.toMatchObject({
      $fault: 'client',
    });
    const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }));
    expect(Versions.map((version) => version.VersionId)).toContain(VersionId);
    expect(Versions).toHaveLength(2);
  });

  test('comes back with its objects after an end of either kind', async () => {
    const server = await started<S3Process>(start);
    const client = server.client();
    await makeBucket(client, Bucket, { versioning: true });
    await client.send(new PutObjectCommand({ Bucket, Key, Body: 'kept' }));
    await server.kill();
    await server.start();
    expect(await text(client)).toBe('kept');
    await server.stop();
    await expect(text(client)).rejects.toThrow();
    await server.start();
    expect(await text(client)).toBe('kept');
  });

  test('speaks TLS with the certificate of its own authority', async () => {
    const server = await started<S3Process>(start, { tls: true });
    expect(server.endpoint).toMatch(/^https:/);
    await makeBucket(server.client(), Bucket);
    const { caFile } = await makePrivateCertificate(await temporaryFolder());
    const stranger = new S3Client({
      endpoint: server.endpoint,
      region: server.region,
      credentials: server.root,
      maxAttempts: 1,
      requestHandler: { httpsAgent: new Agent({ ca: await readFile(caFile) }) },
    });
    onTestFinished(() => stranger.destroy());
    await expect(stranger.send(new ListBucketsCommand({}))).rejects.toMatchObject({
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
  });
});

test('a user of MinIO may do what its policy says', async () => {
  const server = await started(startMinio);
  await makeBucket(server.client(), Bucket);
  const Resource = [`arn:aws:s3:::${Bucket}/packs/*`];
  const writer = server.client(await server.createUser([{ Effect: 'Allow', Action: ['s3:PutObject'], Resource }]));
  const reader = server.client(await server.createUser([{ Effect: 'Allow', Action: ['s3:GetObject'], Resource }]));
  await writer.send(new PutObjectCommand({ Bucket, Key, Body: 'written' }));
  await expect(text(writer)).rejects.toMatchObject(status(403));
  expect(await text(reader)).toBe('written');
  await expect(reader.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))).rejects.toMatchObject(status(403));
});

test('whoever may delete objects of MinIO deletes their versions too, unless that is denied (docs/storage-policies.md, "Pruner")', async () => {
  const server = await started(startMinio);
  const root = server.client();
  await makeBucket(root, Bucket, { versioning: true });
  const Resource = [`arn:aws:s3:::${Bucket}/packs/*`];
  const allowed = { Effect: 'Allow', Action: ['s3:DeleteObject'], Resource } as const;
  const denied = { Effect: 'Deny', Action: ['s3:DeleteObjectVersion'], Resource } as const;
  const put = async () => (await root.send(new PutObjectCommand({ Bucket, Key, Body: 'written' }))).VersionId ?? '';
  const VersionId = await put();
  const pruner = server.client(await server.createUser([allowed, denied]));
  await expect(pruner.send(new DeleteObjectCommand({ Bucket, Key, VersionId }))).rejects.toMatchObject(status(403));
  await pruner.send(new DeleteObjectCommand({ Bucket, Key }));
  expect(await text(root, VersionId)).toBe('written');
  const thief = server.client(await server.createUser([allowed]));
  await thief.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
  await expect(text(root, VersionId)).rejects.toMatchObject(status(404));
});
