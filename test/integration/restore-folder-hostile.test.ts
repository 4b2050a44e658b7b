/** Whoever holds a writer's keys can write any contents: a restore never reaches outside of its folder for them. */
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FileEntry } from '../../src/formats/repository/contents.ts';
import type { BackupSource } from '../../src/ports/backup-source.ts';
import { createBackupRepository } from '../support/backup-repository.ts';
import { describeTree } from '../support/nasty-tree.ts';
import { filesSource, restoreFolder } from '../support/restored-folder.ts';
import { temporaryFolder } from '../support/temporary.ts';

type Part = Partial<FileEntry> & { readonly path: string };

/** A source with these entries; each stream that one of them names holds "evil". */
function hostileSource(parts: readonly Part[], name = 'files'): BackupSource {
  const streams = new Set(parts.flatMap(({ stream }) => stream ?? []));
  return {
    kind: 'files',
    name,
    place: 'nowhere',
    prepare: async () => ({ expectedBytes: 0 }),
    async backUp(writer) {
      await writer.entry({ entry: 'source', source: name, kind: 'files', name: 'nowhere', record: {} });
      for (const stream of streams) {
        await writer.stream(
          stream,
          (async function* () {
            yield Buffer.from('evil');
          })(),
        );
      }
      for (const part of [{ path: '.', kind: 'directory' } as const, ...parts]) {
        const base = {
          entry: 'file',
          source: name,
          kind: 'file',
          mode: 0o644,
          uid: 0,
          gid: 0,
          mtimeNs: '0',
          sizeBytes: 0,
        } as const;
        await writer.entry({ ...base, ...part });
      }
      const record = { version: 1, items: parts.length + 1, sizeBytes: 0, notes: [] };
      await writer.entry({ entry: 'end', source: name, record });
      return { kind: 'files', name, place: 'nowhere', sizeBytes: 0, items: parts.length + 1, notes: [] };
    },
  };
}

const evil = { stream: 'files/1', sizeBytes: 4 };
const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');
const notRight = 'SNAPSHOT_NOT_RIGHT';

test.each<{ name: string; parts: Part[]; code: string }>([
  { name: 'a path above', parts: [{ path: '../outside/x', ...evil }], code: notRight },
  { name: 'a path above, further in', parts: [{ path: 'a/../../../outside/x', ...evil }], code: notRight },
  { name: 'an absolute path', parts: [{ path: '/tmp/portolan-evil', ...evil }], code: notRight },
  { name: 'an empty name', parts: [{ path: 'a//x', ...evil }], code: notRight },
  { name: 'a dot within', parts: [{ path: 'a/./x', ...evil }], code: notRight },
  { name: 'a NUL', parts: [{ path: 'a\0b', ...evil }], code: notRight },
  { name: 'a path above in bytes', parts: [{ path: 'x', rawPath: base64('../outside/x'), ...evil }], code: notRight },
  { name: 'bytes that are not base64', parts: [{ path: 'x', rawPath: '%%%', ...evil }], code: notRight },
  { name: 'a file as the folder itself', parts: [{ path: '.', ...evil }], code: notRight },
  {
    name: 'a link to elsewhere that is then a folder',
    parts: [
      { path: 'a', kind: 'symlink', target: '../../outside' },
      { path: 'a/x', ...evil },
    ],
    code: 'FILE_EXISTS',
  },
  {
    name: 'a link to elsewhere, called a folder later',
    parts: [
      { path: 'a', kind: 'symlink', target: '../../outside' },
      { path: 'a', kind: 'directory', mode: 0o777 },
    ],
    code: 'FILE_EXISTS',
  },
  {
    name: 'a further name of something elsewhere',
    parts: [{ path: 'a', link: '../../outside/kept' }],
    code: notRight,
  },
  {
    name: 'a further name of something behind a link',
    parts: [
      { path: 'a', kind: 'symlink', target: '../../outside' },
      { path: 'b', link: 'a/kept' },
    ],
    code: 'FILE_EXISTS',
  },
  {
    name: 'a folder where a file is',
    parts: [
      { path: 'a', ...evil },
      { path: 'a/b', kind: 'directory' },
    ],
    code: 'FILE_EXISTS',
  },
  {
    name: 'a file where a folder is',
    parts: [
      { path: 'a', kind: 'directory' },
      { path: 'a', ...evil },
    ],
    code: 'FILE_EXISTS',
  },
  {
    name: 'one stream for two files',
    parts: [
      { path: 'a', ...evil },
      { path: 'b', ...evil },
    ],
    code: notRight,
  },
  { name: 'a size that is not that of the bytes', parts: [{ path: 'a', ...evil, sizeBytes: 5 }], code: notRight },
  { name: 'runs beyond the end', parts: [{ path: 'a', ...evil, extents: [[2, 4]] }], code: notRight },
  {
    name: 'runs over each other',
    parts: [
      {
        path: 'a',
        ...evil,
        sizeBytes: 9,
        extents: [
          [0, 3],
          [2, 1],
        ],
      },
    ],
    code: notRight,
  },
  { name: 'a size without bytes', parts: [{ path: 'a', sizeBytes: 4 }], code: notRight },
])('nothing is reached outside: $name', async ({ parts, code }) => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'outside'));
  await writeFile(join(folder, 'outside/kept'), 'kept');
  await using repository = await createBackupRepository();
  await repository.run([hostileSource(parts)]);
  const before = await describeTree(join(folder, 'outside'));
  await expect(restoreFolder(repository, join(folder, 'out'))).rejects.toMatchObject({ code });
  expect(await describeTree(join(folder, 'outside'))).toEqual(before);
  expect((await readdir(folder)).sort()).toEqual(['out', 'outside']);
});

test('links that lie in the target are never written through, and nothing behind them is touched', async () => {
  const folder = await temporaryFolder();
  const [tree, outside, out] = ['tree', 'outside', 'out'].map((name) => join(folder, name)) as [string, string, string];
  await mkdir(join(tree, 'd'), { recursive: true });
  await writeFile(join(tree, 'd/file'), 'restored');
  await writeFile(join(tree, 'file'), 'restored');
  await mkdir(outside);
  await writeFile(join(outside, 'file'), 'kept');
  await using repository = await createBackupRepository();
  await repository.run([filesSource(tree)]);

  // A file takes the place of a link; where a folder belongs, nothing is done.
  await mkdir(join(out, 'files'), { recursive: true });
  await symlink(join(outside, 'file'), join(out, 'files/file'));
  await restoreFolder(repository, out, { overwrite: true });
  expect(await readFile(join(out, 'files/file'), 'utf8')).toBe('restored');
  const second = join(folder, 'second');
  await mkdir(join(second, 'files'), { recursive: true });
  await symlink(outside, join(second, 'files/d'));
  await expect(restoreFolder(repository, second, { overwrite: true })).rejects.toMatchObject({ code: 'FILE_EXISTS' });
  expect(await readFile(join(outside, 'file'), 'utf8')).toBe('kept');
});

test('contents that lack an entry are told', async () => {
  const folder = await temporaryFolder();
  await using repository = await createBackupRepository();
  const whole = hostileSource([{ path: 'a' }, { path: 'b' }]);
  await repository.run([
    {
      ...whole,
      backUp: (writer, options) =>
        whole.backUp(
          {
            ...writer,
            entry: async (entry) =>
              void (entry.entry === 'file' && entry.path === 'b' ? undefined : await writer.entry(entry)),
          },
          options,
        ),
    },
  ]);
  await expect(restoreFolder(repository, join(folder, 'out'))).rejects.toMatchObject({ code: notRight, found: 2 });
});
