import type { FormatError } from '../errors.ts';
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

function conditionsOf(definition: Definition): { key: KeyPath; when: Condition }[] {
  const entries: readonly { key: KeyPath; when?: Condition }[] = [
    ...definition.charts,
    ...definition.charts.flatMap((chart) => chart.parts),
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
