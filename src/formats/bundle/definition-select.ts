import type { FormatErrorCode } from '../errors.ts';
import { FormatError } from '../errors.ts';
import { orderByRequirements } from '../migration/module-order.ts';
import { clashingPaths } from './bundle-path.ts';
import type { PlacedDefinition } from './definition.ts';
import type {
  ChartDefinition,
  Condition,
  ConfigurationDefinition,
  FileDefinition,
  ImageDefinition,
  ModuleDefinition,
  Values,
} from './definition-types.ts';
import { type KeyPath, throwAll } from './definition-yaml.ts';

/** What is carried once every switch is set. Nothing in it comes from an entry that is switched off. */
export interface SelectedDefinition {
  readonly features: Readonly<Record<string, boolean>>;
  readonly provider?: string;
  readonly platforms: readonly string[];
  readonly charts: readonly SelectedChart[];
  readonly images: readonly ImageDefinition[];
  /** Each after what it requires. */
  readonly modules: readonly ModuleDefinition[];
  readonly configuration: readonly ConfigurationDefinition[];
  /** Values files of the chosen provider, or of every provider while none is chosen. */
  readonly providerValues: readonly { readonly provider: string; readonly file: string; readonly key: KeyPath }[];
  readonly files: readonly FileDefinition[];
  /** The chosen sides of all features, in the order of the definition. */
  readonly featureValues: readonly Values[];
}

export type SelectedChart = ChartDefinition & {
  /** Paths inside the chart that are not packed. */
  readonly leftOut: readonly string[];
};

export interface Switches {
  readonly features: Readonly<Record<string, boolean>>;
  readonly provider?: string;
  readonly platforms: readonly string[];
}

/**
 * @param switches - Complete: one side for every feature of the definition.
 * @throws FormatError DUPLICATE, DEPENDENCY_CYCLE, DEPENDENCY_MISSING, placed in bundle.yaml; further ones in `others`.
 */
export function selectFrom(placed: PlacedDefinition, switches: Switches): SelectedDefinition {
  const { definition } = placed;
  const holds = (when: Condition | undefined) => when === undefined || switches.features[when.feature] === when.wanted;
  const on = <T extends { readonly when?: Condition }>(items: readonly T[]) => items.filter(({ when }) => holds(when));
  const charts = on(definition.charts).map((chart) => ({
    ...chart,
    imageValues: on(chart.imageValues),
    leftOut: chart.parts.filter((part) => !holds(part.when)).map((part) => part.path),
  }));
  const modules = on(definition.modules);
  const configuration = on(definition.configuration);
  const files = on(definition.files);
  throwAll([
    ...repeats(placed, charts, (chart) => chart.name, 'name of a chart'),
    ...repeats(placed, charts, (chart) => `${chart.namespace}/${chart.release}`, 'release'),
    ...charts.flatMap((chart) => repeats(placed, chart.imageValues, ({ path }) => path, 'path under `imageValues`')),
    ...repeats(placed, modules, (module) => module.name, 'name of a module'),
    ...pathClashes(placed, files),
    ...pathClashes(placed, configuration),
  ]);
  const providers = switches.provider === undefined ? [...definition.providers.keys()] : [switches.provider];
  return {
    features: switches.features,
    ...(switches.provider === undefined ? {} : { provider: switches.provider }),
    platforms: switches.platforms,
    charts,
    images: on(definition.images.list),
    modules: orderModules(placed, modules),
    configuration,
    providerValues: providers.flatMap((provider) =>
      (definition.providers.get(provider)?.values ?? []).map(({ file, key }) => ({ provider, file, key })),
    ),
    files,
    featureValues: [...definition.features].map(([name, { on, off }]) => (switches.features[name] ? on : off)),
  };
}

function repeats<T extends { readonly key: KeyPath }>(
  placed: PlacedDefinition,
  items: readonly T[],
  nameOf: (item: T) => string,
  what: string,
): FormatError[] {
  const seen = new Map<string, T>();
  return items.flatMap((item) => {
    const name = nameOf(item);
    const earlier = seen.get(name);
    seen.set(name, earlier ?? item);
    if (earlier === undefined) return [];
    const line = placed.place(earlier.key).line;
    return [
      fault(
        'DUPLICATE',
        `The ${what} \`${name}\` stands here and in line ${line}.`,
        placed,
        item.key,
        'Rename one of the two.',
      ),
    ];
  });
}

function pathClashes(
  placed: PlacedDefinition,
  items: readonly { readonly path: string; readonly key: KeyPath }[],
): FormatError[] {
  return clashingPaths(items.map(({ path }) => path)).flatMap(([later, earlier]) => {
    const [item, first] = [items[later], items[earlier]];
    if (item === undefined || first === undefined) return [];
    const message = `\`${item.path}\` cannot lie beside \`${first.path}\`: on a stick they are one name.`;
    return [fault('DUPLICATE', message, placed, item.key, 'Give one of the two another path.')];
  });
}

function orderModules(placed: PlacedDefinition, modules: readonly ModuleDefinition[]): readonly ModuleDefinition[] {
  const order = orderByRequirements(modules);
  if (order.kind === 'ordered') return order.items;
  if (order.kind === 'missing') {
    throw fault(
      'DEPENDENCY_MISSING',
      `The module \`${order.item.name}\` requires \`${order.name}\`, which is switched off.`,
      placed,
      [...order.item.key, 'requires'],
      `Switch \`${order.name}\` on, or give both modules the same \`when\`.`,
    );
  }
  const first = modules.find((module) => module.name === order.loop[0]);
  throw fault(
    'DEPENDENCY_CYCLE',
    `Modules require one another in a circle: ${order.loop.join(' → ')}.`,
    placed,
    [...(first?.key ?? ['modules']), 'requires'],
    'Remove one of these requirements.',
  );
}

function fault(
  code: FormatErrorCode,
  message: string,
  placed: PlacedDefinition,
  key: KeyPath,
  hint: string,
): FormatError {
  return new FormatError(code, message, { at: placed.place(key), hint });
}
