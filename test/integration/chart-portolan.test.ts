/** The chart helm/portolan, rendered by the real helm for every kind of cluster and every way to the storage. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { longNameOf, variableNameOf } from '../../src/cli/arguments.ts';
import { placedCommands } from '../../src/cli/command-tree.ts';
import { loadCommandTree } from '../../src/cli/program.ts';
import { repositoryGauges } from '../../src/formats/telemetry/repository-metrics.ts';
import { chartValues, everythingOn } from '../support/chart-values.ts';

const run = promisify(execFile);
const CHART = resolve(import.meta.dirname, '../../helm/portolan');
const PROVIDERS = ['k3s', 'aws', 'gke', 'aks', 'digitalocean'] as const;

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly securityContext: unknown;
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
}

interface PodSpec {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly (Readonly<Record<string, unknown>> & { readonly name: string })[];
}

interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly automountServiceAccountToken?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own shape, and the assertions say which.
  readonly spec: any;
}

async function render(
  values: object,
  flags: readonly string[] = [],
  release = 'portolan',
): Promise<readonly Resource[]> {
  const given = run('helm', ['template', release, CHART, '-n', 'cms', ...flags, '-f', '-']);
  given.child.stdin?.end(JSON.stringify(values));
  const documents = parseAllDocuments((await given).stdout);
  for (const document of documents) expect(document.errors).toEqual([]);
  return documents.map((document) => document.toJS() as Resource).filter((item) => item !== null);
}

const providerFlags = (provider: string) => ['-f', join(CHART, `values-${provider}.yaml`)];
const rolesOf = (provider: string) => (provider === 'aws' ? { storage: { roles: ROLES } } : {});
const ROLES = { backup: 'arn:aws:iam::1:role/b', prune: 'arn:aws:iam::1:role/p', check: 'arn:aws:iam::1:role/c' };
const ALL_ROLES = { ...ROLES, drill: 'arn:aws:iam::1:role/d', metrics: 'arn:aws:iam::1:role/m' };

/** The Pod that an object is, or makes; by its name. */
function podOf({ kind, spec }: Resource): PodSpec | undefined {
  if (kind === 'Pod') return spec;
  if (kind === 'CronJob') return spec.jobTemplate.spec.template.spec;
  return kind === 'Job' || kind === 'Deployment' ? spec.template.spec : undefined;
}

function podsOf(resources: readonly Resource[]): Map<string, PodSpec> {
  return new Map(
    resources.flatMap((item) => {
      const pod = podOf(item);
      return pod === undefined ? [] : [[`${item.kind}/${item.metadata.name}`, pod] as const];
    }),
  );
}

function job(resources: readonly Resource[], name: string): PodSpec {
  return podsOf(resources).get(`CronJob/portolan-${name}`) ?? expect.fail(`there is no ${name}`);
}

const containersOf = ({ initContainers = [], containers }: PodSpec) => [...initContainers, ...containers];
const mountsOf = (pod: PodSpec, name: string) => pod.volumes.find((volume) => volume.name === name);

/** Pod Security Standards, "restricted", and what this chart promises beyond. */
function expectRestricted(name: string, pod: PodSpec): void {
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) expect(pod, name).not.toHaveProperty(field);
  expect(pod.automountServiceAccountToken, name).toBe(false);
  expect(pod.securityContext, name).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  expect(pod.securityContext.runAsUser, name).toBeGreaterThan(0);
  for (const { name: _, ...volume } of pod.volumes) {
    expect(Object.keys(volume), name).toEqual([
      expect.stringMatching(/^(?:emptyDir|configMap|secret|projected|persistentVolumeClaim|ephemeral)$/),
    ]);
  }
  for (const { securityContext, resources } of containersOf(pod)) {
    expect(securityContext, name).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(resources.limits.memory, name).toMatch(/^\d+(?:Mi|Gi)$/);
  }
}

