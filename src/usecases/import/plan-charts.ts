import type { PortolanError } from '../../core/errors.ts';
import { type ChartPlace, type Installed, releaseKey } from '../../formats/target/installed.ts';
import type { AccessQuestion } from '../../ports/kubernetes.ts';
import type { Releases } from '../../ports/releases.ts';
import type { WorkFolder } from '../../ports/work-folder.ts';
import type { ReleaseName } from '../configuration/objects.ts';
import { collect } from '../refuse.ts';
import { chartProblems } from './check-charts.ts';
import { chartAction, extract, type PreparedChart, prepareCharts } from './import-charts.ts';
import type { BlobSource } from './stream-blobs.ts';
import type { ClusterTools, ImportDependencies, ImportPlan, ImportRequest } from './types.ts';

/** The file of the work folder that holds the bundle's helm, once it was needed. */
export const CARRIED_HELM = 'helm';

export interface ChartsPlan {
  readonly charts: readonly PreparedChart[];
  readonly releases: Releases;
  readonly plan: ImportPlan['charts'];
  /** Which release is going to have an object: `KIND NAMESPACE/NAME`. */
  readonly owners: ReadonlyMap<string, ReleaseName>;
}

/** The charts held ready, what helm would do with them, and everything that stands against it on this cluster. */
export async function planCharts(
  {
    source,
    installed,
    rights,
    originals,
  }: {
    readonly source: BlobSource;
    readonly installed: Installed;
    readonly rights: readonly AccessQuestion[];
    /** Namespaces of the bundle itself. */
    readonly originals: readonly string[];
  },
  request: ImportRequest,
  { work, progress, cluster }: ImportDependencies & { readonly cluster: ClusterTools },
  problems: PortolanError[],
  options: { readonly signal?: AbortSignal },
): Promise<ChartsPlan> {
  const helmPath = await findHelm(request, source, work, options);
  const releases = cluster.releases(helmPath);
  const charts = await prepareCharts(source, work, request.rewrite, options);
  const plan: ImportPlan['charts'][number][] = [];
  for (const prepared of charts) {
    const { name, release, namespace, stage, version } = prepared.chart;
    const found = await collect(problems, () => chartAction(releases, prepared, options));
    plan.push({ name, release, namespace, stage, version, ...(found ?? { action: 'install' }) });
  }
  const present = plan.filter(({ action }) => action !== 'install').map(releaseKey);
  for (const { name, release, namespace, stage, revision } of droppedCharts(installed, charts)) {
    const now = revision === undefined ? {} : { revision };
    plan.push({ name, release, namespace, stage, action: 'uninstall', ...now });
  }
  const { problems: found, rendered } = await chartProblems(
    {
      source,
      contents: source.lists.contents,
      charts,
      present: new Set(present),
      ...(request.rewrite === undefined ? {} : { rewrite: request.rewrite }),
      kubernetes: cluster.kubernetes,
      renderer: cluster.renderer(helmPath),
      progress,
      stateNamespace: cluster.stateNamespace,
      rights,
      ...(request.rehearsal === undefined ? {} : { originals }),
    },
    options,
  );
  problems.push(...found);
  const owners = charts.flatMap(({ chart: { release, namespace } }, index) =>
    (rendered[index]?.objects ?? []).map(
      ({ kind, name, namespace: own = namespace }) => [`${kind} ${own}/${name}`, { release, namespace }] as const,
    ),
  );
  return { charts, releases, plan, owners: new Map(owners) };
}

/** helm as it was named, else the one that the bundle carries for this machine, else the one on the search path. */
async function findHelm(
  { helmPath, host }: ImportRequest,
  source: BlobSource,
  work: WorkFolder,
  options: { readonly signal?: AbortSignal },
): Promise<string> {
  if (helmPath !== undefined) return helmPath;
  const carried = source.lists.contents.files.find(({ path }) => path === `bin/${host}/helm`);
  if (carried === undefined) return 'helm'; // looked for on PATH
  return await extract(source, work, CARRIED_HELM, carried.digest, { ...options, mode: 0o700 });
}

/** What the present release, or an import that did not end, has and the new one has not. */
export function droppedCharts(
  { applied, running }: Installed,
  charts: readonly PreparedChart[],
): (ChartPlace & { readonly revision?: number })[] {
  const kept = new Set(charts.map(({ chart }) => releaseKey(chart)));
  const present = [...(running?.charts ?? []), ...(applied?.charts ?? [])].map(
    (chart) => [releaseKey(chart), chart] as const,
  );
  return [...new Map(present).values()].filter((chart) => !kept.has(releaseKey(chart)));
}
