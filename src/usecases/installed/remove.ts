import { type ChartPlace, type Installed, releaseKey } from '../../formats/target/installed.ts';
import type { Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import type { Releases } from '../../ports/releases.ts';
import { applyConfiguration } from '../import/configuration-maps.ts';
import { openJournal } from './journal.ts';
import { requireInstalled, withTargetLock } from './locked.ts';
import { inRollbackOrder } from './rollback.ts';
import type { InstalledDependencies, LockedRequest } from './types.ts';

export interface RemoveRequest extends LockedRequest {
  readonly name: string;
  /** Volumes, and what charts ask to be kept, go as well. */
  readonly deleteData: boolean;
  readonly chartTimeoutMs: number;
}

interface RemoveDependencies extends InstalledDependencies {
  readonly cluster?: { readonly kubernetes: Kubernetes; readonly releases: Releases };
}

export interface RemoveReport {
  readonly name: string;
  readonly releases: readonly string[];
  /** Volumes and kept objects: `KIND NAMESPACE/NAME`. */
  readonly deleted: readonly string[];
  /** The same, where they stay. */
  readonly kept: readonly string[];
}

const KEEP = 'helm.sh/resource-policy';
/** What holds data and outlives a release. */
const KEPT_KINDS = [
  { apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
  { apiVersion: 'v1', kind: 'Secret' },
  { apiVersion: 'v1', kind: 'ConfigMap' },
] as const;

/**
 * Takes a bundle's releases away: app charts, then data charts, then its ConfigMaps. Data stays unless it is said. The
 * highest sequence stays recorded: a removal is no way to replay an older bundle.
 *
 * @throws UseCaseError BUNDLE_NOT_INSTALLED; what the cluster throws
 */
export async function removeBundle(
  request: RemoveRequest,
  dependencies: RemoveDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<RemoveReport> {
  const { state, cluster, progress, now } = dependencies;
  return await withTargetLock(request, dependencies, options, async (signal) => {
    const installed = await requireInstalled(dependencies, request.name, { signal });
    const { applied, former, running: interrupted } = installed;
    const { root, version, sequence } = applied ?? (interrupted as NonNullable<Installed['running']>);
    const startedAt = now().toISOString();
    const running = { what: 'remove' as const, root, version, sequence, startedAt, by: request.holder, done: [] };
    const journal = await openJournal(installed, state, { running }, signal);

    // Of the former release too: what an upgrade dropped has left its volumes. And what an import began and did not end.
    const charts = distinct([applied, former, interrupted].flatMap((release) => release?.charts ?? []));
    const maps = [applied, former, interrupted].flatMap((release) => release?.configuration ?? []);
    const releases: string[] = [];
    const left: KubernetesObject[] = [];
    for (const chart of cluster === undefined ? [] : inRollbackOrder(charts)) {
      const { release, namespace } = chart;
      const task = progress.task(`Release ${releaseKey(chart)}`);
      if (await cluster?.releases.uninstall({ release, namespace }, request.chartTimeoutMs, { signal })) {
        releases.push(releaseKey(chart));
      }
      task.done();
    }
    await journal.done('charts');
    if (cluster !== undefined) {
      await applyConfiguration(cluster.kubernetes, [], maps, request.name, { signal });
      for (const chart of charts) left.push(...(await keptObjects(cluster.kubernetes, chart, signal)));
      for (const object of request.deleteData ? left : []) await cluster.kubernetes.delete(keyOf(object), { signal });
    }
    await journal.finish(installed.highest === undefined ? {} : { highest: installed.highest });
    const names = left.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
    return {
      name: request.name,
      releases,
      deleted: request.deleteData ? names : [],
      kept: request.deleteData ? [] : names,
    };
  });
}

/** Volumes of the release's Pods by the standard label, and what helm left because the chart asked for it. */
async function keptObjects(
  kubernetes: Kubernetes,
  { release, namespace }: ChartPlace,
  signal: AbortSignal,
): Promise<KubernetesObject[]> {
  const kept: KubernetesObject[] = [];
  for (const { apiVersion, kind } of KEPT_KINDS) {
    const labelSelector = `app.kubernetes.io/instance=${release}`;
    for (const object of await kubernetes.list({ apiVersion, kind, namespace, labelSelector }, { signal })) {
      const asked = object.metadata.annotations?.[KEEP] === 'keep';
      if (asked || kind === 'PersistentVolumeClaim') kept.push({ ...object, apiVersion, kind });
    }
  }
  return kept;
}

function keyOf({ apiVersion, kind, metadata }: KubernetesObject) {
  const { name, namespace } = metadata;
  return { apiVersion, kind, name, ...(namespace === undefined ? {} : { namespace }) };
}

function distinct(charts: readonly ChartPlace[]): ChartPlace[] {
  return [...new Map(charts.map((chart) => [releaseKey(chart), chart])).values()];
}
