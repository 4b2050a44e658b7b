import { digestOf } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { type MigrationScript, parseMigrationScript } from '../../formats/migration/script.ts';
import { UseCaseError } from '../errors.ts';
import { type Decision, pathOf } from './decide.ts';
import type { OrderedFile } from './modules.ts';

interface LoadOptions {
  readonly signal?: AbortSignal;
}

/** @throws FormatError SCRIPT_INVALID; UseCaseError MIGRATION_CHANGED when it is not what its digest says. */
export async function loadScript(file: OrderedFile, options: LoadOptions = {}): Promise<MigrationScript> {
  const bytes = await file.source.read(options);
  const found = digestOf(bytes);
  if (found !== file.digest) {
    throw new UseCaseError('MIGRATION_CHANGED', 'A migration changed while it was read', {
      expected: file.digest,
      found,
      at: { file: pathOf(file) },
      hint: 'See that nobody writes to the folder, then run the command again.',
    });
  }
  return parseMigrationScript(bytes, pathOf(file));
}

/** What is wrong with the files that would run or be recorded: found before the first of them runs. One at a time is in memory. */
export async function scriptProblems(
  decisions: readonly Decision[],
  options: LoadOptions = {},
): Promise<readonly PortolanError[]> {
  const problems: PortolanError[] = [];
  for (const { file } of decisions) {
    try {
      await loadScript(file, options);
    } catch (problem) {
      if (!(problem instanceof PortolanError)) throw problem;
      problems.push(problem);
    }
  }
  return problems;
}
