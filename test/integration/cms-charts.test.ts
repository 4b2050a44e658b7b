/** The charts of bundles/cms, rendered by the real helm for every kind of cluster and every choice of features. */
import { execFile } from 'node:child_process';
import { cp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { temporaryFolder } from '../support/temporary.ts';

const run = promisify(execFile);
const FOLDER = resolve(import.meta.dirname, '../../bundles/cms');
const PROVIDERS = ['k3s', 'aws', 'gke', 'aks', 'digitalocean'] as const;
const CHOICES = PROVIDERS.flatMap((provider) =>
  [true, false].flatMap((blog) => [true, false].map((shop) => ({ provider, blog, shop }))),
);

interface Container {
  readonly name: string;
  readonly image: string;
  readonly env?: { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly securityContext: Record<string, unknown>;
  readonly resources: { readonly requests: object; readonly limits: { readonly memory: string } };
  readonly volumeMounts: { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
}

interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string; readonly items?: { readonly key: string }[] };
  readonly secret?: { readonly secretName: string };
}

interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own shape, and the assertions say which.
  readonly spec: any;
  readonly data?: Record<string, string>;
}

interface Choice {
  readonly provider: string;
  readonly blog: boolean;
  readonly shop: boolean;
}

function valueFlags({ provider, blog, shop }: Choice): string[] {
  return ['-f', join(FOLDER, 'values', `${provider}.yaml`), '--set', `enableBlog=${blog},enableShop=${shop}`];
}

async function render(chart: string, flags: readonly string[]): Promise<{ text: string; resources: Resource[] }> {
  const { stdout } = await run('helm', [
    'template',
    `cms-${chart}`,
    join(FOLDER, 'charts', chart),
    '-n',
    'cms',
    ...flags,
  ]);
  const documents = parseAllDocuments(stdout);
  for (const document of documents) expect(document.errors).toEqual([]);
  const resources = documents.map((document) => document.toJS() as Resource).filter((item) => item !== null);
  return { text: stdout, resources };
}

/** The template of a workload's Pods. */
const podOf = (workload: Resource) => workload.spec.template;
const workloads = (resources: readonly Resource[]) =>
  resources.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');

