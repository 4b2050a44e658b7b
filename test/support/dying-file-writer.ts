import type { FileTreeWriter, NewFile, WritableFolder } from '../../src/ports/file-tree.ts';
import { Killed } from './dying-store.ts';

export interface DyingFileWriter extends FileTreeWriter {
  /** Closes what the dead process had open. */
  bury(): Promise<void>;
}

/**
 * A writer of files whose process dies at the N-th call that changes something (from 1), `before` or `after` the change is
 * made. What it had open under a temporary name stays there.
 */
export function dyingFileWriter(writer: FileTreeWriter, at: number, when: 'before' | 'after'): DyingFileWriter {
  let changes = 0;
  let isDead = false;
  const change = async <T>(work: () => Promise<T>): Promise<T> => {
    if (isDead) throw new Killed('the process is dead');
    changes += 1;
    if (changes !== at) return await work();
    isDead = true;
    if (when === 'after') await work();
    throw new Killed(`killed ${when} change ${at}`);
  };
  const open: (() => PromiseLike<void>)[] = [];
  const file = (made: NewFile): NewFile => {
    open.push(made.discard);
    return {
      path: made.path,
      write: (...args) => change(() => made.write(...args)),
      commit: (...args) => change(() => made.commit(...args)),
      discard: async () => {
        if (!isDead) await made.discard();
      },
    };
  };
  const folder = (real: WritableFolder): WritableFolder => {
    open.push(real[Symbol.asyncDispose]);
    return {
      ...real,
      enter: (name) => change(async () => folder(await real.enter(name))),
      create: (sizeBytes) => change(async () => file(await real.create(sizeBytes))),
      symlink: (...args) => change(() => real.symlink(...args)),
      link: (...args) => change(() => real.link(...args)),
      special: (...args) => change(() => real.special(...args)),
      mark: (...args) => change(() => real.mark(...args)),
      markSelf: (...args) => change(() => real.markSelf(...args)),
      remove: (...args) => change(() => real.remove(...args)),
      clear: () => change(() => real.clear()),
    };
  };
  return {
    isPrivileged: writer.isPrivileged,
    async bury() {
      // Folders that were closed in time say so.
      await Promise.allSettled(open.map((close) => close()));
    },
    ids: () => writer.ids(),
    openRoot: (path) => change(async () => folder(await writer.openRoot(path))),
  };
}
