import { chmod, link, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AdapterError } from '../../src/adapters/errors.ts';
import { createFileTreeWriter } from '../../src/adapters/file-tree/writer.ts';
import type { WritableFolder } from '../../src/ports/file-tree.ts';
import { createBackupRepository } from '../support/backup-repository.ts';
import { dyingFileWriter } from '../support/dying-file-writer.ts';
import { Killed } from '../support/dying-store.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { mountTmpfs } from '../support/mounts.ts';
import { describeRestorable } from '../support/nasty-tree.ts';
import { succeed } from '../support/program.ts';
import { filesSource, restoreFolder } from '../support/restored-folder.ts';
import { temporaryFolder } from '../support/temporary.ts';

test('a folder that holds something is refused, and with --overwrite only what the snapshot has is replaced', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'tree/d'), { recursive: true });
  await writeFile(join(folder, 'tree/d/file'), 'new');
  await using repository = await createBackupRepository();
  await repository.run([filesSource(join(folder, 'tree'))]);
  const out = join(folder, 'out');
  await mkdir(join(out, 'files/d'), { recursive: true });
  await writeFile(join(out, 'files/d/file'), 'old');
  await writeFile(join(out, 'files/d/other'), 'other');
  await expect(restoreFolder(repository, out)).rejects.toMatchObject({ code: 'RESTORE_FOLDER_NOT_EMPTY' });
  await restoreFolder(repository, out, { overwrite: true });
  expect(await readFile(join(out, 'files/d/file'), 'utf8')).toBe('new');
  expect(await readFile(join(out, 'files/d/other'), 'utf8')).toBe('other');
  expect(await restoreFolder(repository, out, { overwrite: true })).toMatchObject({ keptItems: 1 });
});

test('only what is asked for is restored, with its folders; a plan writes nothing; unknown names are told', async () => {
  const folder = await temporaryFolder();
  for (const path of ['a/b/one', 'a/b/two', 'a/c/three', 'four']) {
    await mkdir(join(folder, 'tree', path, '..'), { recursive: true });
    await writeFile(join(folder, 'tree', path), path);
  }
  await using repository = await createBackupRepository();
  await repository.run([filesSource(join(folder, 'tree'))]);
  const out = join(folder, 'out');
  const paths = ['a/b', '/four'];
  expect(await restoreFolder(repository, out, { paths, plan: true })).toMatchObject({
    sources: [{ items: 4, sizeBytes: 18 }],
  });
  await expect(readdir(out)).rejects.toThrow();
  expect(await restoreFolder(repository, out, { paths })).toMatchObject({ sources: [{ items: 4, sizeBytes: 18 }] });
  expect((await readdir(out, { recursive: true })).sort()).toEqual(
    ['files', 'files/a', 'files/a/b', 'files/a/b/one', 'files/a/b/two', 'files/four'].sort(),
  );
  const unknown = { code: 'RESTORE_NAME_UNKNOWN' };
  await expect(restoreFolder(repository, join(folder, 'x'), { paths: ['a/z'] })).rejects.toMatchObject(unknown);
  await expect(restoreFolder(repository, join(folder, 'y'), { sources: ['etc'] })).rejects.toMatchObject(unknown);
  expect((await readdir(folder)).sort()).toEqual(['out', 'tree']);
});

test.each(['before', 'after'] as const)(
  'killed %s any change, the same call goes on and all is as it was',
  async (when) => {
    const folder = await temporaryFolder();
    const tree = join(folder, 'tree');
    await mkdir(join(tree, 'd/closed'), { recursive: true });
    await writeFile(join(tree, 'd/small'), 'small');
    await writeFile(join(tree, 'large'), pseudoRandom('large', 600_000));
    await writeFile(join(tree, 'd/closed/file'), 'file');
    await symlink('small', join(tree, 'd/link'));
    await chmod(join(tree, 'd/closed'), 0o500);
    await using repository = await createBackupRepository();
    await repository.run([filesSource(tree)]);
    const expected = await describeRestorable(tree);
    const real = createFileTreeWriter({ effectiveUid: process.geteuid?.() ?? 0 });
    for (let at = 1; ; at += 1) {
      const out = join(folder, `out ${at}`);
      const files = dyingFileWriter(real, at, when);
      const failure = await restoreFolder(repository, out, { files }).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failure === undefined) {
        expect(at).toBeGreaterThan(20);
        break;
      }
      expect(failure).toBeInstanceOf(Killed);
      // After the marker went, the restore was done.
      const isDone = (await readdir(out).catch(() => [])).join() === 'files';
      await restoreFolder(repository, out, { overwrite: isDone });
      expect(await describeRestorable(join(out, 'files'))).toEqual(expected);
      expect(await readdir(out)).toEqual(['files']);
      await files.bury();
      await rm(out, { recursive: true });
    }
  },
);

