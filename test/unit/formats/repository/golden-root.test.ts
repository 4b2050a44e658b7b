import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createChunkReader } from '../../../../src/adapters/chunk-reader/chunk-reader.ts';
import { createFolderStore } from '../../../../src/adapters/object-store/folder/folder-store.ts';
import { readIdentities } from '../../../../src/compose/keys.ts';
import { decodeRepositoryTrust } from '../../../../src/formats/repository/repository-trust.ts';
import { freshEpoch } from '../../../../src/formats/repository/roster.ts';
import { decodeWriterKey, encodeWriterKey, trustOfWriter } from '../../../../src/formats/repository/writer-key.ts';
import { silentProgress } from '../../../../src/ports/progress.ts';
import { verifyKeys } from '../../../../src/usecases/keys/verify-keys.ts';
import { checkRepository } from '../../../../src/usecases/repository/check.ts';
import { listSnapshots } from '../../../../src/usecases/repository/list.ts';
import { type OpenedRepository, openRepository } from '../../../../src/usecases/repository/open.ts';
import { listReaders } from '../../../../src/usecases/repository/readers.ts';
import { readStreams, signal } from '../../../support/backup-repository.ts';
import { raised } from '../../../support/raised.ts';

/** Written once by test/support/golden-root.ts. */
const GOLDEN = join(import.meta.dirname, '..', '..', '..', 'golden', 'repository-v1-root');

const identityIn = async (name: string) => {
  const [identity] = await readIdentities([join(GOLDEN, name)], () => Promise.reject(new Error('no passphrase')));
  return identity as string;
};

describe('a repository of format version 1 under a root, written once', () => {
  let repository: OpenedRepository;
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portolan-golden-'));
    await cp(join(GOLDEN, 'store'), folder, { recursive: true });
    const trust = decodeRepositoryTrust(await readFile(join(GOLDEN, 'trust.json')), 'trust.json');
    repository = await openRepository(createFolderStore(folder), { trust, checkpointOf: async () => undefined });
    return () => rm(folder, { recursive: true, force: true });
  });

  test('has its root, in the trust file and in the writer key file', async () => {
    const { breakGlass, minimumRecipients, issuer } = repository.trust;
    expect(repository.id).toBe('cdde2551b87943d0039c72dad30734bf');
    expect(issuer?.url).toBe('https://id.ship.example');
    const written = await readFile(join(GOLDEN, 'writer.json'));
    const writerKey = decodeWriterKey(written);
    expect(writerKey.root).toEqual({ breakGlass, minimumRecipients, issuer });
    expect(Buffer.from(encodeWriterKey(writerKey)).equals(written)).toBe(true);
    expect(trustOfWriter(writerKey)).toMatchObject({ breakGlass, minimumRecipients: 2, issuer });
  });

  test('has evidence that holds without its provider, however long ago that was', async () => {
    for (const now of [Date.parse('2027-01-01'), Date.parse('2099-01-01')]) {
      const { findings, recipients, epoch } = await verifyKeys(repository, now);
      expect({ findings, epoch }).toEqual({ findings: [], epoch: 2 });
      expect(recipients).toMatchObject([
        { name: 'safe', evidence: 'kept offline' },
        { name: 'carol', evidence: 'verified', subject: 'carol-7' },
      ]);
    }
  });

  test('says which snapshots are open to whom, and that an epoch starts afresh', async () => {
    expect(freshEpoch(repository.rosters)).toBe(2);
    const { readers, problems, snapshots } = await listReaders(repository);
    expect({ problems, snapshots }).toEqual({ problems: [], snapshots: 2 });
    expect(readers).toMatchObject([
      { name: 'safe', role: 'break-glass', snapshots: 2 },
      { name: 'carol', role: 'reader', snapshots: 1, evidence: 'published', ranges: [{ first: 2, last: 2 }] },
      { name: 'former', role: 'former', snapshots: 1, ranges: [{ first: 1, last: 1 }] },
    ]);
  });

  test('is well to its last byte, and gives back what was backed up', async () => {
    const identities = [await identityIn('safe.txt')];
    const dependencies = { createChunkReader, progress: silentProgress };
    const report = await checkRepository(repository, { readPercent: 100, identities }, dependencies, { signal });
    expect(report).toMatchObject({ problems: [], strangers: [], opened: ['db-1/2'], readPacks: 2 });
    for (const [snapshot, file, text] of [
      ['db-1/1', 'former.txt', 'before\n'],
      ['db-1/1', 'safe.txt', 'before\n'],
      ['db-1/2', 'reader.txt', 'after\n'],
    ] as const) {
      const streams = await readStreams(repository, snapshot, await identityIn(file));
      expect([...streams.values()].map(String)).toEqual([text]);
    }
    const left = await identityIn('former.txt');
    expect(await raised(() => readStreams(repository, 'db-1/2', left))).toMatchObject({ code: 'RUN_KEY_NOT_FOR_US' });
  });

  test('says what became of the identity provider', async () => {
    const { writers } = await listSnapshots(repository, {});
    const asked = writers.flatMap(({ snapshots }) => snapshots.map(({ identityProvider }) => identityProvider));
    expect(asked).toEqual([undefined, { state: 'answered', at: expect.stringMatching(/^2026-11-29T/) }]);
  });
});
