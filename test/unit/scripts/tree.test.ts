import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  addFolder,
  addFolderContent,
  addText,
  dropEmptyFolders,
  type Tree,
  type TreeEntry,
} from '../../../scripts/images/tree.ts';
import { temporaryFolder } from '../../support/temporary.ts';

test('a folder is added with links as they are, without what has no place', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'usr/share/man'), { recursive: true });
  await writeFile(join(folder, 'usr/share/man/page'), 'page');
  await writeFile(join(folder, 'usr/tool'), 'tool');
  await symlink('/etc/passwd', join(folder, 'usr/link'));
  const tree: Tree = new Map();
  await addFolderContent(tree, folder, (path) => (path === 'usr/share/man' ? undefined : `root/${path}`));
  expect([...tree.keys()].sort()).toEqual(['root/usr', 'root/usr/link', 'root/usr/share', 'root/usr/tool']);
  expect(tree.get('root/usr/link')).toMatchObject({ kind: 'link', target: '/etc/passwd' });
  expect(tree.get('root/usr/tool')).toMatchObject({ kind: 'file', sizeBytes: 4, uid: 0, gid: 0 });
});

test('with fixed modes only the owner’s execute bit counts', async () => {
  const folder = await temporaryFolder();
  for (const [name, mode] of [
    ['private', 0o600],
    ['open', 0o666],
    ['tool', 0o700],
  ] as const) {
    await writeFile(join(folder, name), '');
    await chmod(join(folder, name), mode);
  }
  await mkdir(join(folder, 'sub'), { mode: 0o700 });
  const modes = async (options: { readonly fixedModes?: boolean }) => {
    const tree: Tree = new Map();
    await addFolderContent(tree, folder, (path) => path, options);
    return Object.fromEntries([...tree].map(([path, entry]: [string, TreeEntry]) => [path, entry.mode]));
  };
  expect(await modes({ fixedModes: true })).toEqual({ private: 0o644, open: 0o644, tool: 0o755, sub: 0o755 });
  expect(await modes({})).toEqual({ private: 0o600, open: 0o666, tool: 0o700, sub: 0o700 });
});

test('a socket is no part of an image', async () => {
  const folder = await temporaryFolder();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(folder, 'socket'), resolve));
  onTestFinished(() => void server.close());
  await expect(addFolderContent(new Map(), folder, (path) => path)).rejects.toThrow('socket');
});

test('empty folders are dropped, those that hold something stay', () => {
  const tree: Tree = new Map();
  for (const path of ['a', 'a/b', 'a/b/c', 'd', 'd/e', 'kept']) addFolder(tree, path);
  addText(tree, 'd/e/file', '');
  dropEmptyFolders(tree, new Set(['kept']));
  expect([...tree.keys()].sort()).toEqual(['d', 'd/e', 'd/e/file', 'kept']);
});
