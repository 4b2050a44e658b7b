import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { FormatError } from '../errors.ts';
import { definitionJsonSchema } from './definition-schema.ts';
import { type KeyPath, keyPathText, type PositionedYaml, PROBLEMS_LIMIT } from './definition-yaml.ts';

/** Turns what zod says about bundle.yaml into errors that a person can go to and correct. */

type Issue = z.core.$ZodIssue;

/** At most {@link PROBLEMS_LIMIT}: nobody reads more, and looking up places takes time. */
export function problemsOf(issues: readonly Issue[], yaml: PositionedYaml): FormatError[] {
  const problems: FormatError[] = [];
  for (const issue of issues) {
    if (problems.length >= PROBLEMS_LIMIT) break;
    problems.push(...problemsOfIssue(issue, [], yaml));
  }
  return problems;
}

/** The nearest of `known` to `word`, if it is near enough to be a slip of the fingers. */
function suggestion(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const lower = word.toLowerCase();
  const best = closest(lower, known as string[]);
  const found = known.find((name) => name.toLowerCase() === lower) ?? best;
  return distance(lower, found.toLowerCase()) <= Math.max(2, Math.floor(word.length / 3)) ? found : undefined;
}

/** `Write X instead.` where something is near, else the list of what there is. */
export function suggestionHint(word: string, known: readonly string[]): string {
  const near = suggestion(word, known);
  if (near !== undefined) return `Did you mean \`${near}\`?`;
  return known.length === 0 ? 'Remove it.' : `Use one of: ${known.slice(0, 30).join(', ')}.`;
}

function problemsOfIssue(issue: Issue, parents: KeyPath, yaml: PositionedYaml): FormatError[] {
  const path: KeyPath = [...parents, ...(issue.path as (string | number)[])];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.slice(0, PROBLEMS_LIMIT).map((key) => unknownKey([...path, key], yaml));
    case 'invalid_union':
      return unionProblems(issue, path, yaml);
    case 'invalid_key':
      return [
        problem(`The key \`${path.at(-1)}\` is not allowed.`, yaml, path, {
          expected: issue.issues[0]?.message ?? 'another key',
          found: String(path.at(-1)),
          which: 'key',
          hint: 'Rename the key.',
        }),
      ];
    case 'invalid_type':
      return [typeProblem(issue, path, yaml)];
    case 'invalid_value':
      return [
        problem(`\`${keyPathText(path)}\` has a value that is not known.`, yaml, path, {
          expected: issue.values.join(' or '),
          ...foundAt(yaml, path),
          hint: suggestionHint(String(valueAt(yaml.value, path)), issue.values.map(String)),
        }),
      ];
    default:
      return [
        problem(`\`${keyPathText(path)}\` is not right.`, yaml, path, {
          expected: limitText(issue),
          ...foundAt(yaml, path),
          hint: 'Write it in the form that is expected.',
        }),
      ];
  }
}

function unionProblems(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: KeyPath,
  yaml: PositionedYaml,
): FormatError[] {
  // The branch that accepts the value's type is the one that was meant; what it complains of is what helps.
  const meant = issue.errors.find((branch) =>
    branch.every((one) => one.code !== 'invalid_type' || one.path.length > 0),
  );
  if (meant !== undefined && meant.length > 0) return meant.flatMap((one) => problemsOfIssue(one, path, yaml));
  const expected = issue.errors.flatMap((branch) =>
    branch.map((one) => ('expected' in one ? typeName(one.expected) : '')),
  );
  return [
    problem(`\`${keyPathText(path)}\` has the wrong type.`, yaml, path, {
      expected: [...new Set(expected.filter((name) => name !== ''))].join(' or '),
      found: typeOf(valueAt(yaml.value, path)),
      hint: 'Write it in one of the forms that are expected.',
    }),
  ];
}

function typeProblem(
  issue: Extract<Issue, { code: 'invalid_type' }>,
  path: KeyPath,
  yaml: PositionedYaml,
): FormatError {
  const value = valueAt(yaml.value, path);
  const name = path.length === 0 ? 'The document' : `\`${keyPathText(path)}\``;
  if (value === undefined) {
    return problem(`${name} is missing.`, yaml, path, {
      expected: typeName(issue.expected),
      hint: `Add the key \`${path.at(-1)}\`.`,
    });
  }
  const scalar = issue.expected === 'string' && (typeof value === 'number' || typeof value === 'boolean');
  return problem(`${name} has the wrong type.`, yaml, path, {
    expected: typeName(issue.expected),
    found: typeOf(value),
    hint: scalar ? `Quote it: '${String(value)}' (check the digits: YAML drops trailing zeros).` : 'Correct the value.',
  });
}

function unknownKey(path: KeyPath, yaml: PositionedYaml): FormatError {
  const key = String(path.at(-1));
  const known = knownKeys(path.slice(0, -1));
  return problem(`The key \`${key}\` is not known here.`, yaml, path, {
    found: key,
    which: 'key',
    hint: suggestionHint(key, known),
  });
}

interface Details {
  readonly expected?: string | number;
  readonly found?: string | number;
  readonly hint: string;
  readonly which?: 'key' | 'value';
}

export function problem(message: string, yaml: PositionedYaml, path: KeyPath, details: Details): FormatError {
  const { which, ...rest } = details;
  return new FormatError('DEFINITION_INVALID', message, { ...rest, at: yaml.place(path, which) });
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
}

/** Made with the first unknown key: most definitions have none. */
let schema: SchemaNode | undefined;

/** The keys that the schema allows at a path. */
function knownKeys(path: KeyPath): string[] {
  schema ??= definitionJsonSchema() as SchemaNode;
  let nodes: SchemaNode[] = [schema];
  const spread = (list: readonly SchemaNode[]): SchemaNode[] =>
    list.flatMap((node) => (node.anyOf ? spread(node.anyOf) : [node]));
  for (const part of path) {
    nodes = spread(nodes).flatMap((node) => {
      if (typeof part === 'number') return node.items === undefined ? [] : [node.items];
      const other = typeof node.additionalProperties === 'object' ? [node.additionalProperties] : [];
      const own =
        node.properties !== undefined && Object.hasOwn(node.properties, part) ? node.properties[part] : undefined;
      return own === undefined ? other : [own];
    });
  }
  return [...new Set(spread(nodes).flatMap((node) => Object.keys(node.properties ?? {})))];
}

function valueAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const part of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

function foundAt(yaml: PositionedYaml, path: KeyPath): { found?: string } {
  const value = valueAt(yaml.value, path);
  if (typeof value === 'string') return { found: value.length > 120 ? `${value.slice(0, 120)}…` : value };
  return value === undefined ? {} : { found: JSON.stringify(value).slice(0, 120) };
}

function limitText(issue: Issue): string {
  if (issue.code === 'too_small') return `at least ${issue.minimum}${issue.origin === 'string' ? ' characters' : ''}`;
  if (issue.code === 'too_big') return `at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}`;
  return issue.message;
}

function typeName(expected: string): string {
  const names: Record<string, string> = {
    object: 'a map',
    record: 'a map',
    array: 'a list',
    string: 'a string',
    int: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
  };
  return names[expected] ?? expected;
}

function typeOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeName(typeof value);
}
