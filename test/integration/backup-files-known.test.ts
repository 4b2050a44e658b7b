import { mkdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { filesCacheOpener } from '../../src/adapters/files-cache/files-cache.ts';
import type { ChunkWriterSettings } from '../../src/ports/chunks.ts';
import { type BackupRepository, createBackupRepository } from '../support/backup-repository.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { describeRestorable } from '../support/nasty-tree.ts';
import { filesSource, restoreFolder } from '../support/restored-folder.ts';
import { temporaryFolder } from '../support/temporary.ts';

interface Tree {
  readonly folder: string;
  readonly tree: string;
  readonly cache: string;
}

async function makeTree(): Promise<Tree> {
  const folder = await temporaryFolder();
  const tree = join(folder, 'tree');
  await mkdir(join(tree, 'a'), { recursive: true });
  await writeFile(join(tree, 'a/small'), 'small');
  await writeFile(join(tree, 'a/empty'), '');
  await writeFile(join(tree, 'large'), pseudoRandom('large', 3_000_000));
  await writeFile(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), 'a name that is no text');
  await symlink('large', join(tree, 'link'));
  return { folder, tree, cache: join(folder, 'state/files.cache') };
}

const LATER_MS = 10_000;

/** A run whose clock says that the files have rested a while, and which files it read. */
async function run(
  repository: BackupRepository,
  { tree, cache }: Tree,
  options: { readonly full?: boolean; readonly aheadMs?: number } = {},
) {
  const read: string[] = [];
  const { aheadMs = LATER_MS, ...request } = options;
  const nameOf = (path: string | Uint8Array) => Buffer.from(path).toString('latin1').split('/').at(-1) as string;
  const report = await repository.run(
    [
      filesSource(tree, {
        openCache: filesCacheOpener({
          path: cache,
          scope: tree,
          isUsed: true,
          onProblem: (error) => expect.unreachable(String(error)),
        }),
        now: () => Date.now() + aheadMs,
      }),
    ],
    {
      ...request,
      createChunkWriter: async (settings: ChunkWriterSettings) => {
        const writer = await createChunkWriter(settings);
        return {
          ...writer,
          smallFiles(paths, ...rest) {
            read.push(...paths.map(nameOf));
            return writer.smallFiles(paths, ...rest);
          },
          file(path, ...rest) {
            read.push(nameOf(path));
            return writer.file(path, ...rest);
          },
        };
      },
    },
  );
  return { report, read: read.sort() };
}

async function expectRestored(repository: BackupRepository, { folder, tree }: Tree): Promise<void> {
  await rm(join(folder, 'out'), { recursive: true, force: true });
  await restoreFolder(repository, join(folder, 'out'));
  expect(await describeRestorable(join(folder, 'out/files'))).toEqual(await describeRestorable(tree));
}

const ALL = ['large', 'small', '\xff\xfe'];

test('files that did not change are in the next snapshot without being read', async () => {
  const tree = await makeTree();
  await using repository = await createBackupRepository();
  expect((await run(repository, tree)).read).toEqual(ALL);
  for (let again = 0; again < 3; again += 1) {
    const { read, report } = await run(repository, tree);
    expect(read).toEqual([]);
    expect(report).toMatchObject({
      newBytes: 0,
      newPacks: 0,
      sizeBytes: 3_000_027,
      sources: [{ sizeBytes: 3_000_027 }],
    });
    await expectRestored(repository, tree);
  }
});

test('a file is read whose bytes changed though its size and its time are what they were', async () => {
  const tree = await makeTree();
  await using repository = await createBackupRepository();
  await run(repository, tree);
  const path = join(tree.tree, 'a/small');
  const { atime, mtime } = await stat(path);
  await writeFile(path, 'SMALL');
  await utimes(path, atime, mtime);
  expect((await run(repository, tree)).read).toEqual(['small']);
  await expectRestored(repository, tree);
});

test('what may have changed within a tick of the clock is read once more', async () => {
  const tree = await makeTree();
  await using repository = await createBackupRepository();
  await run(repository, tree, { aheadMs: 0 });
  expect((await run(repository, tree)).read).toEqual(ALL);
  expect((await run(repository, tree)).read).toEqual([]);
});

test('a full run reads everything, and so does one whose cache is damaged', async () => {
  const tree = await makeTree();
  await using repository = await createBackupRepository();
  await run(repository, tree);
  expect((await run(repository, tree, { full: true })).read).toEqual(ALL);
  expect((await run(repository, tree)).read).toEqual([]);
  const { size } = await stat(tree.cache);
  await truncate(tree.cache, size - 1);
  expect((await run(repository, tree)).read).toEqual(ALL);
  const bytes = await readFile(tree.cache);
  bytes[100] = (bytes[100] as number) ^ 1;
  await writeFile(tree.cache, bytes);
  expect((await run(repository, tree)).read).toEqual(ALL);
  await expectRestored(repository, tree);
});

test('a cache of chunks that the repository does not have is no harm', async () => {
  const tree = await makeTree();
  {
    await using other = await createBackupRepository();
    await run(other, tree);
  }
  await using repository = await createBackupRepository();
  expect((await run(repository, tree)).read).toEqual(ALL);
  await expectRestored(repository, tree);
});
