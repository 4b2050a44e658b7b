/**
 * The chart helm/portolan in a real cluster: accepted by its API server where only `restricted` Pods may run; carried by bundles/portolan
 * on a copied stick; started by the real controller of CronJobs, against a MinIO with a role for each job; restored; upgraded.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { builtImages } from '../support/built-images.ts';
import { chartValues, everythingOn } from '../support/chart-values.ts';
import { httpGet, kubectl, useCluster } from '../support/cluster.ts';
import { raiseClusterDatabase } from '../support/cluster-database.ts';
import { CMS_KEYS, publish } from '../support/cms-stick.ts';
import { CHECKOUT } from '../support/importer.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { portolan, run, succeed } from '../support/program.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import type { S3Credentials } from '../support/s3-process.ts';
import { policyOf, type StorageRole } from '../support/storage-policies.ts';

const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
const RUN = randomBytes(4).toString('hex');
const NAMESPACE = `portolan-backups-${RUN}`;
const DRY = `portolan-dry-${RUN}`;
const STATE = `portolan-state-${RUN}`;
const BUCKET = 'backups';
const NAMES = { bucket: BUCKET, prefix: 'shop', writer: 'db-1', verifier: 'verifier' };
const PASSWORD = 'never-use-this';
const DATABASE_PASSWORD = randomBytes(12).toString('hex');
/** As the API server publishes it; tokens of service accounts are for whom they say. */
const NODE = '10.41.0.2';
const OPEN_ID = { issuer: `https://${NODE}:6443`, audience: 'backups.ship' };
const ROLES = { backup: 'Writer', prune: 'Pruner', check: 'Verifier' } as const;
const MINUTE_MS = 60_000;

let root: string;
let minio: MinioProcess;
let logs: Awaited<ReturnType<typeof startReceiver>>;
const at = (...names: string[]) => join(root, ...names);
const address = () => `s3://${BUCKET}/shop?endpoint=${minio.endpoint}`;
const here = (args: readonly string[], input?: string) => kubectl(['--namespace', NAMESPACE, ...args], input);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-chart-'));
  await restrictedNamespace(NAMESPACE);
  await raiseClusterDatabase({ namespace: NAMESPACE, password: DATABASE_PASSWORD, name: 'cms' });
  await sql(
    "create table page (id int primary key, title text); insert into page select n, 'page ' || n from generate_series(1, 1000) n",
  );
  logs = await startReceiver();
  minio = await startStorage();
  await makeRepository();
  await makeStick();
});
afterAll(async () => {
  await run('kubectl', ['delete', 'namespace', NAMESPACE, DRY, STATE, '--ignore-not-found', '--wait']);
  await run('kubectl', ['delete', 'clusterrolebinding', `discovery-${RUN}`, '--ignore-not-found']);
  await run('ctr', ['images', 'rm', IMAGE, `${IMAGES}/portolan-drill:${version}`]);
  await minio?.close();
  logs?.server.close();
  if (root !== undefined) await rm(root, { recursive: true, force: true });
});

async function restrictedNamespace(name: string): Promise<void> {
  const labels = ['enforce', 'warn'].map((mode) => `pod-security.kubernetes.io/${mode}=restricted`);
  await kubectl(['create', 'namespace', name]);
  await kubectl(['label', 'namespace', name, ...labels]);
}

/** Beside the node, as an address that Pods reach; it takes tokens of the cluster's own service accounts as well. */
async function startStorage(): Promise<MinioProcess> {
  const discovery = ['--clusterrole=system:service-account-issuer-discovery', '--group=system:unauthenticated'];
  await kubectl(['create', 'clusterrolebinding', `discovery-${RUN}`, ...discovery]);
  const authority = await kubectl([
    'get',
    'configmap',
    '-n',
    'kube-system',
    'kube-root-ca.crt',
    '-o',
    'jsonpath={.data.ca\\.crt}',
  ]);
  await writeFile(at('cluster-ca.crt'), authority);
  const policies = Object.keys(ROLES);
  const server = await startMinio(at('minio'), {
    ...{ tls: true, host: NODE },
    openId: { ...OPEN_ID, policies, caFile: at('cluster-ca.crt') },
  });
  await makeBucket(server.client(), BUCKET, { lock: { days: 1 } });
  for (const job of policies) {
    const subject = `system:serviceaccount:${NAMESPACE}:identity-${job}`;
    await server.createPolicy(job, policyOf(ROLES[job as keyof typeof ROLES], NAMES, subject));
  }
  return server;
}

