import { canonicalJson } from '../../core/canonical-json.ts';
import type { SelectedChart, SelectedDefinition } from '../../formats/bundle/definition-select.ts';
import { mergeAllValues, type ValuesMap } from '../../formats/helm/values.ts';
import { decodeValues, VALUES_LIMIT_BYTES } from '../../formats/helm/yaml.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import type { ProjectFiles } from '../../ports/project-files.ts';
import { decodeText, type Project, requireInput } from './lock-definition.ts';
import type { LockDependencies } from './lock-types.ts';

export interface ChartValues {
  readonly values: ValuesMap;
  /** Canonical JSON. */
  readonly blob: LocalBlob;
}

/** The values of `--values` files, absolute paths, in the order given. */
export async function readExtraValues(paths: readonly string[], files: ProjectFiles): Promise<readonly ValuesMap[]> {
  const layers: ValuesMap[] = [];
  for (const path of paths) layers.push(await readValues(path, files));
  return layers;
}

/** Values of one provider, by its files in the order of the definition. */
export async function readProviderValues(
  project: Project,
  selected: SelectedDefinition,
  files: ProjectFiles,
): Promise<ReadonlyMap<string, readonly ValuesMap[]>> {
  const byProvider = new Map<string, ValuesMap[]>();
  for (const { provider, file, key } of selected.providerValues) {
    const values = await readValues((await requireInput(project, file, key, 'file', files)).path, files);
    byProvider.set(provider, [...(byProvider.get(provider) ?? []), values]);
  }
  return byProvider;
}

/** The chart's own files, then the provider's, then the features', then `--values`. @throws FormatError VALUES_INVALID. */
export async function mergeChartValues(
  project: Project,
  chart: SelectedChart,
  above: { provider: readonly ValuesMap[]; features: readonly ValuesMap[]; extra: readonly ValuesMap[] },
  files: ProjectFiles,
): Promise<ValuesMap> {
  const own: ValuesMap[] = [];
  for (const layer of chart.values) {
    if ('inline' in layer) own.push(layer.inline);
    else own.push(await readValues((await requireInput(project, layer.file, layer.key, 'file', files)).path, files));
  }
  return mergeAllValues([...own, ...above.provider, ...above.features, ...above.extra]);
}

export async function storeValues(values: ValuesMap, { store }: LockDependencies): Promise<ChartValues> {
  return { values, blob: await store.putBytes(Buffer.from(canonicalJson(values))) };
}

async function readValues(path: string, files: ProjectFiles): Promise<ValuesMap> {
  return decodeValues(decodeText(await files.read(path, VALUES_LIMIT_BYTES), path, 'VALUES_INVALID'), path);
}
