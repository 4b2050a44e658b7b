import { readFile } from 'node:fs/promises';
import {
  accessOf,
  type ClusterAccess,
  decodeKubeconfig,
  KUBECONFIG_LIMIT_BYTES,
  mergeKubeconfigs,
} from '../../formats/kubernetes/kubeconfig.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import type { ClientSettings } from './client.ts';
import { inClusterAccess } from './in-cluster.ts';
import { createKubernetes } from './kubernetes.ts';

/** Where the cluster is described. */
export type ClusterSource =
  /** Absolute paths, merged as kubectl merges those of KUBECONFIG; one that is missing is passed over when another is there. */
  | { readonly kind: 'kubeconfig'; readonly paths: readonly string[]; readonly context?: string }
  /** The service account of the Pod that this program runs in. */
  | { readonly kind: 'in-cluster' };

export type KubernetesSettings = ClientSettings;

/**
 * Reads the description of a cluster; nothing is connected before the first call.
 *
 * @throws AdapterError KUBECONFIG_MISSING, FILE_UNREADABLE; FormatError KUBECONFIG_INVALID
 */
export async function openKubernetes(source: ClusterSource, settings: KubernetesSettings): Promise<Kubernetes> {
  const access = source.kind === 'in-cluster' ? inCluster(settings) : await readAccess(source.paths, source.context);
  return createKubernetes(access, settings);
}

function inCluster(settings: KubernetesSettings): ClusterAccess {
  const access = inClusterAccess(settings.environment);
  if (access !== undefined) return access;
  throw new AdapterError('KUBECONFIG_MISSING', 'This program does not run in a Pod with a service account', {
    hint: 'Give a kubeconfig with --kubeconfig.',
  });
}

async function readAccess(paths: readonly string[], context: string | undefined): Promise<ClusterAccess> {
  const read = await Promise.all(paths.map(readIfThere));
  const found = read.flatMap((text, index) =>
    text === undefined ? [] : [decodeKubeconfig(text, paths[index] as string)],
  );
  if (found.length > 0) return accessOf(mergeKubeconfigs(found), context);
  throw new AdapterError('KUBECONFIG_MISSING', `There is no kubeconfig: ${paths.join(', ')}`, {
    expected: 'a kubeconfig file',
    ...(paths[0] === undefined ? {} : { at: { file: paths[0] } }),
    hint: 'Give its path with --kubeconfig.',
  });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(path);
    if (bytes.length <= KUBECONFIG_LIMIT_BYTES) return bytes.toString('utf8');
  } catch (cause) {
    if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
    throw fileError(cause, path, 'read');
  }
  throw new AdapterError('FILE_TOO_LARGE', `${path} is larger than any kubeconfig`, {
    expected: `at most ${KUBECONFIG_LIMIT_BYTES} bytes`,
    at: { file: path },
    hint: 'Check that this is the right file.',
  });
}
