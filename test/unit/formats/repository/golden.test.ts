import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createChunkReader } from '../../../../src/adapters/chunk-reader/chunk-reader.ts';
import { createFolderStore } from '../../../../src/adapters/object-store/folder/folder-store.ts';
import { readIdentities } from '../../../../src/compose/keys.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { decodeRepositoryTrust } from '../../../../src/formats/repository/repository-trust.ts';
import { silentProgress } from '../../../../src/ports/progress.ts';
import { checkRepository } from '../../../../src/usecases/repository/check.ts';
import { listSnapshots } from '../../../../src/usecases/repository/list.ts';
import { readMarks } from '../../../../src/usecases/repository/marks.ts';
import { type OpenedRepository, openRepository } from '../../../../src/usecases/repository/open.ts';
import { openSnapshot } from '../../../../src/usecases/repository/open-snapshot.ts';
import { readStreams, signal } from '../../../support/backup-repository.ts';
import { pseudoRandom } from '../../../support/image-content.ts';
import { raised } from '../../../support/raised.ts';

/** Written once by test/support/golden-repository.ts. */
const GOLDEN = join(import.meta.dirname, '..', '..', '..', 'golden', 'repository-v1');
const REPOSITORY = 'dd22194b46aaa26d0c971e29a0c4c882';
/** Of the snapshots that the first version wrote. */
const DIGESTS = {
  'db-1/2': 'sha256:0b300c502eeb723cb9d468f8059f180755032d39e86d69dfc27cc6a0cc3acf16',
  'db-1/3': 'sha256:282716bcb0fd5022d22ba76ee00b1314b707431ee9594996bec7769ed71ec2fb',
  'db-2/1': 'sha256:fb381f4832a6e41fa1c0a08d3f44b8631b2ee3fa280d4fe096bae2a0bc9285ff',
};
const NUMBERS = Uint8Array.from({ length: 100_000 }, (_, i) => (i * i + 7 * i) % 251);
const NOTES = Array.from({ length: 1000 }, (_, index) => `${index + 1}\tnote ${index + 1}\n`).join('');
const COMMON = { 'numbers.bin': NUMBERS, 'noise.bin': pseudoRandom('golden', 350_000), 'empty.txt': Buffer.alloc(0) };

const identityIn = async (name: string) => {
  const [identity] = await readIdentities([join(GOLDEN, name)], () => Promise.reject(new Error('no passphrase')));
  return identity as string;
};
const digests = (streams: Iterable<readonly [string, Uint8Array]>) =>
  Object.fromEntries([...streams].map(([name, bytes]) => [name, digestOf(bytes)]));

describe('a repository of format version 1, written once', () => {
  let repository: OpenedRepository;
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portolan-golden-'));
    // A folder store keeps what it is writing in the folder.
    await cp(join(GOLDEN, 'store'), folder, { recursive: true });
    const trust = decodeRepositoryTrust(await readFile(join(GOLDEN, 'trust.json')), 'trust.json');
    repository = await openRepository(createFolderStore(folder), { trust, checkpointOf: async () => undefined });
    return () => rm(folder, { recursive: true, force: true });
  });

  test('has its roster, chains and documents', async () => {
    const { writers, problems, epoch } = await listSnapshots(repository, {});
    expect({ id: repository.id, epoch, problems }).toEqual({ id: REPOSITORY, epoch: 2, problems: [] });
    const listed = writers.flatMap(({ snapshots }) => snapshots);
    expect(Object.fromEntries(listed.map((one) => [`${one.writer}/${one.sequence}`, one.digest]))).toEqual(DIGESTS);
    expect(listed).toMatchObject([
      { full: true, hold: false, tags: ['first'], verified: undefined },
      { full: false, hold: true, tags: ['second'], verified: true },
      { full: true, verified: true },
    ]);
    expect(writers.map(({ forgotten }) => forgotten)).toEqual([1, 0]);
    const { marks, unreadable } = await readMarks(repository);
    expect(unreadable).toEqual([]);
    expect(marks.map(({ objects }) => objects.length)).toEqual([5]);
  });

  test('is well to its last byte', async () => {
    const identities = [await identityIn('post-quantum.txt')];
    const dependencies = { createChunkReader, progress: silentProgress };
    const report = await checkRepository(repository, { readPercent: 100, identities }, dependencies, { signal });
    expect(report).toMatchObject({ problems: [], strangers: [], opened: ['db-1/3', 'db-2/1'], readPacks: 3 });
  });

  test.each([
    ['db-1/2', 'classic.txt', 'hello\n'],
    ['db-1/2', 'post-quantum.txt', 'hello\n'],
    ['db-1/3', 'post-quantum.txt', 'hello again\n'],
  ])('gives back %s with %s', async (snapshot, identity, hello) => {
    const streams = await readStreams(repository, snapshot, await identityIn(identity));
    const files = Object.entries({ ...COMMON, 'hello.txt': Buffer.from(hello) });
    const expected = files.map(([name, bytes]) => [`files/files/${name}`, bytes] as const);
    expect(digests(streams)).toEqual(digests([...expected, ['postgres/1/notes.copy', Buffer.from(NOTES)]]));
  });

  test('says what a snapshot holds', async () => {
    const opened = await openSnapshot(repository, 'db-1/3', [await identityIn('post-quantum.txt')]);
    expect(opened.details).toMatchObject({
      host: 'test',
      sources: [{ kind: 'files' }, { kind: 'postgres', place: 'db.example:5432/shop', rows: 1000 }],
    });
    const entries = [];
    for await (const entry of opened.contents()) entries.push(entry);
    expect(entries).toContainEqual({
      ...{ entry: 'table', source: 'postgres', database: 'shop', schema: 'public', table: 'notes', oid: 16_385 },
      ...{ columns: ['id', 'text'], streams: ['postgres/1/notes.copy'], rows: 1000 },
    });
    expect(entries).toContainEqual(expect.objectContaining({ entry: 'file', path: 'noise.bin', sizeBytes: 350_000 }));
  });

  test('opens a later snapshot for nobody who left', async () => {
    const classic = await identityIn('classic.txt');
    expect(await raised(() => openSnapshot(repository, 'db-1/3', [classic]))).toMatchObject({
      code: 'RUN_KEY_NOT_FOR_US',
    });
  });
});
