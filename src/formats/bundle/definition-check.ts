import { joinRecipients, parseRecipient, type Recipient } from '../age/recipients.ts';
import { FormatError } from '../errors.ts';
import { parseReference } from '../oci/reference.ts';
import { isBundlePath } from './bundle-path.ts';
import { problem, suggestionHint } from './definition-problems.ts';
import type { Condition, Definition } from './definition-types.ts';
import { type KeyPath, keyPathText, type PositionedYaml } from './definition-yaml.ts';

/** What a schema cannot say about bundle.yaml: names that must exist, paths that must be clean. */
export function checkDefinition(definition: Definition, yaml: PositionedYaml): FormatError[] {
  const features = [...definition.features.keys()];
  const modules = definition.modules.map((module) => module.name);
  return [
    ...conditionsOf(definition).flatMap(({ key, when }) =>
      features.includes(when.feature)
        ? []
        : [
            problem(`The feature \`${when.feature}\` is not defined.`, yaml, key, {
              found: when.feature,
              hint: suggestionHint(when.feature, features),
            }),
          ],
    ),
    ...providerProblem(definition, yaml),
    ...definition.modules.flatMap((module) =>
      module.requires.flatMap((name, index) =>
        modules.includes(name)
          ? []
          : [
              problem(`The module \`${name}\` is not defined.`, yaml, [...module.key, 'requires', index], {
                found: name,
                hint: suggestionHint(name, modules),
              }),
            ],
      ),
    ),
    ...definition.configuration.flatMap(({ path, key }) =>
      isBundlePath(path)
        ? []
        : [
            problem('The file name cannot stand on every file system.', yaml, key, {
              found: path,
              hint: 'Give the entry a `path` of its own, or rename the file.',
            }),
          ],
    ),
    ...referenceProblems(definition, yaml),
    ...databaseProblem(definition, yaml),
    ...recipientProblems(definition, yaml),
    ...repeated(definition.platforms, ['platforms'], yaml),
    ...repeated(definition.audience, ['audience'], yaml),
  ];
}

function providerProblem(definition: Definition, yaml: PositionedYaml): FormatError[] {
  const names = [...definition.providers.keys()];
  if (definition.provider === undefined || names.includes(definition.provider)) return [];
  return [
    problem(`The provider \`${definition.provider}\` is not defined.`, yaml, ['provider'], {
      found: definition.provider,
      hint: suggestionHint(definition.provider, names),
    }),
  ];
}

function referenceProblems({ charts, database }: Definition, yaml: PositionedYaml): FormatError[] {
  const named = [
    ...charts.flatMap((chart) => chart.imageValues.map(({ image, key }) => ({ image, key: [...key, 'image'] }))),
    ...(database?.image === undefined ? [] : [{ image: database.image, key: ['database', 'image'] }]),
  ];
  return named.flatMap(({ image, key }) => placed(() => parseReference(image), yaml, key).problems);
}

function databaseProblem({ database, modules }: Definition, yaml: PositionedYaml): FormatError[] {
  if (database === undefined || modules.length > 0) return [];
  return [
    problem('`database` is for migrations, and there are no modules.', yaml, ['database'], {
      which: 'key',
      hint: 'Add `modules`, or remove `database`.',
    }),
  ];
}

/** Each must be whole, and all of one kind: import seals a receipt long after the mistake was made. */
function recipientProblems({ receipt }: Definition, yaml: PositionedYaml): FormatError[] {
  const key = (index: number) => ['receipt', 'recipients', index];
  const parsed = receipt.recipients.map((text, index) => placed(() => parseRecipient(text), yaml, key(index)));
  const problems = parsed.flatMap((one) => one.problems);
  const recipients = parsed.flatMap(({ value }) => (value === undefined ? [] : [value]));
  const other = recipients.findIndex(({ kind }) => kind !== recipients[0]?.kind);
  if (problems.length > 0 || recipients.length === 0) return problems;
  return [
    ...placed<unknown>(() => joinRecipients(recipients as Recipient[]), yaml, key(other)).problems,
    ...repeated(receipt.recipients, ['receipt', 'recipients'], yaml),
  ];
}

/** What a parser of one value says, as a problem of the definition at the value's place. */
function placed<T>(
  parse: () => T,
  yaml: PositionedYaml,
  key: KeyPath,
): { readonly value?: T; readonly problems: readonly FormatError[] } {
  try {
    return { value: parse(), problems: [] };
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    const { expected, found, hint = 'Correct the value.' } = cause;
    const details = {
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
      hint,
    };
    return { problems: [problem(`\`${keyPathText(key)}\`: ${cause.message}.`, yaml, key, details)] };
  }
}

function conditionsOf(definition: Definition): { key: KeyPath; when: Condition }[] {
  const entries: readonly { key: KeyPath; when?: Condition }[] = [
    ...definition.charts,
    ...definition.charts.flatMap((chart) => [...chart.parts, ...chart.imageValues]),
    ...definition.images.list,
    ...definition.modules,
    ...definition.configuration,
    ...definition.files,
  ];
  return entries.flatMap(({ key, when }) => (when === undefined ? [] : [{ key: [...key, 'when'], when }]));
}

function repeated(values: readonly string[], key: KeyPath, yaml: PositionedYaml): FormatError[] {
  return values.flatMap((value, index) =>
    values.indexOf(value) === index
      ? []
      : [
          problem(`\`${keyPathText(key)}\` names \`${value}\` twice.`, yaml, [...key, index], {
            found: value,
            hint: 'Keep one of the two.',
          }),
        ],
  );
}
