/** `portolan storage check` on real servers, with the policies that are given out and with others. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { composeStorageCheck } from '../../src/compose/storage-check.ts';
import type { PolicyStatement, StorageRole } from '../../src/formats/storage/policy.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import type { RightsFinding } from '../../src/usecases/storage/check-rights.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { portolan, portolanText } from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { type BucketOptions, makeBucket } from '../support/s3-bucket.ts';
import type { S3Credentials, S3Process } from '../support/s3-process.ts';
import { policyOf } from '../support/storage-policies.ts';
import { startVersitygw, type VersitygwProcess } from '../support/versitygw-process.ts';

let folder: string;
let minio: MinioProcess;
let buckets = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  minio = await startMinio(join(folder, 'minio'));
});
afterAll(async () => {
  await minio?.close();
  await rm(folder, { recursive: true, force: true });
});

const LOCKED: BucketOptions = { lock: { days: 1 } };

async function newBucket(options: BucketOptions, server: S3Process = minio): Promise<string> {
  buckets += 1;
  await makeBucket(server.client(), `bucket-${buckets}`, options);
  return `bucket-${buckets}`;
}

const policy = (role: StorageRole, bucket: string, prefix = 'shop') =>
  policyOf(role.replace(/^./, (letter) => letter.toUpperCase()) as never, {
    ...{ bucket, prefix, writer: 'db-1', verifier: 'anna' },
  });

function environmentOf({ accessKeyId, secretAccessKey }: S3Credentials) {
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}

interface Checked {
  readonly findings: readonly RightsFinding[];
  /** The rows that are not right. */
  readonly wrong: readonly string[];
}

async function check(role: StorageRole, repo: string, user: S3Credentials): Promise<Checked> {
  const running = {
    ...{ env: environmentOf(user), cwd: folder, now: () => Date.now() },
    ...{ progress: silentProgress, signal: new AbortController().signal },
  };
  const request = { role, writer: role === 'writer' ? 'db-1' : '', verifier: role === 'verifier' ? 'anna' : '' };
  const { findings } = await composeStorageCheck({ repo }, request, running);
  return { findings, wrong: wrongOf(findings) };
}

function wrongOf(findings: readonly RightsFinding[]): string[] {
  return findings.filter(({ ok }) => !ok).map(({ action, on, found }) => `${action} ${on}: ${found}`);
}

const at = (bucket: string, prefix = 'shop', server: S3Process = minio) =>
  `s3://${bucket}/${prefix}?endpoint=${server.endpoint}`;

