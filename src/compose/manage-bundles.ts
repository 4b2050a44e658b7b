import { tmpdir } from 'node:os';
import { createWorkFolder } from '../adapters/work-folder/work-folder.ts';
import type { Database } from '../ports/database.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { collectGarbage, type GcReport } from '../usecases/installed/gc.ts';
import { type RemoveReport, removeBundle } from '../usecases/installed/remove.ts';
import { type RollbackReport, rollbackBundle } from '../usecases/installed/rollback.ts';
import { type BundleStatus, bundleStatus } from '../usecases/installed/status.ts';
import type { InstalledDependencies } from '../usecases/installed/types.ts';
import { openImageTarget, parseTargetAddress } from './image-targets.ts';
import { helmHere, holderName, openTarget, type Running, type TargetOptions } from './installed.ts';
import { isClusterFound } from './kubernetes.ts';
import { composeMigrationRunners } from './migration-runners.ts';

export interface ReachOptions extends TargetOptions {
  readonly helm: string | undefined;
}

export interface ManageOptions extends ReachOptions {
  readonly lockWaitMs: number;
  readonly chartTimeoutMs: number;
}

export interface TargetStatus {
  readonly place: string;
  readonly bundles: readonly BundleStatus[];
}

export function composeStatus(options: ReachOptions, running: Running): Promise<TargetStatus> {
  return withInstalled(options, running, async (dependencies) => ({
    place: dependencies.state.place,
    bundles: await bundleStatus(dependencies, running),
  }));
}

export function composeRollback(
  name: string,
  options: ManageOptions & { readonly database: Database | undefined },
  running: Running,
): Promise<RollbackReport> {
  return withInstalled(options, running, ({ cluster, ...dependencies }) => {
    if (cluster === undefined) throw noCluster();
    const reach = {
      kubernetes: cluster.kubernetes,
      ...(options.database === undefined ? {} : { database: options.database }),
    };
    const migrations = composeMigrationRunners(reach, options.lockWaitMs);
    return rollbackBundle(requestOf(name, options), { ...dependencies, cluster, migrations }, running);
  });
}

export function composeRemove(
  name: string,
  options: ManageOptions & { readonly deleteData: boolean },
  running: Running,
): Promise<RemoveReport> {
  const { deleteData } = options;
  return withInstalled(options, running, (dependencies) =>
    removeBundle({ ...requestOf(name, options), deleteData }, dependencies, running),
  );
}

export function composeGc(
  options: TargetOptions & {
    readonly lockWaitMs: number;
    readonly dryRun: boolean;
    readonly caFile: string | undefined;
  },
  running: Running,
): Promise<GcReport> {
  const request = { holder: holderName(), lockWaitMs: options.lockWaitMs, dryRun: options.dryRun };
  const around = { ...running, ...(options.caFile === undefined ? {} : { caFile: options.caFile }) };
  // No release is looked at: helm is not looked for.
  return withInstalled({ ...options, helm: 'helm' }, running, (dependencies) =>
    collectGarbage(
      request,
      { ...dependencies, openTarget: async (name) => openImageTarget(parseTargetAddress(name, running.cwd), around) },
      running,
    ),
  );
}

/** A cluster is asked where one is named or found, unless the state lies in a folder. */
async function withInstalled<T>(
  options: ReachOptions,
  running: Running,
  act: (dependencies: InstalledDependencies) => Promise<T>,
): Promise<T> {
  await using work = await createWorkFolder(tmpdir());
  const isNamed = options.kubeconfig !== undefined || options.context !== undefined;
  const withCluster = isNamed || (options.state === undefined && isClusterFound({ ...options, ...running }));
  await using opened = await openTarget({ ...options, withCluster, temporaryFolder: work.path }, running);
  const { state, cluster } = opened;
  const helm = await helmHere(options.helm, running.env);
  return await act({
    state,
    progress: running.progress,
    now: () => new Date(running.now()),
    ...(cluster === undefined ? {} : { cluster: { kubernetes: cluster.kubernetes, releases: cluster.releases(helm) } }),
  });
}

function requestOf(name: string, { lockWaitMs, chartTimeoutMs }: ManageOptions) {
  return { name, holder: holderName(), lockWaitMs, chartTimeoutMs };
}

function noCluster(): UseCaseError {
  return new UseCaseError('TARGET_NOT_SAID', 'A rollback needs the cluster of the bundle, and none is known', {
    hint: 'Give --kubeconfig or --context.',
  });
}
