import { UseCaseError } from '../../errors.ts';

/** Which paths of a source are wanted. */
export interface PathSelection {
  has(path: string): boolean;
  /** Whether something that is wanted lies below. */
  leadsTo(path: string): boolean;
  /** @throws UseCaseError RESTORE_NAME_UNKNOWN when one fitted nothing */
  requireUsed(): void;
}

/** Paths with what is below them; all when there are none. */
export function createPathSelection(paths: readonly string[]): PathSelection {
  const wanted = paths.map((path) => path.replace(/^(\.?\/)+/, '').replace(/\/+$/, '')).map((path) => path || '.');
  const isAll = wanted.length === 0 || wanted.includes('.');
  const used = new Set<string>();
  return {
    has(path) {
      if (isAll) return true;
      const fitting = wanted.find((one) => path === one || path.startsWith(`${one}/`));
      if (fitting !== undefined) used.add(fitting);
      return fitting !== undefined;
    },
    leadsTo: (path) => path === '.' || wanted.some((one) => one.startsWith(`${path}/`)),
    requireUsed() {
      const unknown = isAll ? [] : wanted.filter((one) => !used.has(one));
      if (unknown.length === 0) return;
      throw new UseCaseError('RESTORE_NAME_UNKNOWN', `the snapshot has no such path: ${unknown.join(', ')}`, {
        hint: 'See what it holds with `portolan backup ls`; paths are relative to the folder that was backed up.',
      });
    },
  };
}
