/** One fault at every call that a restore makes of the storage: it says so or is right, and the next one completes it. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { createFileTreeWriter } from '../../src/adapters/file-tree/writer.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { restoreToFolder } from '../../src/usecases/restore/folder/restore-to-folder.ts';
import { openForRestore } from '../../src/usecases/restore/restore.ts';
import { signal } from '../support/backup-repository.ts';
import { atEveryCall } from '../support/fault-positions.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { createMemoryRepository, type MemoryRepository, type Writer } from '../support/memory-repository.ts';
import { describeTree } from '../support/nasty-tree.ts';
import { filesSource } from '../support/restored-folder.ts';

let root: string;
let repository: MemoryRepository;
let wanted: Awaited<ReturnType<typeof describeTree>>;
let restores = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  const folder = join(root, 'source');
  await mkdir(join(folder, 'deep/er'), { recursive: true });
  await writeFile(join(folder, 'large'), pseudoRandom('large', 2_000_000));
  await writeFile(join(folder, 'deep/small'), 'small');
  await writeFile(join(folder, 'deep/er/empty'), '');
  repository = await createMemoryRepository();
  const options = { sources: [filesSource(folder)], createChunkWriter };
  await repository.run(repository.writers[0] as Writer, {}, options);
  await writeFile(join(folder, 'deep/new'), pseudoRandom('new', 300_000));
  await repository.run(repository.writers[0] as Writer, {}, options);
  wanted = await describeTree(folder);
  // Who was here before knows which snapshot is the newest.
  expect((await repository.check()).problems).toEqual([]);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function restore(folder: string, store: ObjectStore = repository.store): Promise<void> {
  const request = { snapshot: 'db-1', identities: [repository.people.reader.identity], despiteProblems: false };
  const opened = await openForRestore(
    await repository.open({ store }),
    request,
    { progress: silentProgress },
    { signal },
  );
  await restoreToFolder(
    opened,
    { folder, sources: [], paths: [], overwrite: false, plan: false },
    {
      files: createFileTreeWriter({ effectiveUid: process.getuid?.() ?? 0 }),
      createChunkReader,
      progress: silentProgress,
    },
    { signal },
  );
}

test.each(['refused', 'short', 'damaged', 'dies'] as const)('%s', async (fault) => {
  const { positions } = await atEveryCall(fault, {
    prepare() {
      restores += 1;
      return join(root, `restore-${restores}`);
    },
    storeOf: () => repository.store,
    work: restore,
    async look(folder, { name, failure }) {
      if (failure !== undefined) await restore(folder);
      expect(await describeTree(join(folder, 'files')), name).toEqual(wanted);
      await rm(folder, { recursive: true });
    },
  });
  expect(positions).toBeGreaterThan(8);
});
