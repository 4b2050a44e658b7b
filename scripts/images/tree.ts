/**
 * The files of one layer, before they are an archive: a map from path to entry. Paths are relative, without `./` and
 * without a slash at the end. What a later call sets replaces what an earlier one set.
 */
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

export type TreeEntry = { readonly mode: number; readonly uid: number; readonly gid: number } & (
  | { readonly kind: 'folder' }
  | { readonly kind: 'file'; readonly source: string | Uint8Array; readonly sizeBytes: number }
  | { readonly kind: 'link'; readonly target: string }
);

export type Tree = Map<string, TreeEntry>;

interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

export function addFolder(tree: Tree, path: string, mode = 0o755, { uid = 0, gid = uid }: Owner = {}): void {
  tree.set(path, { kind: 'folder', mode, uid, gid });
}

export function addText(tree: Tree, path: string, text: string, mode = 0o644): void {
  const source = Buffer.from(text);
  tree.set(path, { kind: 'file', mode, uid: 0, gid: 0, source, sizeBytes: source.length });
}

export function addLink(tree: Tree, path: string, target: string): void {
  tree.set(path, { kind: 'link', mode: 0o777, uid: 0, gid: 0, target });
}

/** Adds a file by its path on this machine; it is read when the layer is written. */
export async function addFile(tree: Tree, path: string, source: string, mode = 0o644): Promise<void> {
  tree.set(path, { kind: 'file', mode, uid: 0, gid: 0, source, sizeBytes: (await lstat(source)).size });
}

/**
 * Adds what lies under `folder`, owned by uid 0 whatever its owner here. `place` names the path in the image, or
 * `undefined` to leave the entry out (with all that is in it, when it is a folder). `fixedModes` makes modes 0755 or 0644, for folders of a checkout
 * whose modes follow somebody's umask.
 */
export async function addFolderContent(
  tree: Tree,
  folder: string,
  place: (path: string, kind: TreeEntry['kind']) => string | undefined,
  options: { readonly fixedModes?: boolean } = {},
  below = '',
): Promise<void> {
  for (const item of (await readdir(join(folder, below), { withFileTypes: true })).sort(byName)) {
    const path = below === '' ? item.name : `${below}/${item.name}`;
    const kind = item.isDirectory() ? 'folder' : item.isSymbolicLink() ? 'link' : 'file';
    const target = place(path, kind);
    if (target === undefined) continue;
    const source = join(folder, path);
    const stat = await lstat(source);
    const mode = options.fixedModes ? (kind === 'folder' || stat.mode & 0o100 ? 0o755 : 0o644) : stat.mode & 0o7777;
    if (kind === 'link') addLink(tree, target, await readlink(source));
    else if (kind === 'folder') {
      tree.set(target, { kind, mode, uid: 0, gid: 0 });
      await addFolderContent(tree, folder, place, options, path);
    } else if (stat.isFile()) tree.set(target, { kind, mode, uid: 0, gid: 0, source, sizeBytes: stat.size });
    else throw new Error(`${source} is neither a file, a folder nor a symbolic link: it cannot go into an image.`);
  }
}

/** Removes folders that hold nothing, except those in `keep`. */
export function dropEmptyFolders(tree: Tree, keep: ReadonlySet<string> = new Set()): void {
  const used = new Set(keep);
  for (const [path, entry] of tree) {
    if (entry.kind === 'folder' && !keep.has(path)) continue;
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) used.add(path.slice(0, end));
  }
  for (const [path, entry] of tree) if (entry.kind === 'folder' && !used.has(path)) tree.delete(path);
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
