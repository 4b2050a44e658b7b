/**
 * Whoever took over the machine of a writer: he has its signing key, its writer key file and its credentials for the storage, a real
 * bucket with versions and a lock, under the policies that docs/storage-policies.md gives out. And he leaves out what holds honest
 * programs back.
 */
import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { openStore } from '../../src/compose/object-store.ts';
import { digestOf } from '../../src/core/digest.ts';
import { PortolanError } from '../../src/core/errors.ts';
import { openBytes } from '../../src/formats/age/sealed-bytes.ts';
import { deriveChunkIdKey } from '../../src/formats/repository/chunk-keys.ts';
import { CHUNK_RECORD_BYTES } from '../../src/formats/repository/chunk-table.ts';
import {
  indexKey,
  KEY_PREFIXES,
  markKey,
  parseRepositoryKey,
  snapshotKey,
  type WriterName,
} from '../../src/formats/repository/keys.ts';
import { encodeMark } from '../../src/formats/repository/mark.ts';
import { encodeSnapshot, readUnverifiedSnapshot } from '../../src/formats/repository/snapshot.ts';
import type { ChunkWriterSettings } from '../../src/ports/chunks.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { createInlineChunkWriter, INLINE_CHUNK_BYTES } from '../support/inline-chunks.ts';
import {
  type Content,
  createTestRepository,
  isContent,
  type TestRepository,
  type Writer,
} from '../support/memory-repository.ts';
import { createMachineMemory } from '../support/memory-state.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { raised } from '../support/raised.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import type { S3Credentials } from '../support/s3-process.ts';
import { policyOf, type StorageRole } from '../support/storage-policies.ts';

const PREFIX = 'backups';
const content = (seed: string): Content => ({ a: pseudoRandom('a', 12_000), b: pseudoRandom(seed, 9000) });

let folder: string;
let server: MinioProcess;
let buckets = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  server = await startMinio(folder);
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A repository with two snapshots of db-1 and one of db-2, and what the thief of db-1 has. */
interface Scene extends AsyncDisposable {
  readonly repository: TestRepository;
  readonly writer: Writer;
  readonly other: Writer;
  readonly truth: ReadonlyMap<string, Content>;
  /** The storage as each role may use it. */
  as(role: StorageRole): ObjectStore;
  /** Amazon's own client with the writer's credentials. */
  readonly thief: S3Client;
  readonly bucket: string;
  /** What everybody reads who never was here before. */
  expectTruth(): Promise<void>;
}

async function scene(): Promise<Scene> {
  buckets += 1;
  const bucket = `bucket-${buckets}`;
  await makeBucket(server.client(), bucket, { lock: { days: 1 } });
  const stores: ObjectStore[] = [];
  const open = async ({ accessKeyId, secretAccessKey }: S3Credentials) => {
    const store = await openStore(`s3://${bucket}/${PREFIX}?endpoint=${server.endpoint}`, {
      environment: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      now: () => Date.now(),
    });
    stores.push(store);
    return store;
  };
  const clock = {
    get storageMs() {
      return Date.now();
    },
    aheadMs: 0,
  };
  const repository = await createTestRepository(await open(server.root), clock, {
    writers: ['db-1', 'db-2'],
    verifiers: true,
  });
  const [writer, other] = repository.writers as [Writer, Writer];
  const roles = new Map<StorageRole, ObjectStore>();
  let credentials: S3Credentials | undefined;
  for (const role of ['Reader', 'Writer', 'Pruner', 'Verifier', 'Approver'] as const) {
    const names = { bucket, prefix: PREFIX, writer: writer.name, verifier: 'verifier' };
    const user = await server.createUser(policyOf(role, names));
    if (role === 'Writer') credentials = user;
    roles.set(role, await open(user));
  }
  const as = (role: StorageRole) => roles.get(role) as ObjectStore;
  const truth = new Map<string, Content>();
  for (const seed of ['first', 'second']) {
    const { sequence } = await repository.run(writer, content(seed), { store: as('Writer') });
    truth.set(`db-1/${sequence}`, content(seed));
  }
  await repository.run(other, content('other'));
  truth.set('db-2/1', content('other'));
  return {
    ...{ repository, writer, other, truth, as, bucket, thief: server.client(credentials) },
    async expectTruth() {
      for (const [snapshot, wanted] of truth) {
        const at = { store: as('Reader'), memory: createMachineMemory(), createChunkReader };
        expect(isContent(await repository.read(snapshot, at), wanted), snapshot).toBe(true);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const store of stores) await store.close();
    },
  };
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  return keys;
}

/** By the policy, or by the lock before that is asked. */
const REFUSALS = ['AccessDenied', 'InvalidRequest'];