/** What a collector of OpenTelemetry would get by OTLP over HTTP. */
async function startReceiver() {
  const received: string[] = [];
  const server = createServer(async (request, response) => {
    if (request.url === '/v1/logs') received.push(await text(request));
    response.setHeader('content-type', 'application/json').end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, NODE, resolve));
  return { server, received };
}

function operator(env: Readonly<Record<string, string>> = {}) {
  return {
    ...{ HOME: root, XDG_CONFIG_HOME: at('config'), XDG_CACHE_HOME: at('cache'), PORTOLAN_STATE: at('state') },
    ...{ COSIGN_PASSWORD: PASSWORD, PORTOLAN_JSON: undefined, PGPASSWORD: DATABASE_PASSWORD },
    ...{ AWS_ACCESS_KEY_ID: minio.root.accessKeyId, AWS_SECRET_ACCESS_KEY: minio.root.secretAccessKey, ...env },
  };
}

/** A command of the operator, beside the cluster. */
async function done(...args: string[]): Promise<Readonly<Record<string, unknown>>> {
  // What was imported is written down in the cluster, what was seen of a repository on this machine.
  const own = args[0] === 'bundle' ? { PORTOLAN_STATE: '' } : {};
  const ended = await portolan(args, { env: operator(own), cwd: root });
  expect(ended.status, `${args.join(' ')}\n${ended.stderr}${ended.stdout}`).toBe(0);
  return ended.result ?? {};
}

const repo = () => ['--repo', address(), '--ca-file', minio.caFile ?? ''];
const reading = () => [...repo(), '--trust', at('trust.json')];

/** With a signing key for each role, and what each job's Secret holds. */
async function makeRepository(): Promise<void> {
  const env = { HOME: root, COSIGN_PASSWORD: PASSWORD };
  for (const name of ['approver', 'writer', 'pruner', 'verifier'])
    await succeed('cosign', ['generate-key-pair', '--output-key-prefix', name], { cwd: root, env });
  const recipients = [];
  for (const name of ['anna', 'safe', 'verifier']) {
    await succeed('age-keygen', ['-pq', '-o', at(`${name}.txt`)]);
    recipients.push(`${name}=${(await succeed('age-keygen', ['-y', at(`${name}.txt`)])).trim()}`);
  }
  const [anna = '', safe = '', verifier = ''] = recipients;
  const made = await done(
    ...['backup', 'init', ...repo(), '--sign-key', at('approver.key'), '--writer', NAMES.writer],
    ...[
      '--writer-pub',
      at('writer.pub'),
      '--pruner',
      `pruner=${at('pruner.pub')}`,
      '--verifier',
      `verifier=${at('verifier.pub')}`,
      '-r',
      anna,
      '-r',
      verifier,
      '--break-glass',
      safe,
    ],
  );
  await cp(String(made.trust), at('trust.json'));
  await cp(String(made.writerKey), at('writer.json'));
  await here(['create', 'configmap', 'portolan-trust', `--from-file=${at('trust.json')}`]);
  await here(['create', 'configmap', 'portolan-authorities', `--from-file=ca.crt=${minio.caFile}`]);
  await writeFile(at('password'), PASSWORD);
  const signing = (name: string) => [`--from-file=cosign.key=${at(`${name}.key`)}`, `--from-file=${at('password')}`];
  await makeSecret('writer', 'Writer', [...signing('writer'), `--from-file=${at('writer.json')}`]);
  await makeSecret('pruner', 'Pruner', signing('pruner'));
  await makeSecret('checker', 'Verifier', []);
  await makeSecret('reader', 'Reader', []);
  await makeSecret('verifier', 'Verifier', [...signing('verifier'), `--from-file=identity.txt=${at('verifier.txt')}`]);
}

async function makeSecret(name: string, role: StorageRole, files: readonly string[]): Promise<void> {
  const user = await minio.createUser(policyOf(role, NAMES));
  await mkdir(at(name));
  await writeFile(at(name, 'credentials'), profileOf(user));
  await here(['create', 'secret', 'generic', `portolan-${name}`, `--from-file=${at(name, 'credentials')}`, ...files]);
}

