import type { Installed, InstalledChart } from '../../formats/target/installed.ts';
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
  /** False when helm has another revision than the one that was imported. */
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
              asImported: found?.revision === revision && found.status === 'deployed',
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

/** What imports of this bundle brought and neither the present nor the former release names. */
export function idleImages({ brought, applied, former }: Installed): Installed['brought'] {
  const needed = new Set([...(applied?.images ?? []), ...(former?.images ?? [])].map((image) => image.reference));
  return brought.filter(({ reference }) => !needed.has(reference));
}
