import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { createHelmRenderer } from '../../src/adapters/helm/renderer.ts';
import { openKubernetes } from '../../src/adapters/kubernetes/open-kubernetes.ts';
import type { Kubernetes } from '../../src/ports/kubernetes.ts';
import { checkCluster } from '../../src/usecases/import/check-cluster.ts';
import { clusterKubeconfig } from '../support/cluster-kubeconfig.ts';
import { releasesFixture } from '../support/releases-fixture.ts';

const renderer = createHelmRenderer({ helmPath: 'helm', searchPath: process.env.PATH ?? '' });
const stateNamespace = 'portolan-system';

/** A user without any rights: the administrator of the cluster may act as anybody. */
async function openAsNobody(folder: string): Promise<Kubernetes> {
  const config = parse(await readFile(clusterKubeconfig(), 'utf8'));
  const base = dirname(clusterKubeconfig());
  for (const { user } of config.users) {
    for (const key of ['client-certificate', 'client-key', 'tokenFile']) {
      if (key in user) user[key] = resolve(base, user[key]);
    }
    user.as = 'nobody';
  }
  for (const { cluster } of config.clusters) {
    if ('certificate-authority' in cluster)
      cluster['certificate-authority'] = resolve(base, cluster['certificate-authority']);
  }
  const path = join(folder, 'nobody.yaml');
  await writeFile(path, stringify(config));
  const kubernetes = await openKubernetes({ kind: 'kubeconfig', paths: [path] }, { environment: {}, now: Date.now });
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

const site = (namespace: string, chartPath: string, { upgrade = false } = {}) => {
  return { name: 'site', release: 'site', namespace, chartPath, values: {}, upgrade };
};

const CONFIG_MAP = { 'a.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n' };

test('a chart that fits has nothing against it', async () => {
  const { write, kubernetes, namespace } = await releasesFixture();
  const chart = site(namespace, await write(CONFIG_MAP));
  const wanted = {
    charts: [{ ...chart, kubeVersion: '>=1.27.0-0' }],
    platforms: ['linux/amd64', 'linux/arm64'],
    stateNamespace,
  };
  const { problems, rendered } = await checkCluster(wanted, { kubernetes, renderer });
  expect(problems).toEqual([]);
  expect(rendered[0]?.objects.map(({ kind }) => kind)).toEqual(['ConfigMap']);
});

test('everything that does not fit is told at once, with its template', async () => {
  const { write, kubernetes, namespace } = await releasesFixture();
  const chartPath = await write({
    'claim.yaml':
      'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: a }\nspec: { accessModes: [ReadWriteOnce], storageClassName: absent, resources: { requests: { storage: 1Mi } } }\n',
    'ingress.yaml':
      'apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { name: a }\nspec: { ingressClassName: absent, defaultBackend: { service: { name: a, port: { number: 80 } } } }\n',
    'boat.yaml': 'apiVersion: boats.example.com/v1\nkind: Boat\nmetadata: { name: a }\n',
    'old.yaml': 'apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: { name: a }\n',
  });
  const chart = site(namespace, chartPath);
  const late = { ...chart, name: 'late', kubeVersion: '>=99.0.0' };
  const check = { charts: [chart, late], platforms: ['linux/s390x'], stateNamespace };
  const { problems } = await checkCluster(check, { kubernetes, renderer });
  expect(problems.map(({ code, at }) => `${code} ${at?.file ?? ''}`).sort()).toEqual([
    'CLUSTER_TOO_OLD late/Chart.yaml',
    'INGRESS_CLASS_MISSING site/templates/ingress.yaml',
    'KIND_UNKNOWN site/templates/boat.yaml',
    'KIND_UNKNOWN site/templates/old.yaml',
    'PLATFORM_NOT_CARRIED ',
    'STORAGE_CLASS_MISSING site/templates/claim.yaml',
  ]);
});

test('rights that are missing are told for each resource', async () => {
  const { write, namespace, folder } = await releasesFixture();
  const kubernetes = await openAsNobody(folder);
  const chart = site(namespace, await write(CONFIG_MAP), { upgrade: true });
  const rights = [{ verb: 'create', group: 'batch', resource: 'jobs', namespace }];
  const { problems, warnings } = await checkCluster(
    { charts: [chart], platforms: ['linux/amd64'], stateNamespace, rights },
    { kubernetes, renderer },
  );
  expect(new Set(problems.map(({ code }) => code))).toEqual(new Set(['RIGHTS_MISSING']));
  const messages = problems.map(({ message }) => message);
  for (const resource of ['configmaps', 'secrets', 'jobs.batch', 'leases.coordination.k8s.io']) {
    expect(messages.some((message) => message.includes(resource))).toBe(true);
  }
  expect(warnings.length).toBeGreaterThan(0);
});

test('a namespace that is being deleted is told', async () => {
  const { write, upgrade, kubernetes, namespace } = await releasesFixture();
  await upgrade({
    'a.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, finalizers: [example.com/held] }\n',
  });
  await kubernetes.delete({ apiVersion: 'v1', kind: 'Namespace', name: namespace });
  const chart = site(namespace, await write(CONFIG_MAP), { upgrade: true });
  const check = { charts: [chart], platforms: ['linux/amd64'], stateNamespace };
  const { problems } = await checkCluster(check, { kubernetes, renderer });
  const held = await kubernetes.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'a' });
  const { finalizers: _, ...metadata } = (held as NonNullable<typeof held>).metadata;
  await kubernetes.replace({ ...(held as NonNullable<typeof held>), metadata });
  expect(problems.map(({ code }) => code)).toContain('NAMESPACE_TERMINATING');
});

test('a cluster that does not answer is one problem', async () => {
  const { write, folder, namespace } = await releasesFixture();
  const path = join(folder, 'silent.yaml');
  const cluster = { name: 'c', cluster: { server: 'http://127.0.0.1:1' } };
  const context = { name: 'c', context: { cluster: 'c', user: 'u' } };
  const config = { clusters: [cluster], users: [{ name: 'u', user: {} }], contexts: [context], 'current-context': 'c' };
  await writeFile(path, stringify(config));
  const kubernetes = await openKubernetes({ kind: 'kubeconfig', paths: [path] }, { environment: {}, now: Date.now });
  onTestFinished(() => kubernetes.close());
  const chart = site(namespace, await write(CONFIG_MAP));
  const check = { charts: [chart], platforms: ['linux/amd64'], stateNamespace };
  const { problems } = await checkCluster(check, { kubernetes, renderer });
  expect(problems.map(({ code }) => code)).toEqual(['KUBERNETES_UNREACHABLE']);
});