describe.each(CHOICES)('$provider, blog $blog, shop $shop', (choice) => {
  test('both charts pass the strict check and render', async () => {
    for (const chart of ['data', 'app']) {
      await run('helm', ['lint', '--strict', join(FOLDER, 'charts', chart), ...valueFlags(choice)]);
      expect((await render(chart, valueFlags(choice))).resources.length).toBeGreaterThan(4);
    }
  });

  test('each section is a Deployment, a Service, a ConfigMap and a path, and one that is off leaves no trace', async () => {
    const { resources, text } = await render('app', valueFlags(choice));
    const sections = ['core', ...(choice.blog ? ['blog'] : []), ...(choice.shop ? ['shop'] : [])].sort();
    for (const kind of ['Deployment', 'Service', 'ConfigMap']) {
      const names = resources.filter((item) => item.kind === kind).map(({ metadata }) => metadata.name);
      expect([kind, names.sort()]).toEqual([kind, sections.map((name) => `cms-app-${name}`)]);
    }
    const [ingress, ...others] = resources.filter(({ kind }) => kind === 'Ingress');
    expect(others).toEqual([]);
    const paths = ingress?.spec.rules[0].http.paths.map(
      (item: { path: string; backend: { service: { name: string } } }) => [item.path, item.backend.service.name],
    );
    expect(paths.sort()).toEqual(
      sections.map((name) => [name === 'core' ? '/' : `/${name}`, `cms-app-${name}`]).sort(),
    );
    for (const section of ['blog', 'shop'] as const) expect(text.toLowerCase().includes(section)).toBe(choice[section]);
    const site = JSON.parse(
      resources.find(({ metadata, kind }) => kind === 'ConfigMap' && metadata.name === 'cms-app-core')?.data?.[
        'site.json'
      ] ?? '',
    );
    expect(site.navigation.map(({ path }: { path: string }) => path)).toEqual([
      '/',
      ...(choice.blog ? ['/blog'] : []),
      ...(choice.shop ? ['/shop'] : []),
    ]);
  });

  test('an upgrade starts what is new before it ends what is old, which answers until nobody asks any more', async () => {
    const { resources } = await render('app', valueFlags(choice));
    const deployments = resources.filter(({ kind }) => kind === 'Deployment');
    expect(deployments.length).toBeGreaterThan(0);
    for (const { spec } of deployments) {
      expect(spec.strategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } });
      const pod = spec.template.spec;
      const [sleep, drainSeconds] = pod.containers[0].lifecycle.preStop.exec.command;
      expect([sleep, Number(drainSeconds) > 0]).toEqual(['sleep', true]);
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(Number(drainSeconds));
      for (const { readinessProbe } of pod.containers) expect(readinessProbe).toBeDefined();
    }
  });

  test('what one object names in another is there', async () => {
    const all = [
      ...(await render('data', valueFlags(choice))).resources,
      ...(await render('app', valueFlags(choice))).resources,
    ];
    const of = (kind: string) => all.filter((item) => item.kind === kind);
    expect(new Set(all.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).size).toBe(all.length);
    const has = (labels: Record<string, string>, selector: Record<string, string>) =>
      Object.entries(selector).every(([key, value]) => labels[key] === value);
    for (const workload of workloads(all)) {
      expect(has(podOf(workload).metadata.labels, workload.spec.selector.matchLabels)).toBe(true);
      const { containers, volumes } = podOf(workload).spec as { containers: Container[]; volumes: Volume[] };
      const claims = (workload.spec.volumeClaimTemplates ?? []).map((item: Resource) => item.metadata.name);
      const declared = [...volumes.map(({ name }) => name), ...claims];
      for (const { volumeMounts } of containers) {
        expect(declared).toEqual(expect.arrayContaining(volumeMounts.map(({ name }) => name)));
        expect(new Set(volumeMounts.map(({ mountPath }) => mountPath)).size).toBe(volumeMounts.length);
      }
      for (const { configMap, secret } of volumes) {
        if (configMap) {
          const found = of('ConfigMap').find(({ metadata }) => metadata.name === configMap.name);
          expect(Object.keys(found?.data ?? {})).toEqual(
            expect.arrayContaining((configMap.items ?? []).map(({ key }) => key)),
          );
        }
        if (secret) expect(of('Secret').map(({ metadata }) => metadata.name)).toContain(secret.secretName);
      }
      for (const { env } of containers) {
        for (const { valueFrom } of env ?? []) {
          const named = (valueFrom as { secretKeyRef?: { name: string; key: string } } | undefined)?.secretKeyRef;
          if (named)
            expect(of('Secret').find(({ metadata }) => metadata.name === named.name)?.data).toHaveProperty(named.key);
        }
      }
    }
    for (const service of of('Service')) {
      const [target, ...more] = workloads(all).filter((item) =>
        has(podOf(item).metadata.labels, service.spec.selector),
      );
      expect(more).toEqual([]);
      const ports = podOf(target as Resource).spec.containers.flatMap(
        (item: { ports?: { name: string }[] }) => item.ports ?? [],
      );
      for (const { targetPort } of service.spec.ports)
        expect(ports.map(({ name }: { name: string }) => name)).toContain(targetPort);
    }
    const host = (podOf(of('Deployment')[0] as Resource).spec.containers as Container[])[1]?.env?.find(
      ({ name }) => name === 'PGHOST',
    );
    expect(of('Service').map(({ metadata }) => metadata.name)).toContain(host?.value);
  });

  test('classes come from the provider’s values', async () => {
    const [ingress] = (await render('app', valueFlags(choice))).resources.filter(({ kind }) => kind === 'Ingress');
    const [set] = (await render('data', valueFlags(choice))).resources.filter(({ kind }) => kind === 'StatefulSet');
    expect([
      ingress?.spec.ingressClassName ?? ingress?.metadata.annotations?.['kubernetes.io/ingress.class'],
      set?.spec.volumeClaimTemplates[0].spec.storageClassName,
    ]).toEqual(
      {
        k3s: ['traefik', 'local-path'],
        aws: ['alb', 'gp2'],
        gke: ['gce', 'standard-rwo'],
        aks: ['webapprouting.kubernetes.azure.com', 'managed-csi'],
        digitalocean: ['nginx', 'do-block-storage'],
      }[choice.provider],
    );
  });
});