describe.each(PROVIDERS)('values-%s.yaml', (provider) => {
  const values = () => ({ ...chartValues(), ...rolesOf(provider) });

  test('passes the strict check and renders three jobs, each under an account of its own without a token', async () => {
    const lint = run('helm', ['lint', '--strict', CHART, ...providerFlags(provider), '-f', '-']);
    lint.child.stdin?.end(JSON.stringify(values()));
    await lint;
    const resources = await render(values(), providerFlags(provider));
    const accounts = resources.filter(({ kind }) => kind === 'ServiceAccount');
    const jobs = resources.filter(({ kind }) => kind === 'CronJob').map(({ metadata }) => metadata.name);
    expect(jobs).toEqual(['portolan-backup', 'portolan-check', 'portolan-prune']);
    expect(accounts.map(({ metadata }) => metadata.name)).toEqual(jobs);
    for (const account of accounts) expect(account.automountServiceAccountToken).toBe(false);
    for (const name of jobs) {
      expect(podsOf(resources).get(`CronJob/${name}`)?.serviceAccountName).toBe(name);
    }
    expect(resources.filter(({ kind }) => /Role/.test(kind))).toEqual([]);
  });

  test('holds the pod security standard, and a storage class of its own', async () => {
    const resources = await render(values(), providerFlags(provider));
    const pods = podsOf(resources);
    expect(pods.size).toBe(7);
    for (const [name, pod] of pods) expectRestricted(name, pod);
    const classes = resources
      .filter(({ kind }) => kind === 'PersistentVolumeClaim')
      .map(({ spec }) => spec.storageClassName);
    const expected = { k3s: 'local-path', aws: 'gp2', gke: 'standard-rwo', aks: 'managed-csi' };
    const wanted = provider === 'digitalocean' ? 'do-block-storage' : expected[provider];
    expect(classes).toEqual([wanted, wanted, wanted]);
  });
});

test('with everything on, every Pod holds the standard, and what it names is there', async () => {
  const resources = await render(everythingOn());
  const pods = podsOf(resources);
  expect([...pods.keys()].sort()).toEqual([
    'CronJob/portolan-backup',
    'CronJob/portolan-check',
    'CronJob/portolan-drill',
    'CronJob/portolan-prune',
    'Deployment/portolan-metrics',
    expect.stringMatching(/^Job\/portolan-state-[0-9a-f]{8}$/),
    'Pod/portolan-test-backup',
    'Pod/portolan-test-check',
    'Pod/portolan-test-prune',
  ]);
  const names = (kind: string) => resources.filter((item) => item.kind === kind).map(({ metadata }) => metadata.name);
  for (const [name, pod] of pods) {
    expectRestricted(name, pod);
    if (pod.serviceAccountName !== undefined) expect(names('ServiceAccount')).toContain(pod.serviceAccountName);
    const declared = pod.volumes.map((volume) => volume.name);
    for (const { volumeMounts } of containersOf(pod)) {
      expect(declared, name).toEqual(expect.arrayContaining(volumeMounts.map((mount) => mount.name)));
      // What is written to is the state, what is temporary, and the server of a drill.
      const written = volumeMounts.filter(({ readOnly }) => readOnly !== true).map((mount) => mount.mountPath);
      for (const path of written) expect(path, name).toMatch(/^\/(?:tmp|work|var\/lib\/portolan(?:\/\w+)?)$/);
    }
    for (const { persistentVolumeClaim: claim } of pod.volumes) {
      const { claimName = undefined } = (claim ?? {}) as { claimName?: string };
      if (claimName !== undefined) expect([...names('PersistentVolumeClaim'), 'uploads']).toContain(claimName);
    }
  }
  expect(new Set(resources.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).size).toBe(resources.length);
});

