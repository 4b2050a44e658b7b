/** A network to the object storage that goes away in the middle of a backup and of a restore of a real database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { openStore, type StoreSettings } from '../../src/compose/object-store.ts';
import type { ChunkReader, ChunkWriter } from '../../src/ports/chunks.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { copyRepository } from '../../src/usecases/repository/copy.ts';
import { type BackupRepository, signal } from '../support/backup-repository.ts';
import { emptyServer, type FaultScene, startFaultScene } from '../support/connection-faults.ts';
import { failureOf } from '../support/fault-positions.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { type Outage, startOutage } from '../support/outage.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { dumpAll, firstDifference, restoreInto } from '../support/restore-fixture.ts';
import { makeBucket } from '../support/s3-bucket.ts';

let folder: string;
let scene: FaultScene;
let target: PostgresServer;
let minio: MinioProcess;
let network: Outage;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-network-'));
  scene = await startFaultScene();
  target = await startPostgres();
  minio = await startMinio(folder);
  await makeBucket(minio.client(), 'bucket', { versioning: false });
  network = await startOutage(Number(new URL(minio.endpoint).port));
  const store = await open();
  const tools = { progress: silentProgress, now: Date.now };
  expect(await copyRepository(await scene.repository.open(), store, tools, { signal })).toMatchObject({ problems: [] });
  await store.close();
});
afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
  await Promise.all([scene?.[Symbol.asyncDispose](), target?.stop(), minio?.close()]);
  await rm(folder, { recursive: true, force: true });
});

async function open(settings: Partial<StoreSettings> = {}): Promise<ObjectStore> {
  const { accessKeyId, secretAccessKey } = minio.root;
  return await openStore(`s3://bucket/backups?endpoint=http://127.0.0.1:${network.port}`, {
    environment: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    now: Date.now,
    ...settings,
  });
}

/** Tries so often; `until` is told of each try that failed. */
async function openTrying(attempts: number, until: (code: string) => void = () => {}): Promise<ObjectStore> {
  const policy = { attempts, baseDelayMs: 20, maxDelayMs: 200 };
  const store = await open({
    retries: { policy, firstPolicy: policy },
    limits: { connectTimeoutMs: 400, answerTimeoutMs: 400, stallTimeoutMs: 400 },
    onRetry: ({ code }) => until(code),
  });
  onTestFinished(() => store.close());
  return store;
}

/** Something that happens once, when the first rows were read or are about to be restored. */
function once(act: () => Promise<void>): () => Promise<void> {
  let pending: (() => Promise<void>) | undefined = act;
  return async () => {
    const now = pending;
    pending = undefined;
    await now?.();
  };
}

async function backUp(store: ObjectStore, meanwhile: () => Promise<void> = async () => {}): Promise<unknown> {
  return await scene.backUp({
    store,
    createChunkWriter: async (settings): Promise<ChunkWriter> => {
      const writer = await createChunkWriter(settings);
      return {
        ...writer,
        async copy(...job) {
          const record = await writer.copy(...job);
          await meanwhile();
          return record;
        },
      };
    },
  });
}

async function restore(store: ObjectStore, meanwhile: () => Promise<void> = async () => {}): Promise<void> {
  const repository: BackupRepository = { ...scene.repository, open: () => scene.repository.open(store) };
  const report = await restoreInto(repository, target, {
    change: (dependencies) => ({
      ...dependencies,
      createChunkReader: async (settings): Promise<ChunkReader> => {
        const reader = await createChunkReader({ ...settings, workers: 2 });
        return {
          ...reader,
          async copy(...job) {
            await meanwhile();
            return await reader.copy(...job);
          },
        };
      },
    }),
  });
  expect(report).toMatchObject({ done: true, problems: [] });
  expect(firstDifference(scene.expected, (await dumpAll(target)).toSorted())).toBeUndefined();
  await emptyServer(target);
}

const AWAY = ['refuse', 'swallow'] as const;
const NO_ANSWER = ['STORE_UNREACHABLE', 'STORE_TIMEOUT'];

test.each(AWAY)('%s: a network that comes back in time is waited for', async (away) => {
  for (const work of [backUp, restore]) {
    const met: string[] = [];
    const store = await openTrying(30, (code) => {
      met.push(code);
      if (met.length === 5) void network.comeBack();
    });
    await work(
      store,
      once(() => network[away]()),
    );
    expect(met.length, work.name).toBeGreaterThanOrEqual(5);
    expect(NO_ANSWER, work.name).toEqual(expect.arrayContaining([...new Set(met)]));
  }
  await scene.expectWhole(`after ${away}`, await openTrying(1));
});

test.each(AWAY)(
  '%s: one that stays away is said, and what was done is gone on with when it is there again',
  async (away) => {
    for (const work of [backUp, restore]) {
      const store = await openTrying(3);
      const failure = await failureOf(() =>
        work(
          store,
          once(() => network[away]()),
        ),
      );
      expect(NO_ANSWER, work.name).toContain(failure?.code);
      expect(failure?.hint, work.name).toBeDefined();
      await network.comeBack();
      await work(await openTrying(3));
    }
    await scene.expectWhole(`after ${away}`, await openTrying(1));
  },
);