test('a restore that is run again keeps what is whole and equal, and replaces what is not', async () => {
  const folder = await temporaryFolder();
  const tree = join(folder, 'tree');
  await mkdir(tree);
  for (const name of ['a', 'b', 'c']) await writeFile(join(tree, name), pseudoRandom(name, 500_000));
  await using repository = await createBackupRepository();
  await repository.run([filesSource(tree)]);
  const out = join(folder, 'out');
  await restoreFolder(repository, out);
  // The same length, another byte.
  const bytes = await readFile(join(out, 'files/b'));
  bytes[400_000] = (bytes[400_000] as number) ^ 1;
  await writeFile(join(out, 'files/b'), bytes);
  expect(await restoreFolder(repository, out, { overwrite: true })).toMatchObject({ keptItems: 2 });
  expect(await describeRestorable(join(out, 'files'))).toEqual(await describeRestorable(tree));
});

test('a further name of a file comes back with its bytes, whether the first one is wanted or not', async () => {
  const folder = await temporaryFolder();
  const tree = join(folder, 'tree');
  for (const name of ['a', 'b', 'c']) await mkdir(join(tree, name), { recursive: true });
  await writeFile(join(tree, 'a/first'), 'shared');
  for (const name of ['b/second', 'b/third', 'c/fourth']) await link(join(tree, 'a/first'), join(tree, name));
  await using repository = await createBackupRepository();
  await repository.run([filesSource(tree)]);
  for (const paths of [['b'], ['b', 'a'], ['c/fourth', 'b/third'], ['b/second']]) {
    const out = join(folder, `out ${paths.join(' ').replaceAll('/', '-')}`);
    await restoreFolder(repository, out, { paths });
    const items = Object.entries(await describeRestorable(join(out, 'files'))).filter(
      ([, { digest }]) => digest !== undefined,
    );
    const wanted = ['a/first', 'b/second', 'b/third', 'c/fourth'].filter((path) =>
      paths.some((one) => path.startsWith(one)),
    );
    expect(items.map(([path]) => path)).toEqual(wanted.map((path) => `./${path}`));
    for (const [, { links }] of items) expect(links).toBe(wanted.length);
    expect(await readFile(join(out, 'files', wanted[0] as string), 'utf8')).toBe('shared');
  }
});

test('a disk that is full is told with the file, and the restore goes on when there is room', async () => {
  const folder = await temporaryFolder();
  const tree = join(folder, 'tree');
  await mkdir(tree);
  for (const name of ['a', 'b', 'c', 'd']) await writeFile(join(tree, name), pseudoRandom(name, 900_000));
  await using repository = await createBackupRepository();
  await repository.run([filesSource(tree)]);
  const disk = join(folder, 'disk');
  await mountTmpfs(disk, 2);
  const failure = restoreFolder(repository, join(disk, 'out'));
  await expect(failure).rejects.toMatchObject({
    code: 'NO_SPACE',
    at: { file: expect.stringMatching(/out\/files\/[a-d]$/) },
    message: expect.not.stringContaining('/proc/'),
  });
  await succeed('mount', ['-o', 'remount,size=8m', disk]);
  expect((await restoreFolder(repository, join(disk, 'out'))).keptItems).toBeGreaterThan(0);
  expect(await describeRestorable(join(disk, 'out/files'))).toEqual(await describeRestorable(tree));
});

test('a file that cannot be read while a restore goes on is written again', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'file'), 'bytes');
  await using repository = await createBackupRepository();
  await repository.run([filesSource(folder)]);
  const out = join(await temporaryFolder(), 'out');
  await restoreFolder(repository, out);
  const real = createFileTreeWriter({ effectiveUid: process.geteuid?.() ?? 0 });
  const closed = (inner: WritableFolder): WritableFolder => ({
    ...inner,
    enter: async (name) => closed(await inner.enter(name)),
    open: async (name) => {
      if (name.toString() !== 'file') return await inner.open(name);
      throw new AdapterError('FILE_UNREADABLE', 'its mode is 0');
    },
  });
  const files = { ...real, openRoot: async (path: string) => closed(await real.openRoot(path)) };
  expect(await restoreFolder(repository, out, { files, overwrite: true })).toMatchObject({ keptItems: 0 });
  expect(await readFile(join(out, 'files/file'), 'utf8')).toBe('bytes');
});