test('every argument is one that the program takes', async () => {
  const commands = placedCommands(await loadCommandTree());
  const seen = new Set<string>();
  for (const values of [everythingOn(), { ...everythingOn(), storage: zitadel() }]) {
    for (const [name, pod] of podsOf(await render(values))) {
      for (const { args } of containersOf(pod).filter(({ args: [first] }) => first !== '--version')) {
        const [words, given] = [
          args.filter((word) => !word.startsWith('--')),
          args.filter((word) => word.startsWith('--')),
        ];
        const command = commands.find(({ words: own }) => own.every((word, index) => words[index] === word));
        const options = command?.spec.options ?? expect.fail(`${name}: no command ${words.join(' ')}`);
        seen.add(command?.words.join(' ') ?? '');
        const known = new Map(Object.entries(options).map(([key, option]) => [`--${longNameOf(key)}`, option]));
        for (const argument of given.filter((one) => one !== '--json')) {
          const [option = '', value] = argument.split(/=(.*)/s);
          const declared = known.get(option) ?? expect.fail(`${name}: ${command?.words.join(' ')} has no ${option}`);
          expect(value === undefined, argument).toBe(declared.kind === 'flag');
        }
        for (const [option, { required }] of known) {
          if (required === true)
            expect(
              given.map((one) => one.split('=')[0]),
              name,
            ).toContain(option);
        }
      }
    }
  }
  const variables = commands.flatMap(({ spec }) => Object.keys(spec.options)).map(variableNameOf);
  for (const [name, pod] of podsOf(await render(everythingOn()))) {
    const own = containersOf(pod).flatMap(({ env = [] }) => env.map((one) => one.name));
    for (const variable of own.filter((one) => one.startsWith('PORTOLAN_'))) {
      expect(variables, name).toContain(variable);
    }
  }
  expect([...seen].sort()).toEqual([
    'backup check',
    'backup drill',
    'backup forget',
    'backup list',
    'backup metrics',
    'backup prune',
    'backup run',
    'storage check',
  ]);
});

const zitadel = () => ({ credentials: 'zitadel', roleArn: 'arn:minio:iam:::role/x' });

test('each job gets the files of its own Secret that it reads, and no identity unless it is asked for', async () => {
  const keysOf = (pod: PodSpec) => {
    const { secret } = (mountsOf(pod, 'secret') ?? {}) as { secret?: { items: { key: string }[]; secretName: string } };
    return [secret?.secretName, ...(secret?.items ?? []).map(({ key }) => key).sort()];
  };
  const plain = await render(chartValues());
  expect(keysOf(job(plain, 'backup'))).toEqual([
    ...['portolan-writer', 'cosign.key', 'credentials', 'password', 'writer.json'],
  ]);
  expect(keysOf(job(plain, 'prune'))).toEqual(['portolan-pruner', 'cosign.key', 'credentials', 'password']);
  expect(keysOf(job(plain, 'check'))).toEqual(['portolan-checker', 'credentials']);
  const signing = await render({ ...everythingOn(), storage: zitadel() });
  expect(keysOf(job(signing, 'check'))).toEqual([
    ...['portolan-checker', 'cosign.key', 'identity.txt', 'password', 'service-key.json'],
  ]);
  expect(keysOf(job(signing, 'drill'))[0]).toBe('portolan-verifier');
  for (const [name, pod] of podsOf(signing)) {
    if (name.startsWith('Pod/')) expect(keysOf(pod).slice(1), name).toEqual(['service-key.json']);
  }
  for (const pod of [...podsOf(plain).values(), ...podsOf(signing).values()]) {
    // Secrets come as files, which no child inherits and no list of processes shows.
    for (const { env = [] } of containersOf(pod))
      for (const one of env) expect(one.valueFrom ?? {}).not.toHaveProperty('secretKeyRef');
  }
});