function profileOf({ accessKeyId, secretAccessKey }: S3Credentials): string {
  return `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
}

/** What is different here: the operator's own values over those of the bundle. */
function siteValues() {
  const database = {
    host: 'db',
    user: 'postgres',
    databases: ['cms'],
    sslMode: 'prefer',
    password: { secret: 'auth' },
  };
  return {
    repository: { url: address() },
    certificates: { name: 'portolan-authorities' },
    source: { postgres: database },
    backup: { schedule: '* * * * *', successfulJobsHistoryLimit: 20 },
    drill: { workSize: '1Gi' },
    metrics: { enabled: true, interval: '5s' },
    logs: { otlp: { endpoint: `http://${NODE}:${(logs.server.address() as AddressInfo).port}` } },
  };
}

/** bundles/portolan as it is, for the namespace of this test, on a stick that was copied. Two releases. */
async function makeStick(): Promise<void> {
  const folder = at('publisher', 'bundles', 'portolan');
  await mkdir(at('publisher', 'bundles'), { recursive: true });
  await cp(join(CHECKOUT, 'helm'), at('publisher', 'helm'), { recursive: true });
  await cp(join(CHECKOUT, 'bundles', 'portolan'), folder, {
    recursive: true,
    filter: (path) => !/\/(?:\.images|bundle\.lock\.json)$/.test(path),
  });
  await builtImages(['portolan', 'portolan-drill'], join(folder, '.images'));
  await renameImages(join(folder, '.images', 'index.json'));
  await renameImages(at('publisher', 'helm', 'portolan', 'values.yaml'));
  await renameImages(join(folder, 'bundle.yaml'));
  const definition = (await readFile(join(folder, 'bundle.yaml'), 'utf8')).replace(
    /^( +namespace:) .*$/m,
    `$1 ${NAMESPACE}`,
  );
  const releases = [
    { version: '0.1.0', sequence: 1, values: siteValues() },
    { version: '0.1.1', sequence: 2, values: { ...siteValues(), backup: { ...siteValues().backup, tags: ['newer'] } } },
  ];
  for (const { version, sequence, values } of releases) {
    const changed = definition.replace(/^version: .*$/m, `version: ${version}`);
    await writeFile(join(folder, 'bundle.yaml'), changed.replace(/^sequence: .*$/m, `sequence: ${sequence}`));
    await writeFile(at('site.json'), JSON.stringify(values));
    await publish(folder, at('made'), ['--provider', 'k3s', '--feature', 'drill=on', '--values', at('site.json')]);
  }
  const copied = await portolan(['bundle', 'copy', at('made'), at('stick'), '--all', '--trust', CMS_KEYS.trust]);
  expect(copied, copied.stderr).toMatchObject({ status: 0 });
}

/** Under a name of this test's own: others give the node images of the usual one, and take them away. */
const IMAGES = `portolan.local/chart-${RUN}`;
const IMAGE = `${IMAGES}/portolan:${version}`;

async function renameImages(file: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replaceAll(/portolan\.local\/portolan\b/g, `${IMAGES}/portolan`));
}

function importing(version: string, ...more: string[]) {
  const keys = ['-i', CMS_KEYS.identity, '--trust', CMS_KEYS.trust, '--kubeconfig', useCluster().kubeconfig];
  const target = ['--images', 'containerd', '--namespace', STATE, '--timeout', '240'];
  return done('bundle', 'import', `${at('stick')}:portolan-${version}`, ...keys, ...target, ...more);
}

async function sql(statement: string, database = 'cms'): Promise<string> {
  return (await here(['exec', 'db', '--', 'psql', '-U', 'postgres', '-d', database, '-AXtqc', statement])).trim();
}

interface ListedJob {
  readonly metadata: { readonly name: string; readonly ownerReferences?: readonly { readonly name: string }[] };
  readonly status: { readonly succeeded?: number; readonly failed?: number };
}

