import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { openKubernetes } from '../../src/adapters/kubernetes/open-kubernetes.ts';
import type { Kubernetes } from '../../src/ports/kubernetes.ts';
import { clusterKubeconfig } from '../support/cluster-kubeconfig.ts';
import { raised } from '../support/raised.ts';
import { temporaryFolder } from '../support/temporary.ts';

async function open(path = clusterKubeconfig()): Promise<Kubernetes> {
  const kubernetes = await openKubernetes({ kind: 'kubeconfig', paths: [path] }, { environment: {}, now: Date.now });
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

/** As another user: the administrator of the cluster may act as anybody. */
async function openAs(user: string): Promise<Kubernetes> {
  const base = parse(await readFile(clusterKubeconfig(), 'utf8')) as { users: { name: string; user: object }[] };
  const folder = dirname(clusterKubeconfig());
  const path = join(await temporaryFolder(), 'config');
  await writeFile(
    path,
    stringify({ users: base.users.map((one) => ({ ...one, user: { ...absolute(one.user, folder), as: user } })) }),
  );
  const source = { kind: 'kubeconfig', paths: [path, clusterKubeconfig()] } as const;
  const kubernetes = await openKubernetes(source, { environment: {}, now: Date.now });
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

function absolute(user: object, folder: string): object {
  const files = ['client-certificate', 'client-key', 'tokenFile'];
  return Object.fromEntries(
    Object.entries(user).map(([key, value]) => [key, files.includes(key) ? resolve(folder, String(value)) : value]),
  );
}

/** A namespace of the running test, and the cluster. */
async function inNamespace(): Promise<{ kubernetes: Kubernetes; namespace: string }> {
  const kubernetes = await open();
  const namespace = `portolan-test-${randomBytes(4).toString('hex')}`;
  await kubernetes.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  onTestFinished(async () => {
    const own = await open();
    await own.delete({ apiVersion: 'v1', kind: 'Namespace', name: namespace });
  });
  return { kubernetes, namespace };
}

function configMap(namespace: string, name: string, data: Readonly<Record<string, string>> = { x: '1' }) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data };
}

describe('what a cluster offers', () => {
  test('its version and its kinds', async () => {
    const kubernetes = await open();
    expect((await kubernetes.version()).gitVersion).toMatch(/^v1\.\d+\.\d+/);
    const versions = await kubernetes.apiVersions();
    expect(versions).toEqual(expect.arrayContaining(['v1', 'v1/Pod', 'apps/v1', 'apps/v1/Deployment', 'batch/v1/Job']));
    expect(new Set(versions).size).toBe(versions.length);
    expect(await kubernetes.resource('apps/v1', 'Deployment')).toMatchObject({
      name: 'deployments',
      group: 'apps',
      version: 'v1',
      namespaced: true,
    });
    expect(await kubernetes.resource('v1', 'Namespace')).toMatchObject({ name: 'namespaces', namespaced: false });
    expect(await kubernetes.resource('nobody.example/v1', 'Nothing')).toBeUndefined();
  });

  test('a kind that comes later is found', async () => {
    const kubernetes = await open();
    const group = `g${randomBytes(4).toString('hex')}.example`;
    expect(await kubernetes.resource(`${group}/v1`, 'Thing')).toBeUndefined();
    const name = `things.${group}`;
    const crd = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' };
    const schema = { openAPIV3Schema: { type: 'object' } };
    await kubernetes.apply({
      ...crd,
      metadata: { name },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'things', singular: 'thing', kind: 'Thing' },
        versions: [{ name: 'v1', served: true, storage: true, schema }],
      },
    });
    onTestFinished(async () => {
      const own = await open();
      await own.delete({ ...crd, name });
    });
    await expect
      .poll(() => kubernetes.resource(`${group}/v1`, 'Thing'), { timeout: 20_000 })
      .toMatchObject({ name: 'things' });
  });
});

