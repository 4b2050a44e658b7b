import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createReleases } from '../../src/adapters/helm-releases/releases.ts';
import { openKubernetes } from '../../src/adapters/kubernetes/open-kubernetes.ts';
import type { Kubernetes } from '../../src/ports/kubernetes.ts';
import type { Releases, UpgradeRequest } from '../../src/ports/releases.ts';
import { clusterKubeconfig } from './cluster-kubeconfig.ts';
import { temporaryFolder } from './temporary.ts';

/** A namespace of the running test with a release in it, and a folder for charts. */
export async function releasesFixture(given: { readonly namespace?: string; readonly folder?: string } = {}) {
  const kubernetes = await openTestCluster();
  const folder = given.folder ?? (await temporaryFolder());
  const name = { release: 'site', namespace: given.namespace ?? `portolan-test-${randomBytes(4).toString('hex')}` };
  if (given.namespace === undefined) {
    onTestFinished(async () => {
      const own = await openTestCluster();
      await own.delete({ apiVersion: 'v1', kind: 'Namespace', name: name.namespace });
    });
  }
  const failureFolder = join(folder, 'failure');
  const releases = testReleases(kubernetes, folder);
  return {
    ...name,
    name,
    folder,
    failureFolder,
    kubernetes,
    releases,
    /** Writes the chart anew with these templates and installs or upgrades it. */
    async upgrade(
      templates: Readonly<Record<string, string>>,
      request: Partial<UpgradeRequest> & { readonly signal?: AbortSignal } = {},
    ) {
      const chartPath = await writeChart(folder, templates);
      const { signal, ...more } = request;
      const wanted = {
        ...name,
        chartPath,
        values: {},
        timeoutMs: 60_000,
        description: 'from a test',
        failureFolder,
        ...more,
      };
      return await releases.upgrade(wanted, signal === undefined ? {} : { signal });
    },
    /** A chart with these templates; its folder. */
    write: (templates: Readonly<Record<string, string>>) => writeChart(folder, templates),
    get: (apiVersion: string, kind: string, object: string) =>
      kubernetes.get({ apiVersion, kind, namespace: name.namespace, name: object }),
  };
}

async function openTestCluster(): Promise<Kubernetes> {
  const source = { kind: 'kubeconfig', paths: [clusterKubeconfig()] } as const;
  const kubernetes = await openKubernetes(source, { environment: {}, now: Date.now });
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

function testReleases(kubernetes: Kubernetes, temporary: string): Releases {
  return createReleases({
    helmPath: 'helm',
    kubeconfigPath: clusterKubeconfig(),
    context: kubernetes.context,
    kubernetes,
    searchPath: process.env.PATH ?? '',
    temporaryFolder: temporary,
  });
}

async function writeChart(folder: string, templates: Readonly<Record<string, string>>): Promise<string> {
  const chart = join(folder, `chart-${randomBytes(4).toString('hex')}`);
  const files = { 'Chart.yaml': 'apiVersion: v2\nname: site\nversion: 0.1.0\n', ...templates };
  for (const [name, text] of Object.entries(files)) {
    const path = join(chart, name === 'Chart.yaml' ? name : `templates/${name}`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  return chart;
}