async function refused(work: Promise<unknown>): Promise<void> {
  const { name } = await work.then(
    () => ({ name: 'done' }),
    (error: Error) => error,
  );
  expect(REFUSALS).toContain(name);
}

test('each role does its work with what its policy gives it, and nothing is left over', async () => {
  await using here = await scene();
  const { repository, as, writer } = here;
  const { people } = repository;
  const third = await repository.run(writer, content('second'), { store: as('Writer') });
  expect(third).toMatchObject({ sequence: 3, newBytes: 0 });
  const sign = { signer: people.verifier, program: '0' };
  const identities = [people.reader.identity];
  const checked = await repository.check({ identities, sign }, { store: as('Verifier') });
  expect(checked).toMatchObject({ problems: [], signed: ['db-1/3', 'db-2/1'] });
  await repository.forget({ named: ['db-1/1'] }, { store: as('Pruner') });
  expect(await repository.prune({ store: as('Pruner') })).toMatchObject({ done: true });
  expect([...(await repository.digests({ store: as('Reader') })).keys()]).toEqual(['db-1/2', 'db-1/3', 'db-2/1']);
  await repository.change((roster) => ({ ...roster, minimumRecipients: 1 }), { store: as('Approver') });
  await repository.rewrap(identities, { store: as('Approver') });
  // No role does another's.
  const nobody = { ...here.other, memory: createMachineMemory() };
  for (const role of ['Reader', 'Pruner', 'Verifier'] as const) {
    const run = () => repository.run({ ...writer, memory: createMachineMemory() }, content('x'), { store: as(role) });
    expect(await raised(run), role).toMatchObject({ code: 'STORE_DENIED' });
  }
  expect(await raised(() => repository.run(nobody, content('x'), { store: as('Writer') }))).toMatchObject({
    code: 'STORE_DENIED',
  });
  const approve = () => repository.change((roster) => roster, { store: as('Writer') });
  expect(await raised(approve)).toMatchObject({ code: 'STORE_DENIED' });
});

test('he reads no content', async () => {
  await using here = await scene();
  const { as, writer, truth } = here;
  const store = as('Writer');
  const needles = [...truth.values()].flatMap(Object.values).map((bytes: Uint8Array) => bytes.subarray(100, 132));
  const opened: string[] = [];
  for (const key of await keysOf(store)) {
    const bytes = Buffer.from(await store.get(key, { maxBytes: 1 << 26 }));
    const texts = [bytes];
    try {
      texts.push(Buffer.from(await openBytes(bytes, [writer.key.indexIdentity], { maxBytes: 1 << 26 })));
      opened.push(key);
    } catch (error) {
      if (!(error instanceof PortolanError)) throw error;
    }
    for (const text of texts) {
      for (const needle of needles) expect(text.includes(Buffer.from(needle)), key).toBe(false);
      expect(text.includes('AGE-SECRET-KEY'), key).toBe(false);
      expect(text.includes('files/files'), key).toBe(false);
    }
  }
  // His own indexes, which name chunks by keyed ids.
  expect(opened).toHaveLength(2);
  for (const key of opened) expect(key).toContain(`${KEY_PREFIXES.index}${writer.name}/`);
});