test('a role of the storage comes by a token of the Pod’s account for that audience alone, and no key is mounted', async () => {
  const storage = { credentials: 'web-identity', audience: 'sts.example', expirationSeconds: 3600, roles: ALL_ROLES };
  const resources = await render({ ...everythingOn(), storage });
  for (const name of ['backup', 'check', 'prune', 'drill'] as const) {
    const pod = job(resources, name);
    expect(mountsOf(pod, 'token')?.projected).toEqual({
      defaultMode: 0o440,
      sources: [{ serviceAccountToken: { path: 'token', audience: 'sts.example', expirationSeconds: 3600 } }],
    });
    for (const { env } of containersOf(pod)) {
      expect(env.map((one) => [one.name, one.value])).toEqual(
        expect.arrayContaining([
          ['AWS_WEB_IDENTITY_TOKEN_FILE', '/var/run/secrets/portolan/token'],
          ['AWS_ROLE_ARN', ALL_ROLES[name]],
        ]),
      );
    }
    expect(JSON.stringify(pod)).not.toContain('credentials');
  }
  // Without keys to mount nothing of the Secret is: a list of none would stand for all.
  const unsigned = await render({ ...chartValues(), storage });
  expect(mountsOf(job(unsigned, 'check'), 'secret')).toEqual({ name: 'secret', emptyDir: {} });
  await expect(render({ ...chartValues(), storage: { ...storage, roles: {} } })).rejects.toMatchObject({
    stderr: expect.stringContaining('storage.roles.backup'),
  });
});

test('nothing may be reached but names, the storage, and for the backup the database', async () => {
  const rules = async (values: object) =>
    (await render(values))
      .filter(({ kind }) => kind === 'NetworkPolicy')
      .map(({ metadata, spec }) => [metadata.name, spec]);
  const plain = Object.fromEntries(await rules(chartValues()));
  const all = { 'app.kubernetes.io/name': 'portolan', 'app.kubernetes.io/instance': 'portolan' };
  expect(plain['portolan-deny']).toEqual({
    podSelector: { matchLabels: all },
    policyTypes: ['Ingress', 'Egress'],
  });
  expect(plain['portolan-storage'].egress).toEqual([
    {
      ports: [
        { port: 53, protocol: 'UDP' },
        { port: 53, protocol: 'TCP' },
      ],
    },
    { ports: [{ port: 9000, protocol: 'TCP' }] },
  ]);
  expect(plain['portolan-database']).toMatchObject({
    podSelector: { matchLabels: { ...all, 'app.kubernetes.io/component': 'backup' } },
    egress: [{ ports: [{ port: 5432, protocol: 'TCP' }] }],
  });
  const peer = { ipBlock: { cidr: '10.0.0.7/32' } };
  const networkPolicy = { storage: { to: [peer], ports: [] }, database: { to: [peer] }, otlp: { to: [peer] } };
  const logs = { otlp: { endpoint: 'http://signoz.ship:4318' } };
  const narrow = Object.fromEntries(
    await rules({ ...chartValues(), networkPolicy, logs, storage: zitadel(), repository: { url: 's3://backups/a' } }),
  );
  expect(narrow['portolan-storage'].egress.slice(1)).toEqual([
    { ports: [{ port: 443, protocol: 'TCP' }], to: [peer] },
    { ports: [{ port: 4318, protocol: 'TCP' }], to: [peer] },
    { ports: [{ port: 443, protocol: 'TCP' }] },
  ]);
  expect(narrow['portolan-database'].egress[0].to).toEqual([peer]);
  expect(await rules({ ...chartValues(), networkPolicy: { enabled: false } })).toEqual([]);
});

test('H is a minute that stays, and that another release has not', async () => {
  const schedules = async (release: string) =>
    (await render(chartValues(), [], release))
      .filter(({ kind }) => kind === 'CronJob')
      .map(({ spec }) => spec.schedule);
  const first = await schedules('portolan');
  expect(first).toEqual(await schedules('portolan'));
  expect(first).toEqual([
    expect.stringMatching(/^[1-5]?[0-9] 2 \* \* \*$/),
    expect.stringMatching(/^[1-5]?[0-9] 4 \* \* \*$/),
    expect.stringMatching(/^[1-5]?[0-9] 5 \* \* \*$/),
  ]);
  const minutes = await Promise.all([...'abcdefgh'].map(async (release) => (await schedules(release))[0]));
  expect(new Set(minutes).size).toBeGreaterThan(4);
  const [both] = (await render({ ...chartValues(), backup: { schedule: 'H H * * 0' } }))
    .filter(({ metadata }) => metadata.name === 'portolan-backup')
    .filter(({ kind }) => kind === 'CronJob');
  expect(both?.spec.schedule).toMatch(/^[1-5]?[0-9] (?:1?[0-9]|2[0-3]) \* \* 0$/);
});

