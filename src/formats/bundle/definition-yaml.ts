import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, Scalar, visit } from 'yaml';
import type { ErrorDetails, Place } from '../../core/errors.ts';
import { FormatError } from '../errors.ts';

/**
 * bundle.yaml as a YAML 1.2 document that still knows where everything stands.
 *
 * Limits: 1 MiB of text, one document, no duplicate keys, aliases resolved at most 100 times; the parser itself refuses deep
 * nesting. A word that YAML 1.1 reads as a boolean or an octal number and YAML 1.2 as something else is refused unless it is quoted: helm
 * reads YAML 1.1, so `enabled: no` would otherwise reach a template as the true string "no".
 */

export const DEFINITION_LIMIT_BYTES = 1024 * 1024;
const ALIAS_LIMIT = 100;
/** How many problems of a file are reported at once. */
export const PROBLEMS_LIMIT = 50;

export type KeyPath = readonly (string | number)[];

export interface PositionedYaml {
  readonly value: unknown;
  /** Where the value (or, with `'key'`, the key itself) at a path stands; the nearest parent where there is none. */
  place(path: KeyPath, which?: 'key' | 'value'): Place;
}

/** `charts[0].path`: a key path as people write it. */
export function keyPathText(path: KeyPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** @throws FormatError DEFINITION_INVALID with every problem that the text has as YAML. */
export function parsePositionedYaml(text: string, file: string): PositionedYaml {
  if (Buffer.byteLength(text) > DEFINITION_LIMIT_BYTES) {
    throw new FormatError('DEFINITION_INVALID', 'The file is too large for a definition.', {
      expected: `at most ${DEFINITION_LIMIT_BYTES} bytes`,
      found: Buffer.byteLength(text),
      at: { file },
      hint: 'Move values into files of their own and name them under `values`.',
    });
  }
  const lines = new LineCounter();
  const document = parseGuarded(
    // The parser's own check for unique keys takes quadratic time (60,000 keys: 50 s); the one below is linear.
    () => parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false }),
    file,
  );
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problems = [...document.errors, ...document.warnings].map(
    (error) =>
      new FormatError('DEFINITION_INVALID', `Not valid YAML: ${error.message}`, {
        at: at(error.pos[0]),
        hint: yamlHint(error.code),
      }),
  );
  if (problems.length === 0)
    problems.push(...keyProblems(document.contents, at), ...ambiguousScalars(document.contents, at));
  throwAll(problems);
  const value = parseGuarded(() => document.toJS({ maxAliasCount: ALIAS_LIMIT }) as unknown, file);
  const root = document.contents as Node | null;
  return { value, place: (path, which = 'value') => locate(root, path, which, at, file) };
}

/** Throws the first problem with the rest as `others`; does nothing when there is none. */
export function throwAll(problems: readonly FormatError[]): void {
  const [first, ...rest] = problems.slice(0, PROBLEMS_LIMIT);
  if (first === undefined) return;
  if (rest.length === 0) throw first;
  const { expected, found, hint, at, cause } = first;
  const given = Object.entries({ expected, found, hint, at, cause }).filter(([, value]) => value !== undefined);
  throw new FormatError(first.code, first.message, { ...(Object.fromEntries(given) as ErrorDetails), others: rest });
}

function parseGuarded<T>(parse: () => T, file: string): T {
  try {
    return parse();
  } catch (cause) {
    // The parser throws ReferenceError for an alias bomb.
    throw new FormatError(
      'DEFINITION_INVALID',
      'The YAML cannot be resolved: it is nested too deeply or repeats itself.',
      {
        cause,
        at: { file },
        hint: 'Write the repeated part out, or move it into a values file.',
      },
    );
  }
}

function keyProblems(root: unknown, at: (offset: number) => Place): FormatError[] {
  const found: FormatError[] = [];
  visit(root as Node, {
    Map(_, map) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        const offset = (key as Node | null)?.range?.[0] ?? 0;
        const name = isScalar(key) ? String(key.value) : undefined;
        if (name !== undefined && name !== '__proto__' && !seen.has(name)) {
          seen.add(name);
          continue;
        }
        const twice = name !== undefined && seen.has(name);
        const message = twice ? `The key \`${name}\` stands here twice.` : 'This cannot be a key.';
        const hint = twice ? 'Keep one of the two.' : 'Write the key as one plain word.';
        found.push(new FormatError('DEFINITION_INVALID', message, { at: at(offset), hint }));
      }
    },
  });
  return found;
}

function ambiguousScalars(root: unknown, at: (offset: number) => Place): FormatError[] {
  const found: FormatError[] = [];
  visit(root as Node, {
    Scalar(key, node) {
      if (key === 'key' || node.type !== Scalar.PLAIN || node.source === undefined) return;
      const { source } = node;
      const offset = node.range?.[0] ?? 0;
      if (/^(?:y|n|yes|no|on|off)$/i.test(source)) {
        found.push(
          new FormatError('DEFINITION_INVALID', `\`${source}\` is a boolean to helm and a word to YAML 1.2.`, {
            found: source,
            at: at(offset),
            hint: `Write true or false, or quote it: '${source}'.`,
          }),
        );
      } else if (/^[-+]?0[0-9_]+$/.test(source)) {
        found.push(
          new FormatError('DEFINITION_INVALID', `\`${source}\` is octal to helm and decimal to YAML 1.2.`, {
            found: source,
            at: at(offset),
            hint: `Quote it: '${source}'.`,
          }),
        );
      } else if (typeof node.value === 'number' && !isFaithful(node.value)) {
        found.push(
          new FormatError('DEFINITION_INVALID', `The number \`${source}\` cannot be carried without change.`, {
            found: source,
            at: at(offset),
            hint: `Quote it: '${source}'.`,
          }),
        );
      }
    },
  });
  return found;
}

/** JSON has no infinities, and integers beyond 2^53 lose digits. */
function isFaithful(value: number): boolean {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
}

function locate(
  root: Node | null,
  path: KeyPath,
  which: 'key' | 'value',
  at: (offset: number) => Place,
  file: string,
): Place {
  let node: unknown = root;
  let offset = root?.range?.[0] ?? 0;
  for (const [index, part] of path.entries()) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part)) as
        | Pair<Scalar, Node | null>
        | undefined;
      if (pair === undefined) break;
      const key = pair.key.range?.[0] ?? offset;
      const last = index === path.length - 1;
      offset = last && which === 'key' ? key : (pair.value?.range?.[0] ?? key);
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number') {
      const item = node.items[part] as Node | undefined;
      if (item === undefined) break;
      offset = item?.range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return { ...at(offset), file, key: keyPathText(path) };
}

function yamlHint(code: string): string {
  switch (code) {
    case 'MULTIPLE_DOCS':
      return 'Keep one document in the file: remove the `---` line and what follows it.';
    case 'TAB_AS_INDENT':
      return 'Indent with spaces.';
    case 'TAG_RESOLVE_FAILED':
      return 'Remove the tag (the word that begins with `!`).';
    default:
      return 'Correct the YAML at this place.';
  }
}
