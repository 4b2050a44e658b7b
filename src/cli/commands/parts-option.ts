import { list } from '../arguments.ts';
import { UsageError } from '../errors.ts';

/** `--only PART`, which leaves the other parts out. */
export function onlyOption(parts: readonly string[], everything: string) {
  const named = `${parts.slice(0, -1).join(', ')} or ${parts.at(-1)}`;
  return list({
    value: 'PART',
    complete: parts,
    description: `${named}; repeatable, or with commas. Default: ${everything}`,
  });
}

/** The parts that were named, in the order of `parts`; all of them when none was. @throws UsageError USAGE */
export function partsOf<Part extends string>(only: readonly string[], parts: readonly Part[]): readonly Part[] {
  const named = only.flatMap((text) => text.split(','));
  const unknown = named.find((name) => !parts.some((part) => part === name));
  if (unknown !== undefined) {
    throw new UsageError('USAGE', `--only names "${unknown}", which is no part`, {
      expected: parts.join(', '),
      found: unknown,
      hint: 'Correct the name.',
    });
  }
  return parts.filter((part) => named.length === 0 || named.includes(part));
}
