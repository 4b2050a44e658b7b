/** What happens to a machine that backs up: it is killed, disks are full, the network and credentials go in the middle of a run. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createFolderStore } from '../../src/adapters/object-store/folder/folder-store.ts';
import { openStore, type StoreSettings } from '../../src/compose/object-store.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { memoryIn } from '../support/backup-repository.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { inlineChunkWriterWith } from '../support/inline-chunks.ts';
import { interruptAt } from '../support/interruption.ts';
import {
  type Content,
  createTestRepository,
  isContent,
  type TestRepository,
  type Writer,
} from '../support/memory-repository.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { fillDisk, mountTmpfs } from '../support/mounts.ts';
import { type PortolanEnded, portolan, succeed } from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import { policyOf } from '../support/storage-policies.ts';
import { temporaryFolder } from '../support/temporary.ts';

const content = (seed: string): Content => ({ a: pseudoRandom('a', 12_000), b: pseudoRandom(seed, 60_000) });
const CLOCK = {
  get storageMs() {
    return Date.now();
  },
  aheadMs: 0,
};
const writerOf = ({ writers }: TestRepository) => writers[0] as Writer;

async function expectRight(repository: TestRepository, truth: ReadonlyMap<string, Content>): Promise<void> {
  expect((await repository.check()).problems).toEqual([]);
  expect([...(await repository.digests()).keys()]).toEqual([...truth.keys()]);
  for (const [name, wanted] of truth) expect(isContent(await repository.read(name), wanted), name).toBe(true);
}

test('kill -9 of `backup run` before its key, packs, contents, index, snapshot and checkpoint: the next run goes on', async () => {
  const root = await temporaryFolder();
  const at = (...names: string[]) => join(root, ...names);
  const env = { COSIGN_PASSWORD: 'throw-away password', XDG_CONFIG_HOME: at('config'), PORTOLAN_JSON: undefined };
  const backup = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    portolan(['backup', ...args, '--repo', at('store'), '--state', at('state')], { env: { ...env, ...more } });
  const done = ({ status, result, stdout, stderr }: PortolanEnded) => {
    expect(status, stderr + stdout).toBe(0);
    return result ?? {};
  };
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: { HOME: root, ...env } });
  await succeed('age-keygen', ['-pq', '-o', at('key.txt')]);
  const reader = (await succeed('age-keygen', ['-y', at('key.txt')])).trim();
  done(await backup(['init', '-r', `reader=${reader}`, '--sign-key', at('cosign.key'), '--writer', 'db-1']));
  await mkdir(at('files'));
  const run = ['run', '--files', at('files')];
  const moments: readonly (readonly [string, RegExp, number])[] = [
    ['store', /\/runs\//, 0],
    ['store', /\/packs\//, 0],
    ['store', /\/contents\//, 0],
    ['store', /\/index\//, 0],
    ['store', /\/snapshots\//, 0],
    // The snapshot is there, and this machine does not know yet.
    ['state', /checkpoint/, 1],
  ];
  let expected = 1;
  for (const [index, [folder, path, committed]] of moments.entries()) {
    await writeFile(at('files', 'changing'), pseudoRandom(`changing ${index}`, 400_000));
    const killed = await backup(run, interruptAt(at(folder), 'SIGKILL', { path }));
    expect(killed, `${path} ${killed.stdout}${killed.stderr}`).toMatchObject({ status: null, signal: 'SIGKILL' });
    expected += committed;
    expect(done(await backup(run)), `${path}`).toMatchObject({ sequence: expected });
    expected += 1;
  }
  const checked = await backup(['check', '--read-data', '100%', '-i', at('key.txt')]);
  expect(done(checked)).toMatchObject({ ok: true, snapshots: expected - 1, opened: [`db-1/${expected - 1}`] });
  done(
    await portolan(
      ['restore', '--repo', at('store'), '--state', at('state'), '-i', at('key.txt'), '--to', `folder:${at('back')}`],
      { env },
    ),
  );
  const [folder] = await readdir(at('back'));
  const restored = await readFile(at('back', folder as string, 'changing'));
  expect(restored.equals(pseudoRandom(`changing ${moments.length - 1}`, 400_000))).toBe(true);
});

describe('a full disk', () => {
  test('of the repository: the run says so and commits nothing, the next one with space goes on', async () => {
    const disk = join(await temporaryFolder(), 'disk');
    await mountTmpfs(disk, 16);
    const repository = await createTestRepository<ObjectStore>(createFolderStore(join(disk, 'store')), CLOCK);
    await repository.run(writerOf(repository), content('first'));
    const truth = new Map([['db-1/1', content('first')]]);
    const empty = await fillDisk(disk);
    expect(await raised(() => repository.run(writerOf(repository), content('second')))).toMatchObject({
      code: 'STORE_FULL',
    });
    expect(await raised(() => repository.change((roster) => roster))).toMatchObject({ code: 'STORE_FULL' });
    await expectRight(repository, truth);
    await empty();
    await repository.run(writerOf(repository), content('third'));
    await expectRight(repository, truth.set('db-1/2', content('third')));
  });

  test('of the state folder: what is said is that, and no snapshot is lost by it', async () => {
    const root = await temporaryFolder();
    const disk = join(root, 'disk');
    await mountTmpfs(disk, 4);
    const repository = await createTestRepository<ObjectStore>(createFolderStore(join(root, 'store')), CLOCK);
    const memory = memoryIn(join(disk, 'state'), Date.now);
    await repository.run(writerOf(repository), content('first'), { memory });
    const truth = new Map([['db-1/1', content('first')]]);
    let empty = await fillDisk(disk);
    const before = await raised(() => repository.run(writerOf(repository), content('second'), { memory }));
    expect(before.hint).toBeDefined();
    await empty();
    await expectRight(repository, truth);
    // Full only when the snapshot is there already.
    const createChunkWriter = inlineChunkWriterWith(async () => {
      empty = await fillDisk(disk);
    });
    await raised(() => repository.run(writerOf(repository), content('third'), { memory, createChunkWriter }));
    await empty();
    truth.set('db-1/2', content('third'));
    await expectRight(repository, truth);
    await repository.run(writerOf(repository), content('fourth'), { memory });
    await expectRight(repository, truth.set('db-1/3', content('fourth')));
  });
});

describe('object storage', () => {
  async function scene(settings: Partial<StoreSettings> = {}) {
    const folder = await temporaryFolder();
    const server: MinioProcess = await startMinio(folder);
    onTestFinished(() => server.close());
    await makeBucket(server.client(), 'bucket', { versioning: true });
    const open = async (environment: StoreSettings['environment'], more: Partial<StoreSettings> = {}) => {
      const address = `s3://bucket/backups?endpoint=${server.endpoint}`;
      const store = await openStore(address, { environment, now: () => Date.now(), ...settings, ...more });
      onTestFinished(() => store.close());
      return store;
    };
    const { accessKeyId, secretAccessKey } = server.root;
    const root = await open({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
    return { folder, server, open, repository: await createTestRepository(root, CLOCK) };
  }

  test('that is gone for a while in the middle of a run: the run waits, and commits', async () => {
    const policy = { attempts: 200, baseDelayMs: 50, maxDelayMs: 200 };
    const met: string[] = [];
    const { server, repository } = await scene({
      retries: { policy, firstPolicy: policy },
      onRetry: ({ code }) => met.push(code),
    });
    let restarted: Promise<void> | undefined;
    const createChunkWriter = inlineChunkWriterWith(async () => {
      await server.kill();
      restarted = server.start();
    });
    await repository.run(writerOf(repository), content('first'), { createChunkWriter });
    await restarted;
    expect(met).toContain('STORE_UNREACHABLE');
    await expectRight(repository, new Map([['db-1/1', content('first')]]));
  });

  test('that stays gone: the run says so, and the next one goes on', async () => {
    const policy = { attempts: 3, baseDelayMs: 5, maxDelayMs: 20 };
    const { server, repository } = await scene({ retries: { policy, firstPolicy: policy } });
    const createChunkWriter = inlineChunkWriterWith(() => server.kill());
    const failure = await raised(() => repository.run(writerOf(repository), content('first'), { createChunkWriter }));
    expect(failure).toMatchObject({ code: 'STORE_UNREACHABLE', hint: expect.any(String) });
    await server.start();
    await repository.run(writerOf(repository), content('second'));
    await expectRight(repository, new Map([['db-1/1', content('second')]]));
  });

  test('whose credentials end in the middle of a run: new ones are read from the file; without any it says so', async () => {
    const { folder, server, open, repository } = await scene();
    const newUser = () =>
      server.createUser(policyOf('Writer', { bucket: 'bucket', prefix: 'backups', writer: 'db-1' }));
    const file = join(folder, 'credentials');
    const write = async ({ accessKeyId, secretAccessKey }: Awaited<ReturnType<typeof newUser>>) => {
      const lines = ['[default]', `aws_access_key_id = ${accessKeyId}`, `aws_secret_access_key = ${secretAccessKey}`];
      await writeFile(file, lines.join('\n'), { mode: 0o600 });
    };
    let user = await newUser();
    await write(user);
    const store = await open({ AWS_SHARED_CREDENTIALS_FILE: file });
    const rotate = inlineChunkWriterWith(async () => {
      const next = await newUser();
      await write(next);
      await server.removeUser(user);
      user = next;
    });
    await repository.run(writerOf(repository), content('first'), { store, createChunkWriter: rotate });
    const truth = new Map([['db-1/1', content('first')]]);
    await expectRight(repository, truth);
    const end = inlineChunkWriterWith(async () => {
      await server.removeUser(user);
      await rm(file);
    });
    const failure = await raised(() =>
      repository.run(writerOf(repository), content('second'), { store, createChunkWriter: end }),
    );
    expect(['STORE_CREDENTIALS_MISSING', 'STORE_DENIED']).toContain(failure.code);
    expect(failure.hint).toBeDefined();
    await expectRight(repository, truth);
    user = await newUser();
    await write(user);
    await repository.run(writerOf(repository), content('third'), { store });
    await expectRight(repository, truth.set('db-1/2', content('third')));
  });
});