test('what schedules have to say stands in the objects', async () => {
  const backup = { concurrencyPolicy: 'Replace', suspend: true, timeZone: 'Europe/Zurich', schedule: '*/5 * * * *' };
  const limits = { successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 7, startingDeadlineSeconds: 100 };
  const resources = await render({
    ...chartValues(),
    backup: { ...backup, ...limits, backoffLimit: 4, activeDeadlineSeconds: 600 },
  });
  const [cron] = resources.filter(({ kind, metadata }) => kind === 'CronJob' && metadata.name === 'portolan-backup');
  expect(cron?.spec).toMatchObject({ ...backup, ...limits });
  expect(cron?.spec.jobTemplate.spec).toMatchObject({ backoffLimit: 4, activeDeadlineSeconds: 600 });
  // What cannot mend by itself is not tried again; a node that is drained does not count.
  expect(cron?.spec.jobTemplate.spec.podFailurePolicy.rules).toEqual([
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    { action: 'FailJob', onExitCodes: { operator: 'In', values: [2, 3] } },
  ]);
});

test('without a rule nothing is forgotten; with one, before the pruning', async () => {
  expect(job(await render(chartValues()), 'prune').initContainers).toBeUndefined();
  const retention = { keepDaily: 7, keepMonthly: 12, keepWithin: '14d', keepTags: ['before-upgrade'], perDay: 2 };
  const [forget] = job(await render({ ...chartValues(), prune: { retention } }), 'prune').initContainers ?? [];
  expect(forget?.args).toEqual(
    expect.arrayContaining([
      ...['--keep-daily=7', '--keep-monthly=12', '--keep-within=14d', '--keep-tag=before-upgrade', '--per-day=2'],
    ]),
  );
});

test.each([
  ['/repository/url', { repository: { url: '/srv/backups' } }],
  ['/repository/url', { repository: { url: 's3://backups/a?secret=x' } }],
  ['/repository', { repository: { adress: 's3://backups/a' } }],
  ['/image', { image: 'portolan' }],
  ['/cloudProvider', { cloudProvider: 'other' }],
  ['/source/postgres', { source: { postgres: { host: 'db', user: 'a', databases: ['x'] } } }],
  ['/source/postgres/sslMode', { source: { postgres: { ...chartValues().source.postgres, sslMode: 'on' } } }],
  ['/backup', { backup: { shedule: 'H 2 * * *' } }],
  ['/backup/schedule', { backup: { schedule: 'daily' } }],
  ['/backup/writer', { backup: { writer: 'Db_1' } }],
  ['/backup/fullEvery', { backup: { fullEvery: '30 days' } }],
  ['/backup/activeDeadlineSeconds', { backup: { activeDeadlineSeconds: 90_000 } }],
  ['/backup/concurrencyPolicy', { backup: { concurrencyPolicy: 'Never' } }],
  ['/backup/resources/limits', { backup: { resources: { limits: { memry: '1Gi' } } } }],
  ['/prune/retention', { prune: { retention: { keepDayly: 7 } } }],
  ['/prune/retention/keepDaily', { prune: { retention: { keepDaily: 0 } } }],
  ['/check/readData', { check: { readData: 'lots' } }],
  ['/storage', { storage: { credentials: 'web-identity' } }],
  ['/pod/runAsUser', { pod: { runAsUser: 0 } }],
  ['/networkPolicy/storage', { networkPolicy: { storage: { cidr: '10.0.0.0/8' } } }],
  ['/logs/otlp/endpoint', { logs: { otlp: { endpoint: 'signoz:4317' } } }],
])('the schema refuses a wrong %s', async (key, values) => {
  await expect(render({ ...chartValues(), ...values })).rejects.toMatchObject({
    stderr: expect.stringContaining(`at '${key}'`),
  });
});