/** Jobs that the controller made of a CronJob, the oldest first. */
async function scheduled(job: string): Promise<readonly ListedJob[]> {
  const { items } = JSON.parse(await here(['get', 'jobs', '-o', 'json'])) as { items: readonly ListedJob[] };
  return items
    .filter(({ metadata }) => metadata.ownerReferences?.some(({ name }) => name === `portolan-${job}`))
    .filter(({ metadata }) => /-\d+$/.test(metadata.name))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

async function eventually<T>(what: string, look: () => Promise<T | undefined>, limitMs = 5 * MINUTE_MS): Promise<T> {
  for (const deadline = Date.now() + limitMs; Date.now() < deadline; await sleep(1000)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  return expect.fail(`${what}: not within ${limitMs / 1000} s`);
}

interface Listed {
  readonly sequence: number;
  readonly tags: readonly string[];
  readonly verified?: boolean;
}

async function snapshots(): Promise<readonly Listed[]> {
  const { writers } = (await done('backup', 'list', ...reading())) as {
    readonly writers?: readonly { readonly snapshots: readonly Listed[] }[];
  };
  return (writers ?? []).flatMap(({ snapshots: own }) => own);
}

/** From now on the schedule starts nothing, and nothing of it runs: two runs of one writer on two machines would meet. */
async function endSchedule(): Promise<void> {
  await here(['patch', 'cronjob', 'portolan-backup', '-p', JSON.stringify({ spec: { suspend: true } })]);
  await eventually('the end of the last run', async () =>
    (await here(['get', 'cronjob', 'portolan-backup', '-o', 'jsonpath={.status.active}'])) === '' ? true : undefined,
  );
}

/** Runs a job now, as a person does. Gives what it said, and whether it succeeded. */
async function runNow(
  job: string,
  release = 'portolan',
): Promise<{ readonly succeeded: boolean; readonly log: string }> {
  const name = `${job}-${randomBytes(4).toString('hex')}`;
  await here(['create', 'job', `--from=cronjob/${release}-${job}`, name]);
  const succeeded = await eventually(name, async () => {
    const { status } = JSON.parse(await here(['get', 'job', name, '-o', 'json'])) as {
      status: { conditions?: readonly { type: string; status: string }[] };
    };
    const ended = status.conditions?.find(
      ({ type, status: is }) => is === 'True' && /^(?:Complete|Failed)$/.test(type),
    );
    return ended === undefined ? undefined : ended.type === 'Complete';
  });
  const log = await here(['logs', `--selector=job-name=${name}`, '--all-containers', '--tail=-1']);
  return { succeeded, log };
}

describe('the real API server, where only `restricted` Pods may run', () => {
  beforeAll(() => restrictedNamespace(DRY));

  const create = async (values: object, flags: readonly string[] = [], change = (text: string) => text) => {
    const chart = join(CHECKOUT, 'helm', 'portolan');
    const text = await succeed('helm', ['template', 'portolan', chart, '-n', DRY, ...flags, '-f', '-'], {
      input: JSON.stringify(values),
    });
    // Of the Prometheus operator, which is not here.
    const documents = parseAllDocuments(change(text))
      .map((document) => document.toJS())
      .filter((item) => item !== null && !String(item.apiVersion).startsWith('monitoring.coreos.com'));
    const list = (items: readonly unknown[]) => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    // A Pod is refused whose account is not there: these alone are made.
    const isAccount = ({ kind }: { kind: string }) => kind === 'ServiceAccount';
    await kubectl(['apply', '-n', DRY, '-f', '-'], list(documents.filter(isAccount)));
    const others = documents.filter((item) => !isAccount(item));
    const ended = await run('kubectl', ['create', '-n', DRY, '--dry-run=server', '-f', '-'], { input: list(others) });
    return { ...ended, count: others.length };
  };
  const roles = Object.fromEntries(
    ['backup', 'prune', 'check', 'drill', 'metrics'].map((job) => [job, `arn:aws:iam::123456789012:role/${job}`]),
  );

  test.each(['k3s', 'aws', 'gke', 'aks', 'digitalocean'])('takes the chart with values-%s.yaml', async (provider) => {
    const flags = ['-f', join(CHECKOUT, 'helm', 'portolan', `values-${provider}.yaml`)];
    const all = everythingOn();
    const pod = { ...all.pod, priorityClassName: 'system-node-critical' };
    const values = { ...all, pod, ...(provider === 'aws' ? { storage: { roles } } : {}) };
    const { status, stderr, stdout, count } = await create(values, flags);
    expect(status, stderr).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(count);
    expect(count).toBeGreaterThan(15);
    // It warns of what a CronJob's Pods would be refused for.
    expect(stderr).toBe('');
  });

  test('would not take it with a root that can be written to as root', async () => {
    const { stderr, status } = await create(chartValues(), [], (text) =>
      text.replaceAll('runAsNonRoot: true', 'runAsNonRoot: false'),
    );
    expect(status).not.toBe(0);
    expect(stderr).toContain('violates PodSecurity "restricted');
    expect(stderr).toContain('would violate PodSecurity "restricted');
  });
});

describe('bundles/portolan, from the stick', { shuffle: false }, () => {
  beforeAll(async () => {
    await importing('0.1.0');
  });

  test('is installed: its jobs, their claims bound, the metrics told', async () => {
    const claims = await here(['get', 'pvc', '-o', 'jsonpath={.items[*].status.phase}']);
    expect(claims.split(' ')).toEqual(['Bound', 'Bound', 'Bound', 'Bound']);
    const crons = await here(['get', 'cronjobs', '-o', 'name']);
    expect(crons.trim().split('\n')).toHaveLength(4);
    const before = await here(['get', 'cronjobs,jobs,deployments', '-o', 'jsonpath={.items[*].metadata.uid}']);
    expect((await importing('0.1.0')).charts).toMatchObject([{ revision: 1 }]);
    const uids = await here(['get', 'cronjobs,jobs,deployments', '-o', 'jsonpath={.items[*].metadata.uid}']);
    expect(uids.split(' ')).toEqual(expect.arrayContaining(before.split(' ')));
  });

  test('the controller of CronJobs starts a backup by itself, and it is in the repository', async () => {
    await eventually('a scheduled backup', async () =>
      (await scheduled('backup')).some(({ status }) => status.succeeded === 1) ? true : undefined,
    );
    expect((await snapshots()).length).toBeGreaterThan(0);
    const told = logs.received.find((one) => one.includes('portolan.result') && one.includes('backup run')) ?? '';
    expect(told).toContain(NAMESPACE);
    expect(told).toMatch(/portolan-backup-\d+-/);
    const ip = await here(['get', 'service', 'portolan-metrics', '-o', 'jsonpath={.spec.clusterIP}']);
    const metrics = await eventually('the metrics', async () => {
      const answer = await httpGet(`http://${ip}:9464/metrics`);
      return answer?.text.includes('portolan_snapshots{writer="db-1"} 0') === false && answer.status === 200
        ? answer.text
        : undefined;
    });
    expect(metrics).toMatch(/^portolan_snapshot_newest_timestamp_seconds\{writer="db-1"\} \d{10}/m);
  });

  test('the next one knows what the one before saw, and writes only what changed', async () => {
    const seen = (await snapshots()).length;
    await sql("insert into page values (1001, 'late')");
    await eventually('a second backup', async () => ((await snapshots()).length > seen + 1 ? true : undefined));
    const last = (await scheduled('backup')).findLast(({ status }) => status.succeeded === 1);
    const log = await here(['logs', `job/${last?.metadata.name}`]);
    const result = log.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
    expect(result.find(({ event }) => event === 'result')).toMatchObject({ writer: 'db-1', full: false });
  });

  test('helm test tries the credentials of each job, and finds them as narrow as they must be', async () => {
    const logs = await succeed('helm', ['test', 'portolan', '--namespace', NAMESPACE, '--logs', '--timeout', '180s']);
    expect(logs).toContain('Succeeded');
    expect(logs).not.toContain('Failed');
  });

  test('helm test fails with credentials that may do more', async () => {
    await writeFile(at('writer', 'root'), profileOf(minio.root));
    const change = async (file: string) =>
      here(['patch', 'secret', 'portolan-writer', '-p', JSON.stringify({ data: { credentials: await base64(file) } })]);
    await change(at('writer', 'root'));
    const ended = await run('helm', ['test', 'portolan', '--namespace', NAMESPACE, '--timeout', '180s']);
    await change(at('writer', 'credentials'));
    expect(ended.status).not.toBe(0);
    expect(ended.stderr).toContain('portolan-test-backup');
  });

  test('check and prune do their work, and remember', async () => {
    const first = await runNow('check');
    expect(first).toMatchObject({ succeeded: true });
    expect(first.log).toContain('never saw the repository before');
    const second = await runNow('check');
    expect(second).toMatchObject({ succeeded: true });
    expect(second.log).not.toContain('never saw the repository before');
    const { succeeded, log } = await runNow('prune');
    expect(succeeded, log).toBe(true);
    // The rules of the bundle: it forgets first.
    expect(log.split('\n').filter((line) => line.includes('"event":"result"'))).toHaveLength(2);
  });

  test('a drill restores the newest into a server of its own, and signs', async () => {
    const { succeeded, log } = await runNow('drill');
    expect(succeeded, log).toBe(true);
    expect((await snapshots()).some(({ verified }) => verified === true)).toBe(true);
  });

  test('a restore gives the rows', async () => {
    await eventually('a backup with the late row', async () => ((await snapshots()).length > 2 ? true : undefined));
    const ip = await here(['get', 'pod', 'db', '-o', 'jsonpath={.status.podIP}']);
    const to = ['--to', `postgres://postgres@${ip}/cms_restored?sslmode=disable`, '--allow', 'superuser'];
    await done(
      'restore',
      NAMES.writer,
      ...reading(),
      '-i',
      at('anna.txt'),
      '--database',
      'cms',
      ...to,
      '--pg-bin',
      pgBin(),
    );
    expect(await sql('select count(*), max(title) from page', 'cms_restored')).toBe(
      await sql('select count(*), max(title) from page'),
    );
  });

  test('an upgrade keeps the schedule: the same CronJob, and no minute without its run', async () => {
    const uid = () => here(['get', 'cronjob', 'portolan-backup', '-o', 'jsonpath={.metadata.uid}']);
    const [before, ran] = [await uid(), (await scheduled('backup')).length];
    await importing('0.1.1');
    expect(await uid()).toBe(before);
    await eventually('two runs after the upgrade', async () =>
      (await scheduled('backup')).length > ran + 2 ? true : undefined,
    );
    await eventually('a snapshot of the new chart', async () =>
      (await snapshots()).some(({ tags }) => tags.includes('newer')) ? true : undefined,
    );
    const minutes = (await scheduled('backup')).map(({ metadata }) => Number(metadata.name.split('-').at(-1)));
    expect(minutes.slice(1).map((minute, index) => minute - (minutes[index] ?? 0))).toEqual(
      minutes.slice(1).map(() => 1),
    );
    for (const { status, metadata } of await scheduled('backup')) expect(status.failed ?? 0, metadata.name).toBe(0);
  });

  test('without its Secret a job says which file it lacks, and is not tried for ever', async () => {
    const chart = join(CHECKOUT, 'helm', 'portolan');
    const values = { ...siteValues(), backup: { suspend: true, secret: 'nowhere', state: { persistent: false } } };
    const off = { enabled: false };
    await succeed('helm', ['install', 'lacking', chart, '-n', NAMESPACE, '--wait', '-f', '-'], {
      input: JSON.stringify({ ...values, prune: off, check: off, metrics: off, image: IMAGE }),
    });
    const { succeeded, log } = await runNow('backup', 'lacking');
    await succeed('helm', ['uninstall', 'lacking', '-n', NAMESPACE]);
    expect(succeeded).toBe(false);
    expect(log).toContain('/etc/portolan/secret/');
    expect(log).toMatch(/"code":"(?:FILE_MISSING|STORE_CREDENTIALS_MISSING)"/);
  });

  test('by a token of its service account a job gets keys of the storage, and no key is in the cluster', async () => {
    await endSchedule();
    const chart = join(CHECKOUT, 'helm', 'portolan');
    const roles = Object.fromEntries(Object.keys(ROLES).map((job) => [job, minio.roleArn]));
    const storage = {
      credentials: 'web-identity',
      audience: OPEN_ID.audience,
      expirationSeconds: 600,
      roles,
      sts: minio.endpoint,
    };
    const persistent = { state: { persistent: false }, suspend: true };
    await succeed('helm', ['install', 'identity', chart, '-n', NAMESPACE, '--wait', '-f', '-'], {
      input: JSON.stringify({
        ...{ ...siteValues(), storage, image: IMAGE, metrics: { enabled: false } },
        ...{ backup: persistent, prune: persistent, check: persistent },
      }),
    });
    const before = (await snapshots()).length;
    const { succeeded, log } = await runNow('backup', 'identity');
    expect(succeeded, log).toBe(true);
    expect((await snapshots()).length).toBeGreaterThan(before);
    expect((await runNow('check', 'identity')).succeeded).toBe(true);
    const tested = await run('helm', ['test', 'identity', '--namespace', NAMESPACE, '--logs', '--timeout', '180s']);
    expect(tested.status, tested.stdout + tested.stderr).toBe(0);
    await succeed('helm', ['uninstall', 'identity', '-n', NAMESPACE]);
  });

  test('what was seen of the repository outlives the release', async () => {
    const removed = await done(
      'bundle',
      'remove',
      'portolan',
      '--kubeconfig',
      useCluster().kubeconfig,
      '--namespace',
      STATE,
    );
    expect(removed.kept).toEqual(expect.arrayContaining([`PersistentVolumeClaim ${NAMESPACE}/portolan-backup-state`]));
    expect((await here(['get', 'cronjobs', '-o', 'name'])).trim()).toBe('');
    expect((await here(['get', 'pvc', '-o', 'name'])).trim().split('\n')).toHaveLength(4);
  });
});

async function base64(file: string): Promise<string> {
  return (await readFile(file)).toString('base64');
}

function pgBin(): string {
  return join(process.env.PORTOLAN_PEERS ?? '', 'postgres', '15', 'bin');
}