test('without a provider the cluster’s default classes are used', async () => {
  const [ingress] = (await render('app', [])).resources.filter(({ kind }) => kind === 'Ingress');
  const [set] = (await render('data', [])).resources.filter(({ kind }) => kind === 'StatefulSet');
  expect(ingress?.spec).not.toHaveProperty('ingressClassName');
  expect(set?.spec.volumeClaimTemplates[0].spec).not.toHaveProperty('storageClassName');
});

test('every Pod meets the pod security standard `restricted`, on a read-only root', async () => {
  const flags = ['--set', 'enableBlog=true,enableShop=true'];
  const all = [...(await render('data', flags)).resources, ...(await render('app', flags)).resources];
  expect(workloads(all)).toHaveLength(4);
  for (const workload of workloads(all)) {
    const { spec } = podOf(workload);
    expect(spec).not.toMatchObject({ hostNetwork: true });
    expect(spec.automountServiceAccountToken).toBe(false);
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    for (const volume of spec.volumes)
      expect(Object.keys(volume)).toEqual(['name', expect.stringMatching(/^(?:emptyDir|configMap|secret)$/)]);
    for (const { securityContext, resources } of spec.containers as Container[]) {
      expect(securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(securityContext.runAsUser ?? spec.securityContext.runAsUser).toBeGreaterThan(0);
      expect(resources.limits.memory).toMatch(/Mi$/);
    }
  }
});

test('passwords are made anew each time, or come from a Secret that is there', async () => {
  const secrets = async (flags: readonly string[]) =>
    (await render('data', flags)).resources.filter(({ kind }) => kind === 'Secret');
  const [one] = await secrets([]);
  const [two] = await secrets([]);
  for (const key of ['password', 'web-password']) {
    expect(Buffer.from(one?.data?.[key] ?? '', 'base64').toString()).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(one?.data?.[key]).not.toBe(two?.data?.[key]);
  }
  expect(await secrets(['--set', 'auth.existingSecret=given'])).toEqual([]);
  const { text } = await render('data', ['--set', 'auth.existingSecret=given']);
  expect(text).toContain('secretName: given');
});

test.each([
  ['app', 'enableBlog=yes'],
  ['app', 'titel=Harbour'],
  ['app', 'ingress.clasName=nginx'],
  ['app', 'publisher.intervalSeconds=0'],
  ['app', 'sections.core.replicas=-1'],
  ['data', 'image=postgres'],
  ['data', 'storage.size=2GB'],
  ['data', 'networkPolicy.enable=false'],
])('the schema of %s refuses %s', async (chart, setting) => {
  await expect(render(chart, ['--set', setting])).rejects.toMatchObject({ stderr: expect.stringContaining('schema') });
});

test('a chart that was packed without a section says so when it is asked for', async () => {
  const folder = await temporaryFolder();
  await cp(join(FOLDER, 'charts/app'), folder, { recursive: true });
  await rm(join(folder, 'sections/shop.yaml'));
  await run('helm', ['template', 'cms-app', folder]);
  await expect(run('helm', ['template', 'cms-app', folder, '--set', 'enableShop=true'])).rejects.toMatchObject({
    stderr: expect.stringContaining('shop is not in this chart'),
  });
});