test('he removes nothing, and takes no lock away', async () => {
  await using here = await scene();
  const { as, thief, bucket: Bucket } = here;
  const keys = await keysOf(as('Writer'));
  for (const key of keys) {
    expect(await raised(() => as('Writer').remove([key])), key).toMatchObject({ code: 'STORE_DENIED' });
  }
  const { Versions: versions = [] } = await server.client().send(new ListObjectVersionsCommand({ Bucket }));
  expect(versions.length).toBeGreaterThanOrEqual(keys.length);
  const Retention = { Mode: 'GOVERNANCE', RetainUntilDate: new Date(Date.now() + 60_000) } as const;
  for (const { Key, VersionId } of versions) {
    await refused(thief.send(new DeleteObjectCommand({ Bucket, Key, VersionId })));
    const bypass = { BypassGovernanceRetention: true };
    await refused(thief.send(new DeleteObjectCommand({ Bucket, Key, VersionId, ...bypass })));
    await refused(thief.send(new PutObjectRetentionCommand({ Bucket, Key, VersionId, Retention, ...bypass })));
  }
  const suspended = { VersioningConfiguration: { Status: 'Suspended' } } as const;
  await refused(thief.send(new PutBucketVersioningCommand({ Bucket, ...suspended })));
  const none = { ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' } } as const;
  await refused(thief.send(new PutObjectLockConfigurationCommand({ Bucket, ...none })));
  await refused(thief.send(new DeleteBucketCommand({ Bucket })));
  expect(await keysOf(as('Reader'))).toEqual(keys);
  // Even who administers the storage does not: that is the lock's.
  const [{ Key, VersionId } = {}] = versions;
  await refused(server.client().send(new DeleteObjectCommand({ Bucket, Key, VersionId })));
  await here.expectTruth();
});

test('what he puts over objects makes no snapshot unreadable, and is told', async () => {
  await using here = await scene();
  const { repository, as, thief, bucket: Bucket, writer } = here;
  const overwritten: string[] = [];
  for (const key of await keysOf(as('Writer'))) {
    const { sizeBytes = 0 } = (await as('Writer').stat(key)) ?? {};
    const put = { Bucket, Key: `${PREFIX}/${key}`, Body: Buffer.from(pseudoRandom(key, sizeBytes)) };
    const kind = parseRepositoryKey(key)?.kind ?? '';
    const isHis = key.includes(`/${writer.name}/`) || kind === 'pack' || kind === 'runKey';
    if (!isHis) {
      await refused(thief.send(new PutObjectCommand(put)));
      continue;
    }
    await thief.send(new PutObjectCommand(put));
    overwritten.push(key);
  }
  const kinds = new Set(overwritten.map((key) => parseRepositoryKey(key)?.kind));
  expect(kinds).toEqual(new Set(['runKey', 'pack', 'index', 'contents', 'snapshot']));
  await here.expectTruth();
  const { problems } = await repository.check({}, { store: as('Reader'), memory: createMachineMemory() });
  const named = problems.map(({ at }) => at?.file);
  // A snapshot is signed: the right one is found, and nothing is wrong with it.
  for (const key of overwritten) {
    if (!key.startsWith(KEY_PREFIXES.snapshot)) expect(named).toContain(key);
  }
  // The honest machine goes on.
  const next = await repository.run(writer, content('third'), { store: as('Writer') });
  const reading = { store: as('Reader'), createChunkReader };
  expect(isContent(await repository.read(`db-1/${next.sequence}`, reading), content('third'))).toBe(true);
});

test('a snapshot that he signs and puts over an older one takes nothing away, and shows as a fork of the newest', async () => {
  await using here = await scene();
  const { repository, as, thief, bucket: Bucket, writer } = here;
  const forge = async (sequence: number) => {
    const key = snapshotKey(writer.name, sequence);
    const { document } = readUnverifiedSnapshot(await as('Writer').get(key, { maxBytes: 1 << 20 }), key);
    const Body = Buffer.from(encodeSnapshot({ ...document, tags: ['forged'] }, writer.signer));
    await thief.send(new PutObjectCommand({ Bucket, Key: `${PREFIX}/${key}`, Body }));
  };
  await forge(1);
  await here.expectTruth();
  await forge(2);
  // Who saw the true one still reads it; who never was here is shown the fork by what the other writer saw.
  const seen = writer.memory.fork();
  const at = { store: as('Reader'), memory: seen, createChunkReader };
  expect(isContent(await repository.read('db-1/2', at), content('second'))).toBe(true);
  const stranger = { store: as('Reader'), memory: createMachineMemory() };
  const { problems } = await repository.check({}, stranger);
  expect(problems.map(({ code }) => code)).toContain('SNAPSHOTS_FORKED');
});

/** A chunk writer that says of its chunks that they are those of other content. */
function lying(about: Uint8Array) {
  return async (settings: ChunkWriterSettings) => {
    const key = deriveChunkIdKey(settings.idKey, settings.repository);
    const ids: Buffer[] = [];
    for (let at = 0; at < about.length; at += INLINE_CHUNK_BYTES) {
      const chunk = about.subarray(at, at + INLINE_CHUNK_BYTES);
      ids.push(createHmac('sha256', key).update(chunk).digest());
    }
    return await createInlineChunkWriter({
      ...settings,
      onPack(pack) {
        const chunks = Buffer.from(pack.chunks);
        for (let at = 0; at < chunks.length; at += CHUNK_RECORD_BYTES) ids.shift()?.copy(chunks, at);
        return settings.onPack?.({ ...pack, chunks: new Uint8Array(chunks) });
      },
    });
  };
}

test('a false index spoils what is built on it, which is told and never restored; a full run and other writers are right', async () => {
  await using here = await scene();
  const { repository, as, writer } = here;
  const { reader } = repository.people;
  const tomorrow: Content = { b: pseudoRandom('tomorrow', 12_288) };
  const rubbish: Content = { b: pseudoRandom('rubbish', 12_288) };
  const createChunkWriter = lying(tomorrow.b as Uint8Array);
  await repository.run(writer, rubbish, { store: as('Writer'), createChunkWriter });
  // The honest program takes his word: the chunks of tomorrow are there already.
  const poisoned = await repository.run(writer, tomorrow, { store: as('Writer') });
  expect(poisoned).toMatchObject({ sequence: 4, newBytes: 0 });
  const reading = { store: as('Reader'), createChunkReader };
  expect(await raised(() => repository.read('db-1/4', reading))).toBeInstanceOf(PortolanError);
  const { problems } = await repository.check({ identities: [reader.identity] }, { store: as('Reader') });
  expect(problems.map(({ code, at }) => `${code} ${at?.file}`)).toEqual(['SNAPSHOT_NOT_RIGHT db-1/4']);
  await here.expectTruth();
  // Each bound of the rules of reuse ends it.
  const other = await repository.run(here.other, tomorrow);
  expect(isContent(await repository.read(`db-2/${other.sequence}`, reading), tomorrow)).toBe(true);
  const full = await repository.run(writer, tomorrow, { store: as('Writer'), fullEveryMs: 1 });
  expect(full).toMatchObject({ full: true });
  expect(isContent(await repository.read(`db-1/${full.sequence}`, reading), tomorrow)).toBe(true);
  const after = await repository.run(writer, tomorrow, { store: as('Writer') });
  expect(isContent(await repository.read(`db-1/${after.sequence}`, reading), tomorrow)).toBe(true);
});

test('an index that he puts over the signed one is not the one that is read', async () => {
  await using here = await scene();
  const { repository, as, thief, bucket: Bucket, writer } = here;
  const { run } = await repository.run(writer, content('third'), { store: as('Writer') });
  const own = indexKey(writer.name, run, 0);
  const theirs = (await keysOf(as('Writer'))).find((key) => key.startsWith(KEY_PREFIXES.index) && key !== own);
  const Body = Buffer.from(await as('Writer').get(theirs as string, { maxBytes: 1 << 20 }));
  await thief.send(new PutObjectCommand({ Bucket, Key: `${PREFIX}/${own}`, Body }));
  expect(await repository.run(writer, content('third'), { store: as('Writer') })).toMatchObject({ newBytes: 0 });
  await here.expectTruth();
});

test('a mark that he signs forbids nothing, and has nothing deleted', async () => {
  await using here = await scene();
  const { repository, as, writer } = here;
  const objects = (await keysOf(as('Writer'))).filter((key) => key.startsWith(KEY_PREFIXES.pack));
  const pruner = 'pruner' as WriterName;
  const time = new Date();
  const { id: repositoryId } = await repository.open();
  const bytes = encodeMark(
    { version: 1, repository: repositoryId, pruner, time: time.toISOString(), objects },
    writer.signer,
  );
  const key = markKey(time, digestOf(bytes));
  expect(await raised(() => as('Writer').put(key, bytes))).toMatchObject({ code: 'STORE_DENIED' });
  // Nor where he could: a pruner that was taken over as well.
  await as('Pruner').put(key, bytes);
  expect(await repository.run(writer, content('second'), { store: as('Writer') })).toMatchObject({ newBytes: 0 });
  expect(await repository.prune({ store: as('Pruner') })).toMatchObject({ deleted: { objects: 0 } });
});

test('snapshots that he makes by the dozen push no good one out', async () => {
  await using here = await scene();
  const { repository, as, writer } = here;
  const { people } = repository;
  const sign = { signer: people.verifier, program: '0' };
  await repository.check({ identities: [people.reader.identity], sign }, { store: as('Verifier') });
  for (let count = 0; count < 5; count += 1) {
    await repository.run(writer, { b: pseudoRandom(`rubbish ${count}`, 20_000) }, { store: as('Writer') });
  }
  const good = ['db-1/2', 'db-2/1'];
  const forget = async (request: Parameters<TestRepository['forget']>[0]) => {
    const { forgotten, held } = await repository.forget({ ...request, plan: true }, { store: as('Pruner') });
    return { forgotten: forgotten.map(({ snapshot }) => snapshot), held: held.map(({ reason }) => reason) };
  };
  // Where a verifier looks, only what it found good fills a place.
  const verified = await forget({ policy: { last: 1, floorMs: 0 } });
  for (const snapshot of good) expect(verified.forgotten).not.toContain(snapshot);
  // Where a schedule is said, more than that holds the chain as it is.
  const scheduled = await forget({ policy: { last: 1, floorMs: 0, perDay: 2 }, accept: ['collapsed'] });
  expect(scheduled).toEqual({ forgotten: [], held: ['more-than-scheduled'] });
  // And whatever is said, what is younger than the floor stays.
  expect(await forget({ policy: { last: 1 } })).toMatchObject({ forgotten: [] });
});
