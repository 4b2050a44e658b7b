import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest';
import { openStore } from '../../src/compose/object-store.ts';
import { startMinio } from '../support/minio-process.ts';
import { objectStoreSuite } from '../support/object-store-suite.ts';
import { type BucketOptions, makeBucket } from '../support/s3-bucket.ts';
import type { S3Process } from '../support/s3-process.ts';
import { startVersitygw } from '../support/versitygw-process.ts';

let buckets = 0;

describe.each([
  ['MinIO', startMinio, {}, {}, ''],
  ['MinIO over TLS, a bucket with lock, SHA-256', startMinio, { tls: true }, { lock: { days: 1 } }, '&checksum=sha256'],
  ['the Versity gateway', startVersitygw, {}, {}, ''],
  [
    'the Versity gateway over TLS, with versions, no checksums',
    startVersitygw,
    { tls: true },
    { versioning: true },
    '&checksum=none',
  ],
] as const)('%s', (_, start, serverOptions, bucketOptions: BucketOptions, more) => {
  let folder: string;
  let server: S3Process;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portolan-test-'));
    server = await start(folder, serverOptions);
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  objectStoreSuite({
    removedStaysTaken: start === startVersitygw && 'versioning' in bucketOptions,
    async open() {
      buckets += 1;
      const bucket = `bucket-${buckets}`;
      await makeBucket(server.client(), bucket, bucketOptions);
      const again = async () => {
        const store = await openStore(`s3://${bucket}/a/prefix?endpoint=${server.endpoint}${more}`, {
          environment: {
            AWS_ACCESS_KEY_ID: server.root.accessKeyId,
            AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
          },
          now: () => Date.now(),
          ...(server.caFile === undefined ? {} : { caFile: server.caFile }),
        });
        onTestFinished(() => store.close());
        return store;
      };
      return { store: await again(), again };
    },
  });
});
