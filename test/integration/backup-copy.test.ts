import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createFolderStore } from '../../src/adapters/object-store/folder/folder-store.ts';
import { digestOf } from '../../src/core/digest.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import { evidenceKey, KEY_PREFIXES, snapshotKey, type WriterName } from '../../src/formats/repository/keys.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { copyRepository } from '../../src/usecases/repository/copy.ts';
import { forgetSnapshots } from '../../src/usecases/repository/forget.ts';
import { listSnapshots } from '../../src/usecases/repository/list.ts';
import {
  type BackupRepository,
  createBackupRepository,
  memoryIn,
  readStreams,
  signal,
  streamSource,
} from '../support/backup-repository.ts';
import { dyingStore, Killed } from '../support/dying-store.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { raised } from '../support/raised.ts';
import { approve } from '../support/roster-changes.ts';

function source(seed: string) {
  return streamSource('files', { a: pseudoRandom(seed, 300_000) });
}

async function copy(repository: BackupRepository, target: ObjectStore) {
  return await copyRepository(
    await repository.open(),
    target,
    { progress: silentProgress, now: repository.now },
    { signal },
  );
}

async function contentOf(store: ObjectStore): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for await (const { key } of store.list('')) {
    // Where the storage of the copy was tried, and nobody removed it.
    if (key.startsWith('probes/')) continue;
    content.set(key, Buffer.from(await store.get(key, { maxBytes: 64 * 1024 * 1024 })).toString('base64'));
  }
  return content;
}

const elsewhere = (repository: BackupRepository) => memoryIn(join(repository.root, 'elsewhere'), repository.now);

test('a copy has the very objects, reads like the original, and is brought up to date', async () => {
  await using repository = await createBackupRepository();
  await repository.run([source('first')]);
  const target = createFolderStore(join(repository.root, 'copy'));
  expect(await copy(repository, target)).toMatchObject({ copiedSnapshots: 1, problems: [] });
  expect(await contentOf(target)).toEqual(await contentOf(repository.store));
  expect(await copy(repository, target)).toMatchObject({ copiedSnapshots: 0, copiedObjects: 0 });
  await repository.run([source('second')]);
  expect(await copy(repository, target)).toMatchObject({ copiedSnapshots: 1 });
  expect(await contentOf(target)).toEqual(await contentOf(repository.store));
  const opened = await repository.open(target, elsewhere(repository));
  const streams = await readStreams(opened, 'db-1/2', repository.identity);
  expect(streams.get('files/files/a')?.equals(pseudoRandom('second', 300_000))).toBe(true);
});

test('evidence of readers goes with it; what no roster names stays behind, and so does what is not it', async () => {
  await using repository = await createBackupRepository();
  const proofs = ['first', 'second', 'of nobody'].map((seed) => pseudoRandom(seed, 1000));
  const [first, second, stray] = proofs.map((proof) => evidenceKey(digestOf(proof))) as [string, string, string];
  for (const [name, proof] of [['anna', proofs[0]] as const, ['ben', proofs[1]] as const]) {
    const { recipient } = await createIdentity('post-quantum');
    const evidence = { kind: 'enrolment', digest: digestOf(proof as Buffer) };
    await approve(repository, { recipients: [{ name, recipient, role: 'reader', evidence }] });
  }
  const target = createFolderStore(join(repository.root, 'copy'));
  expect(await copy(repository, target)).toMatchObject({ problems: [] });
  await repository.store.put(first, proofs[0] as Buffer);
  await repository.store.put(second, proofs[0] as Buffer);
  await repository.store.put(stray, proofs[2] as Buffer);
  const report = await copy(repository, target);
  expect(report.problems).toMatchObject([{ code: 'BACKUP_OBJECT_DAMAGED', at: { file: second } }]);
  const evidence = [...(await contentOf(target)).keys()].filter((key) => key.startsWith(KEY_PREFIXES.evidence));
  expect(evidence).toEqual([first]);
});

test('garbage and marks stay behind; stubs go with it, so that the copy’s chain is whole', async () => {
  await using repository = await createBackupRepository();
  for (const seed of ['first', 'second', 'third']) await repository.run([source(seed)], { full: true });
  const request = { signer: repository.signer, policy: undefined, named: ['db-1/1'], evenHeld: false, writers: [] };
  await forgetSnapshots(
    await repository.open(),
    { ...request, accept: [], copied: false, plan: false },
    { progress: silentProgress, now: repository.now },
    { signal },
  );
  const target = createFolderStore(join(repository.root, 'copy'));
  await copy(repository, target);
  const { writers, problems } = await listSnapshots(await repository.open(target, elsewhere(repository)), {});
  expect(problems).toEqual([]);
  expect(writers[0]?.snapshots.map(({ sequence }) => sequence)).toEqual([2, 3]);
  const packs = [...(await contentOf(target)).keys()].filter((key) => key.startsWith(KEY_PREFIXES.pack));
  expect(packs).toHaveLength(2);
});

test.each(['before', 'after'] as const)(
  'killed %s any change, the copy is a repository and the next copy goes on',
  async (when) => {
    await using repository = await createBackupRepository();
    await repository.run([source('first')]);
    await repository.run([source('second')]);
    const target = createFolderStore(join(repository.root, 'copy'));
    for (let at = 1; ; at += 3) {
      const failure = await copy(repository, dyingStore(target, at, when)).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failure === undefined) break;
      expect(failure).toBeInstanceOf(Killed);
      const there = await contentOf(target);
      // Whatever snapshot is there can be read.
      for (const sequence of [1, 2]) {
        if (!there.has(snapshotKey('db-1' as WriterName, sequence))) continue;
        const opened = await repository.open(target, elsewhere(repository));
        expect((await readStreams(opened, `db-1/${sequence}`, repository.identity)).size).toBe(1);
      }
    }
    expect(await contentOf(target)).toEqual(await contentOf(repository.store));
  },
);

test('a damaged object is not copied, and its snapshot is left out; the others are copied', async () => {
  await using repository = await createBackupRepository();
  await repository.run([source('first')]);
  const [pack] = [...(await contentOf(repository.store)).keys()].filter((key) => key.startsWith(KEY_PREFIXES.pack));
  await repository.run([source('second')], { full: true });
  const path = join(repository.root, 'store', pack as string);
  const bytes = await readFile(path);
  bytes[1000] = (bytes[1000] as number) ^ 1;
  await writeFile(path, bytes);
  const target = createFolderStore(join(repository.root, 'copy'));
  const report = await copy(repository, target);
  expect(report.problems.map(({ code }) => code)).toEqual(['SOURCE_SNAPSHOT_DAMAGED']);
  const there = await contentOf(target);
  expect(there.has(pack as string)).toBe(false);
  expect(there.has(snapshotKey('db-1' as WriterName, 1))).toBe(false);
  expect(there.has(snapshotKey('db-1' as WriterName, 2))).toBe(true);
});

test('another repository, or something else, at the place of the copy is refused', async () => {
  await using repository = await createBackupRepository();
  await using other = await createBackupRepository();
  await repository.run([source('first')]);
  expect(await raised(() => copy(repository, other.store))).toMatchObject({ code: 'REPOSITORY_EXISTS' });
  const strange = createFolderStore(join(repository.root, 'strange'));
  await strange.put('something', new Uint8Array(1));
  expect(await raised(() => copy(repository, strange))).toMatchObject({ code: 'REPOSITORY_PLACE_NOT_EMPTY' });
});