test.each([
  ['source', { source: null }],
  ['drill.image', { drill: { enabled: true } }],
])('what the schema cannot say about %s, the chart does', async (word, values) => {
  await expect(render({ ...chartValues(), ...values })).rejects.toMatchObject({
    stderr: expect.stringContaining(word),
  });
});

test('a pruner of its own needs no database', async () => {
  const { source: _, ...values } = chartValues();
  const off = { enabled: false };
  const resources = await render({ ...values, backup: off, check: off });
  expect(resources.filter(({ kind }) => kind === 'CronJob').map(({ metadata }) => metadata.name)).toEqual([
    'portolan-prune',
  ]);
});

test('alert rules go by metrics that the program has', async () => {
  const told = new Set(repositoryGauges(undefined, { isReachable: true, isBroken: false }).map(({ name }) => name));
  const rules = (await render(everythingOn())).find(({ kind }) => kind === 'PrometheusRule')?.spec.groups[0].rules;
  const asked = new Set<string>();
  for (const { expr } of rules) for (const [name] of expr.matchAll(/\bportolan_\w+/g)) asked.add(name);
  expect(asked.size).toBeGreaterThan(8);
  expect([...asked].filter((name) => !told.has(name))).toEqual([]);
  expect(rules.map(({ alert }: { alert: string }) => alert)).toEqual(
    expect.arrayContaining([
      ...['PortolanBackupLate', 'PortolanBackupSmall', 'PortolanBackupUnverified', 'PortolanRolesStale'],
    ]),
  );
});

test('no template and no default names a provider', async () => {
  // The variables of S3 begin with AWS_: they are of the protocol, and every storage’s tools know them.
  const words = /\b(?:aws|eks|amazonaws|gke|gcp|google|aks|azure|digitalocean|doks|k3s|gp2|local-path)\b/i;
  const templates = (await readdir(join(CHART, 'templates'), { recursive: true })).filter((name) =>
    /\.\w+$/.test(name),
  );
  expect(templates.length).toBeGreaterThan(7);
  for (const name of [...templates.map((one) => `templates/${one}`), 'values.yaml']) {
    expect(await readFile(join(CHART, name), 'utf8'), name).not.toMatch(words);
  }
});

test('the notes say what is missing, by the command that makes it, and what comes next', async () => {
  const dry = run('helm', ['install', 'portolan', CHART, '-n', 'cms', '--dry-run=client', '-f', '-']);
  dry.child.stdin?.end(JSON.stringify({ ...chartValues(), cloudProvider: 'k3s' }));
  const notes = (await dry).stdout.split('NOTES:')[1] ?? '';
  expect(notes).toContain('kubectl -n cms create configmap portolan-trust --from-file=trust.json=trust.json');
  for (const name of ['portolan-writer', 'portolan-pruner', 'portolan-checker'])
    expect(notes).toContain(`kubectl -n cms create secret generic ${name} --from-file=`);
  expect(notes).toContain('helm test portolan -n cms');
  expect(notes).toContain('create job --from=cronjob/portolan-backup');
  expect(notes).toContain('docs/providers/k3s.md');
  expect(notes).toContain('Nothing is forgotten');
});

test('the version of chart, program and image is one', async () => {
  const manifest = JSON.parse(await readFile(resolve(CHART, '../../package.json'), 'utf8')) as { version: string };
  const chart = parse(await readFile(join(CHART, 'Chart.yaml'), 'utf8'));
  const values = parse(await readFile(join(CHART, 'values.yaml'), 'utf8'));
  expect([chart.version, chart.appVersion, values.image]).toEqual([
    ...[manifest.version, manifest.version, `portolan.local/portolan:${manifest.version}`],
  ]);
});
