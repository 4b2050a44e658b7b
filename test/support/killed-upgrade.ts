/** Upgrades a release and is killed meanwhile: NAMESPACE FOLDER CHART. Run by tests as a process of its own. */
import { join } from 'node:path';
import { createReleases } from '../../src/adapters/helm-releases/releases.ts';
import { openKubernetes } from '../../src/adapters/kubernetes/open-kubernetes.ts';
import { clusterKubeconfig } from './cluster-kubeconfig.ts';

const [namespace = '', folder = '', chartPath = ''] = process.argv.slice(2);
const source = { kind: 'kubeconfig', paths: [clusterKubeconfig()] } as const;
const kubernetes = await openKubernetes(source, { environment: {}, now: Date.now });
const releases = createReleases({
  helmPath: 'helm',
  kubeconfigPath: clusterKubeconfig(),
  context: kubernetes.context,
  kubernetes,
  searchPath: process.env.PATH ?? '',
  temporaryFolder: folder,
});
await releases.upgrade({
  release: 'site',
  namespace,
  chartPath,
  values: {},
  timeoutMs: 600_000,
  description: 'killed',
  failureFolder: join(folder, 'failure'),
});
