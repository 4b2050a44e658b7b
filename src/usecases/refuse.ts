import { PortolanError } from '../core/errors.ts';
import { UseCaseError } from './errors.ts';

/** Throws what was found, all of it at once; nothing when nothing was. @throws UseCaseError IMPORT_REFUSED, or the only problem */
export function refuseProblems(problems: readonly PortolanError[]): void {
  const [first, ...further] = problems;
  if (first === undefined) return;
  if (further.length === 0) throw first;
  throw new UseCaseError('IMPORT_REFUSED', `Nothing was imported: ${problems.length} checks failed`, {
    others: problems,
    hint: 'Mend what is named and run the same command again.',
  });
}

/** Faults of this run: they say nothing about bundle or target. */
const OWN_FAULTS = new Set<string>(['WORKER_DIED', 'ENGINE_CLOSED']);

/** Runs a check. What it finds becomes an entry of the list; anything else (an abort, a defect) goes on up. */
export async function collect<T>(problems: PortolanError[], check: () => Promise<T>): Promise<T | undefined> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof PortolanError) || OWN_FAULTS.has(error.code)) throw error;
    problems.push(error);
    return undefined;
  }
}