describe('objects', () => {
  test('are created, read, replaced, applied and deleted', async () => {
    const { kubernetes, namespace } = await inNamespace();
    const key = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'a' };
    expect(await kubernetes.get(key)).toBeUndefined();
    const made = await kubernetes.create(configMap(namespace, 'a'));
    expect(await raised(() => kubernetes.create(configMap(namespace, 'a')))).toMatchObject({
      code: 'KUBERNETES_EXISTS',
    });
    const replaced = await kubernetes.replace({ ...made, data: { x: '2' } });
    expect(await raised(() => kubernetes.replace({ ...made, data: { x: '3' } }))).toMatchObject({
      code: 'KUBERNETES_CONFLICT',
    });
    expect(await kubernetes.get(key)).toMatchObject({
      data: { x: '2' },
      metadata: { resourceVersion: replaced.metadata.resourceVersion },
    });
    expect((await kubernetes.apply(configMap(namespace, 'a', { x: '4' }), { dryRun: true })).data).toEqual({ x: '4' });
    expect((await kubernetes.get(key))?.data).toEqual({ x: '2' });
    // Field by field: what another manager set goes over to us.
    expect((await kubernetes.apply(configMap(namespace, 'a', { x: '4', y: '1' }))).data).toEqual({ x: '4', y: '1' });
    expect((await kubernetes.apply(configMap(namespace, 'a', { x: '4' }))).data).toEqual({ x: '4' });
    expect(await raised(() => kubernetes.delete(key, { uid: 'another' }))).toMatchObject({
      code: 'KUBERNETES_CONFLICT',
    });
    expect(await kubernetes.delete(key, { uid: made.metadata.uid ?? '' })).toBe(true);
    expect(await kubernetes.delete(key)).toBe(false);
  });

  test('that the server does not take are told with its words', async () => {
    const { kubernetes, namespace } = await inNamespace();
    const invalid = await raised(() => kubernetes.create(configMap(namespace, 'Not_A_Name')));
    expect(invalid).toMatchObject({ code: 'KUBERNETES_INVALID' });
    expect(invalid.message).toContain('metadata.name');
    const nowhere = await raised(() => kubernetes.create(configMap('no-such-namespace', 'a')));
    expect(nowhere).toMatchObject({ code: 'KUBERNETES_NOT_FOUND' });
    const secret = { ...configMap(namespace, 's'), kind: 'Secret', data: { x: 'not base64: hunter2' } };
    const refused = await raised(() => kubernetes.create(secret));
    expect(refused).toMatchObject({ code: 'KUBERNETES_INVALID' });
    expect(JSON.stringify([refused, refused.message])).not.toContain('hunter2');
  });

  test('are listed whole, over several pages, by label and by field', async () => {
    const { kubernetes, namespace } = await inNamespace();
    const names = Array.from({ length: 230 }, (_, index) => `m-${String(index).padStart(3, '0')}`);
    for (let start = 0; start < names.length; start += 20) {
      const batch = names.slice(start, start + 20).map((name, index) => {
        const { metadata, ...rest } = configMap(namespace, name);
        return kubernetes.create({ ...rest, metadata: { ...metadata, labels: { odd: String(index % 2) } } });
      });
      await Promise.all(batch);
    }
    const query = { apiVersion: 'v1', kind: 'ConfigMap', namespace };
    const found = await kubernetes.list({ ...query, labelSelector: 'odd' });
    expect(found.map(({ metadata }) => metadata.name)).toEqual(names);
    expect(found[0]).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(await kubernetes.list({ ...query, labelSelector: 'odd=1' })).toHaveLength(115);
    expect(await kubernetes.list({ ...query, fieldSelector: 'metadata.name=m-007' })).toHaveLength(1);
  });
});

describe('rights', () => {
  test('are those of the user of the context, and what is refused names verb, resource and user', async () => {
    const { kubernetes, namespace } = await inNamespace();
    const metadata = { namespace, name: 'reader' };
    await kubernetes.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    const user = `system:serviceaccount:${namespace}:reader`;
    const asReader = await openAs(user);
    const questions = [
      { verb: 'get', group: '', resource: 'secrets', namespace },
      { verb: 'create', group: 'authorization.k8s.io', resource: 'selfsubjectaccessreviews' },
    ];
    expect(await asReader.allowed(questions)).toEqual([false, true]);
    expect(await kubernetes.allowed(questions)).toEqual([true, true]);
    const error = await raised(() => asReader.get({ apiVersion: 'v1', kind: 'Secret', namespace, name: 'x' }));
    expect(error).toMatchObject({ code: 'KUBERNETES_FORBIDDEN' });
    for (const part of [user, 'get', 'secrets', namespace]) expect(error.message).toContain(part);
  });
});
