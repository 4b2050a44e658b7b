import { hostname, userInfo } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { createHelmRenderer } from '../adapters/helm/renderer.ts';
import { createReleases } from '../adapters/helm-releases/releases.ts';
import { createClusterState } from '../adapters/target-state/cluster-state.ts';
import { createFolderState } from '../adapters/target-state/folder-state.ts';
import { findKeptProgram } from '../adapters/work-folder/kept-program.ts';
import type { Kubernetes } from '../ports/kubernetes.ts';
import type { Releases } from '../ports/releases.ts';
import type { TargetState } from '../ports/target-state.ts';
import type { ClusterTools } from '../usecases/import/types.ts';
import { defaultStateFolder, definedOnly, type Running } from './environment.ts';
import { type ClusterOptions, type OpenedCluster, openClusterFromOptions } from './kubernetes.ts';

export type { Running } from './environment.ts';

/** What says where a target is and how it is reached; common to everything that works on installed bundles. */
export interface TargetOptions {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Namespace of Portolan's state in the cluster. */
  readonly namespace: string;
  /** A folder that keeps the state instead of a cluster. */
  readonly state: string | undefined;
}

export interface OpenedTarget extends AsyncDisposable {
  readonly state: TargetState;
  /** Absent where no cluster is asked. */
  readonly cluster?: ClusterTools & { readonly kubernetes: Kubernetes };
}

/** Where an import leaves the helm that its bundle carried. */
export function keptHelmPath(env: Running['env']): string {
  return join(defaultStateFolder(env), 'bin', 'helm');
}

/** helm as it was named, else as an import left it here, else the one on PATH. */
export async function helmHere(named: string | undefined, env: Running['env']): Promise<string> {
  return named ?? (await findKeptProgram(keptHelmPath(env))) ?? 'helm';
}

/** `withCluster`: whether the work needs a cluster at all. Its state lies in the cluster then, unless a folder is named. */
export async function openTarget(
  options: TargetOptions & { readonly withCluster: boolean; readonly temporaryFolder: string },
  { env, cwd, now }: Running,
): Promise<OpenedTarget> {
  const folder = options.state === undefined ? undefined : resolve(cwd, options.state);
  if (!options.withCluster) {
    return {
      state: createFolderState({ folder: folder ?? defaultStateFolder(env), now }),
      [Symbol.asyncDispose]: async () => {},
    };
  }
  const where: ClusterOptions = { kubeconfig: options.kubeconfig, context: options.context, env, cwd, now };
  const opened = await openClusterFromOptions(where);
  const { kubernetes } = opened;
  const failures = join(defaultStateFolder(env), 'failures', new Date(now()).toISOString().replace(/[:.]/g, '-'));
  return {
    state:
      folder === undefined
        ? createClusterState(kubernetes, { namespace: options.namespace, now })
        : createFolderState({ folder, now }),
    cluster: {
      kubernetes,
      stateNamespace: options.namespace,
      releases: (helmPath) => openReleases(opened, { helmPath, temporaryFolder: options.temporaryFolder, env }),
      renderer: (helmPath) => createHelmRenderer({ helmPath, searchPath: env.PATH ?? '' }),
      failureFolder: (release) => join(failures, release),
    },
    [Symbol.asyncDispose]: () => kubernetes.close(),
  };
}

/** Helm against the cluster that was opened. */
export function openReleases(
  { kubernetes, kubeconfigPaths }: OpenedCluster,
  { helmPath, temporaryFolder, env }: { helmPath: string; temporaryFolder: string; env: Running['env'] },
): Releases {
  return createReleases({
    kubernetes,
    helmPath,
    ...(kubeconfigPaths.length > 0
      ? { kubeconfigPath: kubeconfigPaths.join(delimiter), context: kubernetes.context }
      : {}),
    searchPath: env.PATH ?? '',
    environment: definedOnly(env),
    temporaryFolder,
  });
}

/** Who works, for whoever waits for the lock. */
export function holderName(): string {
  return `${userInfo().username} on ${hostname()} (process ${process.pid})`;
}
