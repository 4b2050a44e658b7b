import type { Installed } from '../../formats/target/installed.ts';
import type { ImageTarget } from '../../ports/image-target.ts';
import { listInstalled, writeInstalled } from './installed-state.ts';
import { withTargetLock } from './locked.ts';
import { idleImages } from './status.ts';
import type { InstalledDependencies, LockedRequest } from './types.ts';

export interface GcReport {
  readonly removed: readonly { readonly target: string; readonly reference: string }[];
  /** What targets say they took away with them. */
  readonly cleared: readonly string[];
}

/**
 * Takes away images that imports brought and that no bundle's present or former release names. An image that another
 * bundle needs stays, whoever brought it.
 *
 * @param openTarget - Opens a target by the name under which it was recorded.
 */
export async function collectGarbage(
  request: LockedRequest & { readonly dryRun: boolean },
  dependencies: InstalledDependencies & { readonly openTarget: (name: string) => Promise<ImageTarget> },
  options: { readonly signal?: AbortSignal } = {},
): Promise<GcReport> {
  const { state, openTarget } = dependencies;
  return await withTargetLock(request, dependencies, options, async (signal) => {
    const all = await listInstalled(state, { signal });
    const needed = new Set(
      all
        // Of an import that did not end too: it goes on where it was, and what it installed already runs.
        .flatMap(({ applied, former, running }) => [applied, former, running])
        .flatMap((release) => release?.images ?? [])
        .map(({ reference }) => reference),
    );
    const idle = (installed: Installed) => idleImages(installed).filter(({ reference }) => !needed.has(reference));
    const byTarget = new Map<string, Map<string, Installed['brought'][number]>>();
    for (const image of all.flatMap(idle)) {
      const images = byTarget.get(image.target) ?? new Map();
      byTarget.set(image.target, images.set(image.reference, image));
    }
    const removed: GcReport['removed'][number][] = [];
    const cleared: string[] = [];
    for (const [name, images] of byTarget) {
      const target = request.dryRun ? undefined : await openTarget(name);
      cleared.push(...((await target?.remove([...images.values()], { signal })) ?? []));
      removed.push(...[...images.keys()].map((reference) => ({ target: name, reference })));
    }
    // Noted only now: what was not taken away is found again by the next run.
    for (const installed of request.dryRun ? [] : all) {
      const gone = new Set(idle(installed));
      if (gone.size === 0) continue;
      await writeInstalled(
        state,
        { ...installed, brought: installed.brought.filter((image) => !gone.has(image)) },
        { signal },
      );
    }
    return { removed, cleared };
  });
}
