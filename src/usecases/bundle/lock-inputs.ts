import { relative, resolve } from 'node:path';
import type { Digest } from '../../core/digest.ts';
import { type SelectedChart, type SelectedDefinition, selectFrom } from '../../formats/bundle/definition-select.ts';
import { LOCK_MEDIA_TYPE } from '../../formats/bundle/lock.ts';
import type { BundleLock } from '../../formats/bundle/lock-types.ts';
import type { ValuesMap } from '../../formats/helm/values.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import { packChart } from './lock-charts.ts';
import { type Project, switchesOf } from './lock-definition.ts';
import { collectConfiguration, collectFiles, collectModules, collectSigners, pinned } from './lock-files.ts';
import type { ImageSourceSettings, LockDependencies, LockOptions, Selection } from './lock-types.ts';
import { mergeChartValues, readExtraValues, readProviderValues, storeValues } from './lock-values.ts';

/** A chart to render, once for each set of values that it may be installed with. */
export interface RenderableChart {
  readonly chart: SelectedChart;
  readonly archive: LocalBlob;
  /** The bundle's own first; then, while no provider is chosen, one for each provider. */
  readonly values: readonly ValuesMap[];
}

/** All that a lock says except its images, and the files behind it. */
export interface LocalInputs {
  readonly selected: SelectedDefinition;
  readonly lock: Omit<BundleLock, 'images'>;
  readonly blobs: ReadonlyMap<Digest, LocalBlob>;
  readonly charts: readonly RenderableChart[];
}

/** Reads every local input of the definition under a selection. No rendering, no network. */
export async function collectInputs(
  project: Project,
  selection: Selection,
  dependencies: LockDependencies,
  options: LockOptions,
): Promise<LocalInputs> {
  const { definition } = project;
  const selected = selectFrom(project, switchesOf(project, selection));
  const signers = await collectSigners(project, dependencies);
  const charts = await collectCharts(project, selected, selection, dependencies, options);
  const modules = await collectModules(project, selected, dependencies, options);
  const configuration = await collectConfiguration(project, selected, dependencies, options);
  const files = await collectFiles(project, selected, dependencies, options);
  const valuesFiles = (selection.valuesFiles ?? []).map((path) => relative(project.folder, path));
  const blobs = [...charts.blobs, ...modules.blobs, ...configuration.blobs, ...files.blobs];
  return {
    selected,
    lock: {
      mediaType: LOCK_MEDIA_TYPE,
      name: definition.name,
      version: definition.version,
      sequence: definition.sequence,
      audience: definition.audience,
      platforms: selected.platforms,
      ...(selected.provider === undefined ? {} : { provider: selected.provider }),
      ...(valuesFiles.length === 0 ? {} : { valuesFiles }),
      features: selected.features,
      signers,
      pieceSizeBytes: definition.pieceSizeBytes,
      charts: charts.entries,
      modules: modules.entries,
      configuration: configuration.entries,
      files: files.entries,
      // Without a module there is nothing to reach it for.
      ...(definition.database === undefined || modules.entries.length === 0 ? {} : { database: definition.database }),
      ...(definition.receipt.recipients.length === 0 ? {} : { receipt: definition.receipt }),
    },
    blobs: new Map(blobs.map((blob) => [blob.digest, blob])),
    charts: charts.renderable,
  };
}

async function collectCharts(
  project: Project,
  selected: SelectedDefinition,
  selection: Selection,
  dependencies: LockDependencies,
  options: LockOptions,
) {
  const extra = await readExtraValues(selection.valuesFiles ?? [], dependencies.files);
  const byProvider = await readProviderValues(project, selected, dependencies.files);
  const chosen = selected.provider === undefined ? [] : (byProvider.get(selected.provider) ?? []);
  const others = selected.provider === undefined ? [...byProvider.values()] : [];
  const entries: BundleLock['charts'][number][] = [];
  const blobs: LocalBlob[] = [];
  const renderable: RenderableChart[] = [];
  for (const chart of selected.charts) {
    options.signal?.throwIfAborted();
    const { metadata, archive } = await packChart(project, chart, dependencies, options);
    const sets: ValuesMap[] = [];
    for (const provider of [chosen, ...others]) {
      const above = { provider, features: selected.featureValues, extra };
      sets.push(await mergeChartValues(project, chart, above, dependencies.files));
    }
    const values = await storeValues(sets[0] as ValuesMap, dependencies);
    blobs.push(archive, values.blob);
    renderable.push({ chart, archive, values: sets });
    entries.push({
      name: chart.name,
      release: chart.release,
      namespace: chart.namespace,
      stage: chart.stage,
      version: metadata.version,
      source: chart.path,
      ...pinned(archive),
      values: pinned(values.blob),
      ...(chart.imageValues.length === 0
        ? {}
        : { imageValues: chart.imageValues.map(({ path, image, part }) => ({ path, image, part })) }),
    });
  }
  return { entries, blobs, renderable };
}

/** Where the definition says that images come from, with absolute paths. */
export function imageSettings({ definition, folder }: Project): ImageSourceSettings {
  return {
    layouts: definition.images.layouts.map((path) => resolve(folder, path)),
    registries: new Map(
      [...definition.registries].map(([host, { plainHttp, caFile }]) => [
        host,
        { plainHttp, ...(caFile === undefined ? {} : { caFile: resolve(folder, caFile) }) },
      ]),
    ),
  };
}
