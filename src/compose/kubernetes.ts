import { existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { inClusterAccess } from '../adapters/kubernetes/in-cluster.ts';
import { type ClusterSource, openKubernetes } from '../adapters/kubernetes/open-kubernetes.ts';
import type { Kubernetes } from '../ports/kubernetes.ts';
import { definedOnly } from './environment.ts';

/** What the command line says about the cluster. */
export interface ClusterOptions {
  /** --kubeconfig, absolute. */
  readonly kubeconfig: string | undefined;
  /** --context. */
  readonly context: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface OpenedCluster {
  readonly kubernetes: Kubernetes;
  /** The files that helm reads too, as a value for KUBECONFIG; none in a Pod, where helm finds its way by itself. */
  readonly kubeconfigPaths: readonly string[];
}

/** Where a k3s server leaves its kubeconfig. */
const K3S_KUBECONFIG = '/etc/rancher/k3s/k3s.yaml';

/**
 * Looks for the cluster: --kubeconfig, KUBECONFIG (a list), ~/.kube/config, the file of a k3s server here, the service account of
 * this Pod. Nothing is connected yet.
 *
 * @throws AdapterError KUBECONFIG_MISSING, FILE_UNREADABLE; FormatError KUBECONFIG_INVALID
 */
export async function openClusterFromOptions(options: ClusterOptions): Promise<OpenedCluster> {
  const { env, now } = options;
  const environment = definedOnly(env);
  const source = findCluster(options);
  const kubernetes = await openKubernetes(source, {
    environment,
    now,
    proxy: {
      httpProxy: env.HTTP_PROXY || env.http_proxy || '',
      httpsProxy: env.HTTPS_PROXY || env.https_proxy || '',
      noProxy: env.NO_PROXY || env.no_proxy || '',
    },
  });
  return {
    kubernetes,
    kubeconfigPaths: source.kind === 'kubeconfig' ? source.paths : [],
  };
}

/** Whether a cluster can be found at all without being told: what decides where state is kept by default. */
export function isClusterFound(options: ClusterOptions): boolean {
  const source = findCluster(options);
  return source.kind === 'in-cluster' || source.paths.some((path) => existsSync(path));
}

function findCluster({ kubeconfig, context, env, cwd }: ClusterOptions): ClusterSource {
  const chosen = context === undefined ? {} : { context };
  if (kubeconfig !== undefined) return { kind: 'kubeconfig', paths: [resolve(cwd, kubeconfig)], ...chosen };
  const listed = (env.KUBECONFIG ?? '').split(delimiter).filter((path) => path !== '');
  if (listed.length > 0) return { kind: 'kubeconfig', paths: listed.map((path) => resolve(cwd, path)), ...chosen };
  const usual = [...(env.HOME ? [join(env.HOME, '.kube', 'config')] : []), K3S_KUBECONFIG];
  const there = usual.find((path) => existsSync(path));
  if (there !== undefined) return { kind: 'kubeconfig', paths: [there], ...chosen };
  if (context === undefined && inClusterAccess(definedOnly(env)) !== undefined) return { kind: 'in-cluster' };
  return { kind: 'kubeconfig', paths: usual, ...chosen };
}
