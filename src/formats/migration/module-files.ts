import { throwProblems } from '../../core/errors.ts';
import { FormatError } from '../errors.ts';

/**
 * The files of a module of migrations: `<digits>_name.sql`, or `<digits>_name.contract.sql` for what waits until the next
 * import. They are applied in numeric order, so `2_b.sql` comes before `10_a.sql`; one number stands once.
 */

export const MODULE_FILE_LIMIT_BYTES = 64 * 1024 * 1024;

const NAME = /^(\d{1,20})_([A-Za-z0-9][A-Za-z0-9_-]{0,120})(\.contract)?\.sql$/;

/** Whether a file, whose name is that of a migration, waits for the next import. */
export function isContractFile(name: string): boolean {
  return NAME.exec(name)?.[3] !== undefined;
}

export interface ModuleFileName {
  readonly name: string;
  readonly number: bigint;
  readonly isContract: boolean;
}

/**
 * Names sorted by number.
 *
 * @param folder - For the place of errors.
 * @throws FormatError MODULE_INVALID for an unknown file, DUPLICATE for a number that stands twice; all at once.
 */
export function sortModuleFiles(names: readonly string[], folder: string): readonly ModuleFileName[] {
  const problems: FormatError[] = [];
  const byNumber = new Map<bigint, ModuleFileName>();
  for (const name of names) {
    const match = NAME.exec(name);
    if (match === null) {
      problems.push(
        new FormatError('MODULE_INVALID', `${name} is not a migration`, {
          expected: '<digits>_name.sql or <digits>_name.contract.sql',
          found: name,
          at: { file: `${folder}/${name}` },
          hint: 'Rename the file, or move it out of the module.',
        }),
      );
      continue;
    }
    const number = BigInt(match[1] as string);
    const earlier = byNumber.get(number);
    if (earlier === undefined) {
      byNumber.set(number, { name, number, isContract: match[3] !== undefined });
      continue;
    }
    problems.push(
      new FormatError('DUPLICATE', `${earlier.name} and ${name} have the same number`, {
        found: number.toString(),
        at: { file: `${folder}/${name}` },
        hint: 'Give one of them another number.',
      }),
    );
  }
  throwProblems(problems);
  return [...byNumber.values()].sort((a, b) => (a.number < b.number ? -1 : 1));
}
