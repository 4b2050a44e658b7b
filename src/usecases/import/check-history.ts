import type { Digest } from '../../core/digest.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { type Installed, releaseKey } from '../../formats/target/installed.ts';
import { UseCaseError } from '../errors.ts';

/**
 * Holds a bundle against what the target had before: a replayed older bundle, a sequence that stands on two bundles, and
 * data that nothing would look after any more.
 *
 * @returns UseCaseError DOWNGRADE_REFUSED, SEQUENCE_REUSED, DATA_ORPHANED
 */
export function historyProblems(
  bundle: { readonly contents: Contents; readonly root: Digest },
  installed: Installed,
  allow: { readonly downgrade: boolean; readonly orphans: boolean },
): UseCaseError[] {
  const problems: UseCaseError[] = [];
  const { contents, root } = bundle;
  const { highest, applied } = installed;
  if (highest !== undefined && !allow.downgrade) {
    if (contents.sequence < highest.sequence) {
      problems.push(
        new UseCaseError('DOWNGRADE_REFUSED', `This target already had a newer ${contents.name}`, {
          expected: `sequence ${highest.sequence} (${highest.version}) or above`,
          found: `sequence ${contents.sequence} (${contents.version})`,
          hint: 'To undo the last upgrade use `portolan bundle rollback`. If the old bundle is really meant, say --allow-downgrade.',
        }),
      );
    } else if (contents.sequence === highest.sequence && root !== highest.root) {
      problems.push(
        new UseCaseError('SEQUENCE_REUSED', `Another ${contents.name} had the same sequence on this target`, {
          expected: highest.root,
          found: root,
          hint: 'Ask the publisher why one sequence stands on two bundles. If both are really meant, say --allow-downgrade.',
        }),
      );
    }
  }
  if (applied !== undefined && !allow.orphans) {
    const modules = new Set(contents.modules.map(({ name }) => name));
    const releases = new Set(contents.charts.map(releaseKey));
    const lost = [
      ...applied.modules.filter(({ name }) => !modules.has(name)).map(({ name }) => `the tables of module ${name}`),
      ...applied.charts
        .filter((chart) => chart.stage === 'data' && !releases.has(releaseKey(chart)))
        .map((chart) => `the data of release ${releaseKey(chart)}`),
    ];
    const off = Object.entries(applied.features)
      .filter(([name, on]) => on && contents.features[name] !== true)
      .map(([name]) => name);
    if (lost.length > 0) {
      problems.push(
        new UseCaseError('DATA_ORPHANED', 'The bundle leaves out what has data on this target', {
          found: `${lost.join(', ')}${off.length === 0 ? '' : ` (switched off: ${off.join(', ')})`}`,
          hint: 'Nothing would look after that data any more. Switch the feature on in the bundle, or say --allow-orphans: the data stays where it is.',
        }),
      );
    }
  }
  return problems;
}
