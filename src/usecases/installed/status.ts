import type { Installed, InstalledChart } from '../../formats/target/installed.ts';
import { descriptionOf } from '../import/import-charts.ts';
import { listInstalled } from './installed-state.ts';
import type { InstalledDependencies } from './types.ts';

export interface BundleStatus extends Pick<Installed, 'name' | 'highest' | 'running'> {
  readonly applied?: Omit<NonNullable<Installed['applied']>, 'charts' | 'configuration'>;
  readonly former?: { readonly version: string; readonly sequence: number };
  readonly charts: readonly ChartStatus[];
  /** Images of which nothing installed has need any more: `bundle gc` takes them away. */
  readonly idleImages: number;
}

export interface ChartStatus extends Pick<InstalledChart, 'name' | 'release' | 'namespace' | 'stage' | 'revision'> {
  /** Helm's word of now; absent where no cluster was asked. */
  readonly status?: string;
  /** False when helm has something else than what was imported. */
  readonly asImported?: boolean;
}

/** What a target has, by its own notes and by helm. */
export async function bundleStatus(
  { state, cluster }: InstalledDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<BundleStatus[]> {
  const all: BundleStatus[] = [];
  for (const installed of await listInstalled(state, options)) {
    const { name, highest, running, applied, former } = installed;
    const charts: ChartStatus[] = [];
    for (const chart of applied?.charts ?? []) {
      const { release, namespace, stage, revision } = chart;
      const found = await cluster?.releases.status({ release, namespace }, options);
      const live =
        cluster === undefined
          ? {}
          : {
              status: found?.status ?? 'missing',
              asImported:
                found?.status === 'deployed' &&
                // A later upgrade that failed was rolled back to the same under another number.
                (found.revision === revision || found.description === descriptionOf(chart)),
            };
      charts.push({ name: chart.name, release, namespace, stage, revision, ...live });
    }
    const { charts: _charts, configuration: _configuration, ...facts } = applied ?? {};
    all.push({
      name,
      charts,
      idleImages: idleImages(installed).length,
      ...(highest === undefined ? {} : { highest }),
      ...(running === undefined ? {} : { running }),
      ...(applied === undefined ? {} : { applied: facts as NonNullable<BundleStatus['applied']> }),
      ...(former === undefined ? {} : { former: { version: former.version, sequence: former.sequence } }),
    });
  }
  return all;
}

/** What imports of this bundle brought and no release of it names: present, former, or on its way. */
export function idleImages({ brought, applied, former, running }: Installed): Installed['brought'] {
  const needed = new Set(
    [applied, former, running].flatMap((release) => release?.images ?? []).map(({ reference }) => reference),
  );
  return brought.filter(({ reference }) => !needed.has(reference));
}
