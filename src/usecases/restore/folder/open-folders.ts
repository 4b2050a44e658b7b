import type { WritableFolder } from '../../../ports/file-tree.ts';

/** A folder that stays open until it is let go. */
export interface HeldFolder extends AsyncDisposable {
  readonly folder: WritableFolder;
}

/** The folders on the way to where was worked last: files of one folder come together. */
export interface OpenFolders extends AsyncDisposable {
  /** Makes what is not there. */
  hold(names: readonly Buffer[]): Promise<HeldFolder>;
}

interface Level {
  readonly name: Buffer;
  readonly shared: ReturnType<typeof share>;
}

/** `root` stays the caller's. Calls follow each other. */
export function createOpenFolders(root: WritableFolder): OpenFolders {
  const levels: Level[] = [];
  const cut = async (depth: number) => {
    for (const { shared } of levels.splice(depth).reverse()) await shared.release();
  };
  return {
    async hold(names) {
      let depth = 0;
      while (depth < names.length && levels[depth]?.name.equals(names[depth] as Buffer) === true) depth += 1;
      await cut(depth);
      for (const name of names.slice(depth)) {
        const parent = levels.at(-1)?.shared.folder ?? root;
        levels.push({ name, shared: share(await parent.enter(name)) });
      }
      const shared = levels.at(-1)?.shared;
      if (shared === undefined) return { folder: root, [Symbol.asyncDispose]: async () => {} };
      shared.keep();
      return { folder: shared.folder, [Symbol.asyncDispose]: shared.release };
    },
    [Symbol.asyncDispose]: () => cut(0),
  };
}

function share(folder: WritableFolder) {
  let users = 1;
  return {
    folder,
    keep() {
      users += 1;
    },
    async release() {
      users -= 1;
      if (users === 0) await folder[Symbol.asyncDispose]();
    },
  };
}