describe('on MinIO', () => {
  test.each(['reader', 'writer', 'pruner', 'verifier', 'approver'] as const)(
    'the policy of the %s gives it what it needs, and nothing else',
    async (role) => {
      const bucket = await newBucket(LOCKED);
      const { wrong, findings } = await check(role, at(bucket), await minio.createUser(policy(role, bucket)));
      expect(wrong).toEqual([]);
      const hidden = findings.filter(({ action }) => action.startsWith('read what'));
      expect(hidden).toHaveLength({ reader: 0, writer: 1, pruner: 2, verifier: 1, approver: 1 }[role]);
    },
  );

  test('whoever may do everything is found out in all of it, and nothing but the object of the check is left', async () => {
    const bucket = await newBucket(LOCKED);
    const args = ['storage', 'check', '--repo', at(bucket), '--role', 'writer', '--writer', 'db-1'];
    const { status, error, result } = await portolan(args, { env: environmentOf(minio.root) });
    expect({ status, error }).toMatchObject({ status: 3, error: { code: 'STORAGE_RIGHTS_WRONG' } });
    const findings = result?.findings as readonly RightsFinding[];
    const wrong = wrongOf(findings);
    expect(wrong).toHaveLength(findings.filter(({ expected }) => expected === 'refused').length);
    expect(new Set(findings.filter(({ ok }) => !ok).map(({ action }) => action))).toEqual(
      new Set([
        ...['list', 'put', 'delete', 'delete version', 'set retention', 'set legal hold'],
        ...['set versioning', 'set object lock', 'set life cycle', 'set bucket policy'],
      ]),
    );
    const client = minio.client();
    const Bucket = bucket;
    const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }));
    expect(Versions.map(({ Key }) => Key)).toEqual([
      'shop/snapshots/db-1/portolan-check',
      'shop/snapshots/db-1/portolan-check',
    ]);
    for (const { Key } of DeleteMarkers) expect(Key).toMatch(/portolan-check$/);
    expect(await client.send(new GetBucketVersioningCommand({ Bucket }))).toMatchObject({ Status: 'Enabled' });
    expect(await client.send(new GetObjectLockConfigurationCommand({ Bucket }))).toMatchObject({
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 1 } } },
    });
    for (const command of [
      new GetBucketPolicyCommand({ Bucket }),
      new GetBucketLifecycleConfigurationCommand({ Bucket }),
    ]) {
      await expect(client.send(command as GetBucketPolicyCommand)).rejects.toThrow(/does not exist/);
    }
  });

  const objects = (bucket: string, keys: string) => [`arn:aws:s3:::${bucket}/shop/${keys}`];
  const allow = (action: string, Resource: readonly string[]): PolicyStatement => ({
    ...{ Effect: 'Allow', Action: [`s3:${action}`], Resource },
  });
  test.each<[string, StorageRole, (bucket: string) => readonly PolicyStatement[], readonly string[]]>([
    [
      'a writer who may put anywhere in his folder',
      'writer',
      (bucket) => [...policy('writer', bucket), allow('PutObject', objects(bucket, '*'))],
      [
        ...['repo.json', 'keys/portolan-check', 'evidence/portolan-check', 'rewraps/portolan-check'],
        ...['index', 'contents', 'snapshots'].map((prefix) => `${prefix}/portolan-check/portolan-check`),
        ...['forgotten/db-1/portolan-check', 'forgotten/portolan-check/portolan-check', 'marks/portolan-check'],
        ...['verified/portolan-check/portolan-check-portolan-check', 'probes/portolan-check'],
      ].map((key) => `put ${key}: allowed`),
    ],
    [
      'a writer who may delete his own',
      'writer',
      (bucket) => [...policy('writer', bucket), allow('DeleteObject', objects(bucket, 'snapshots/db-1/*'))],
      ['delete snapshots/db-1/portolan-check: allowed', 'delete version snapshots/db-1/portolan-check: allowed'],
    ],
    [
      'a writer without snapshots',
      'writer',
      (bucket) => [...policy('reader', bucket), allow('PutObject', objects(bucket, 'packs/*'))],
      [
        ...['put runs/portolan-check: refused', 'put index/db-1/portolan-check: refused'],
        ...['put contents/db-1/portolan-check: refused', 'put snapshots/db-1/portolan-check: refused'],
        'store snapshots/db-1/portolan-check: refused',
      ],
    ],
    [
      'a pruner who is not denied versions',
      'pruner',
      (bucket) => policy('pruner', bucket).filter(({ Effect }) => Effect === 'Allow'),
      [
        ...['runs/portolan-check', 'packs/portolan-check', 'index/portolan-check/portolan-check'],
        ...[
          'contents/portolan-check/portolan-check',
          'snapshots/portolan-check/portolan-check',
          'marks/portolan-check',
        ],
      ].map((key) => `delete version ${key}: allowed`),
    ],
    [
      'a reader of the whole bucket who may turn versions off',
      'reader',
      (bucket) => [...policy('reader', bucket, ''), allow('PutBucketVersioning', [`arn:aws:s3:::${bucket}`])],
      ['list the whole bucket: allowed', 'set versioning the bucket: allowed'],
    ],
    [
      'a verifier who is another one',
      'verifier',
      (bucket) => policyOf('Verifier', { bucket, prefix: 'shop', verifier: 'berta' }),
      [
        'put verified/portolan-check/anna-portolan-check: refused',
        'store verified/portolan-check/anna-portolan-check: refused',
      ],
    ],
  ])('%s is found out', async (_, role, statements, expected) => {
    const bucket = await newBucket(LOCKED);
    const { wrong } = await check(role, at(bucket), await minio.createUser(statements(bucket)));
    expect(wrong.toSorted()).toEqual(expected.toSorted());
  });

  test('a bucket without versions, or without a lock, is found out by the right policy', async () => {
    const plain = await newBucket({});
    const hidden = 'read what an overwrite hid snapshots/db-1/portolan-check: gone';
    expect((await check('writer', at(plain), await minio.createUser(policy('writer', plain)))).wrong).toEqual([
      ...['versions the bucket: off', 'object lock by default the bucket: off', hidden],
    ]);
    const versioned = await newBucket({ versioning: true });
    const user = await minio.createUser(policy('writer', versioned));
    expect((await check('writer', at(versioned), user)).wrong).toEqual(['object lock by default the bucket: off']);
    // What the bucket does not say to these credentials shows all the same.
    const blind = policy('writer', plain).filter(({ Action }) => !Action.includes('s3:GetBucketVersioning'));
    expect((await check('writer', at(plain), await minio.createUser(blind))).wrong).toEqual([hidden]);
  });

  test('whoever is not known, and a bucket that is not there, are errors and no findings', async () => {
    const bucket = await newBucket(LOCKED);
    const user = await minio.createUser(policy('reader', bucket));
    for (const wrong of [{ accessKeyId: 'nobody' }, { secretAccessKey: 'x'.repeat(40) }]) {
      expect(await raised(() => check('reader', at(bucket), { ...user, ...wrong }))).toMatchObject({
        code: 'STORE_DENIED',
      });
    }
    expect(await raised(() => check('reader', at('none'), minio.root))).toMatchObject({ code: 'STORE_MISSING' });
  });

  test('a person sees a table', async () => {
    const bucket = await newBucket(LOCKED);
    const args = ['storage', 'check', '--repo', at(bucket, ''), '--role', 'reader'];
    const user = await minio.createUser([
      ...policy('reader', bucket, ''),
      allow('PutObject', [`arn:aws:s3:::${bucket}/keys/*`]),
    ]);
    const { status, stdout, stderr } = await portolanText(args, { env: environmentOf(user) });
    expect(status).toBe(3);
    expect(stdout).toMatch(
      /^ +ACTION +ON +EXPECTED +FOUND\nWRONG +put +keys\/portolan-check +refused +allowed \(BadDigest\)\n +list +the repository +allowed +allowed\n/,
    );
    expect(stdout).toMatch(/^ +put +\d+ places +refused +refused$/m);
    expect(stdout).toMatch(/^ +object lock by default +the bucket +compliance +compliance, 1 day$/m);
    expect(stderr).toContain('STORAGE_RIGHTS_WRONG');
  });
});

describe('on versitygw', () => {
  let gateway: VersitygwProcess;
  beforeAll(async () => {
    gateway = await startVersitygw(join(folder, 'versitygw'));
  });
  afterAll(() => gateway?.close());

  test.each(['writer', 'pruner'] as const)('the policy of the %s holds as one of the bucket', async (role) => {
    const bucket = await newBucket(LOCKED, gateway);
    const user = await gateway.createUser();
    const statements = policy(role, bucket).map((s) => ({ ...s, Principal: { AWS: [user.accessKeyId] } }));
    await gateway.client().send(
      new PutBucketPolicyCommand({
        Bucket: bucket,
        Policy: JSON.stringify({ Version: '2012-10-17', Statement: statements }),
      }),
    );
    const { wrong } = await check(role, at(bucket, 'shop', gateway), user);
    expect(wrong).toEqual([]);
  });
});

test('a folder promises nothing, and says so', async () => {
  const { status, error } = await portolan(['storage', 'check', '--repo', join(folder, 'backups'), '--role', 'reader']);
  expect({ status, error }).toMatchObject({ status: 3, error: { code: 'STORAGE_PROMISES_NOTHING' } });
});
