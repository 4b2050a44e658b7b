import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BAD_DAYS_KEYS,
  DATABASE_NAMESPACE,
  DATABASE_PASSWORD,
  RELEASES_NAMESPACE,
  STATE_NAMESPACE,
} from './bad-days-project.ts';
import { kubectl } from './cluster.ts';
import { CHECKOUT } from './importer.ts';
import { type PortolanEnded, type PortolanRunning, portolan, run, startPortolan, succeed } from './program.ts';

const READY_TRIES = 240;
const GONE_TRIES = 80;

export interface TargetSettings {
  readonly stick: string;
  /** A home of the closed side's own: what it keeps, and where failures are saved. */
  readonly home: string;
  readonly kubeconfig: string;
}

/** The closed side of the bundle of bad-days-project.ts: cluster, database, and the command line that works on them. */
export function createBadDaysTarget({ stick, home, kubeconfig }: TargetSettings) {
  const common = (config: string) => ['--kubeconfig', config, '--namespace', STATE_NAMESPACE];
  const env = { HOME: home, XDG_STATE_HOME: join(home, 'state') };
  const importArgs = (tag: string, more: readonly string[], config = kubeconfig) => [
    ...['bundle', 'import', `${stick}:${tag}`, ...BAD_DAYS_KEYS, ...common(config), '--images', 'containerd'],
    ...['--timeout', '60', ...more],
  ];
  const manageArgs = (what: string, more: readonly string[], config = kubeconfig) => [
    ...['bundle', what, ...(what === 'status' ? [] : ['bad']), ...common(config)],
    ...(what === 'status' ? [] : ['--timeout', '60']),
    ...more,
  ];
  const target = {
    env,
    importArgs,
    manageArgs,
    import: (tag: string, ...more: string[]): Promise<PortolanEnded> => portolan(importArgs(tag, more), { env }),
    /** rollback, remove or status. */
    manage: (what: string, ...more: string[]): Promise<PortolanEnded> => portolan(manageArgs(what, more), { env }),
    start: (args: readonly string[]): PortolanRunning => startPortolan(args, { env }),
    sql: (statement: string): Promise<string> => query(statement),
    /** Nothing of the bundle, its data and Portolan's memory of it; the database is new. */
    async forget(): Promise<void> {
      const gone = ['delete', 'namespace', RELEASES_NAMESPACE, STATE_NAMESPACE, '--ignore-not-found', '--wait'];
      await Promise.all([
        kubectl(gone),
        kubectl(['delete', 'job', '--namespace', DATABASE_NAMESPACE, '--all', '--wait']),
        query('drop schema if exists portolan cascade; drop schema public cascade; create schema public'),
      ]);
    },
    /** What a person finds, without anything that may differ from run to run. */
    endState: () => endState(target),
  };
  return target;
}

export type BadDaysTarget = ReturnType<typeof createBadDaysTarget>;

async function endState(target: BadDaysTarget) {
  const status = await target.manage('status');
  const bundles = (status.result?.bundles ?? []) as {
    applied?: { version: string; deferred: string[] };
    former?: { version: string };
    running?: unknown;
    charts: { release: string; status?: string; asImported?: boolean }[];
  }[];
  const helm = JSON.parse(await succeed('helm', ['list', '--namespace', RELEASES_NAMESPACE, '--output', 'json'])) as {
    name: string;
    status: string;
  }[];
  const running = await deployments();
  const map = await run('kubectl', [
    ...['get', 'configmap', '--namespace', RELEASES_NAMESPACE, 'bad-configuration'],
    ...['-o', 'jsonpath={.data.site\\.json}'],
  ]);
  const ledger = await query(
    "select string_agg(module || '/' || name || ' ' || state, ', ' order by number) from portolan.migrations",
  ).catch(() => '');
  const marks = await query("select string_agg(name, ' ' order by name) from marks").catch(() => '');
  const jobs = await migrationPods();
  return {
    bundles: bundles.map(({ applied, former, running: left, charts }) => ({
      applied: applied?.version,
      former: former?.version,
      running: left,
      deferred: applied?.deferred,
      charts: charts.map(({ release, status: helmStatus, asImported }) => `${release} ${helmStatus} ${asImported}`),
    })),
    helm: helm.map(({ name, status: word }) => `${name} ${word}`).sort(),
    running,
    document: map.stdout.trim(),
    ledger,
    marks,
    jobs,
  };
}

/** Jobs and Pods of migrations, once what is being removed is gone. */
async function migrationPods(): Promise<string> {
  const selector = ['--selector', 'app.kubernetes.io/name=portolan', '-o', 'name'];
  let left = '';
  for (let tries = 0; tries < GONE_TRIES; tries += 1) {
    left = (await kubectl(['get', 'jobs,pods', '--namespace', DATABASE_NAMESPACE, ...selector])).trim();
    if (left === '') break;
    await sleep(250);
  }
  return left;
}

/** Version and ready replicas of what runs. */
async function deployments(): Promise<string[]> {
  const text = await kubectl(['get', 'deployments', '--namespace', RELEASES_NAMESPACE, '-o', 'json']);
  const { items } = JSON.parse(text) as {
    items: {
      metadata: { name: string };
      spec: { template: { metadata: { labels: Record<string, string> } } };
      status: { readyReplicas?: number; updatedReplicas?: number };
    }[];
  };
  return items
    .map(({ metadata, spec, status }) => {
      const ready = `${status.updatedReplicas ?? 0}/${status.readyReplicas ?? 0}`;
      return `${metadata.name} ${spec.template.metadata.labels.version} ${ready}`;
    })
    .sort();
}

async function query(statement: string): Promise<string> {
  const pod = ['exec', '--namespace', DATABASE_NAMESPACE, 'db', '--', 'psql', '-U', 'postgres', '-d', 'bad'];
  return (await kubectl([...pod, '-v', 'ON_ERROR_STOP=1', '-AXtqc', statement])).trim();
}

/** A database that only the cluster reaches; its password is planted. */
export async function raiseDatabase(): Promise<void> {
  await succeed(join(CHECKOUT, 'scripts', 'cluster'), ['images', 'postgres']);
  await kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: databaseObjects() }));
  for (let tries = 0; tries < READY_TRIES; tries += 1) {
    if ((await query('select 1').catch(() => '')) === '1') return;
    await sleep(250);
  }
  throw new Error('the database did not get ready');
}

export async function removeDatabase(): Promise<void> {
  const namespaces = [DATABASE_NAMESPACE, RELEASES_NAMESPACE, STATE_NAMESPACE];
  await run('kubectl', ['delete', 'namespace', ...namespaces, '--ignore-not-found', '--wait=false']);
}

function databaseObjects(): unknown[] {
  const namespace = DATABASE_NAMESPACE;
  const mount = (name: string, mountPath: string) => ({ name, mountPath });
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'auth', namespace },
      stringData: { password: DATABASE_PASSWORD },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'db', namespace },
      spec: { selector: { app: 'db' }, ports: [{ port: 5432 }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'db', namespace, labels: { app: 'db' } },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        securityContext: { runAsNonRoot: true, runAsUser: 999, fsGroup: 999 },
        containers: [
          {
            name: 'postgresql',
            image: 'portolan.local/cms/postgres:1.0.0',
            args: ['postgres', '-c', 'fsync=off'],
            env: [
              { name: 'POSTGRES_DB', value: 'bad' },
              { name: 'POSTGRES_PASSWORD_FILE', value: '/auth/password' },
              { name: 'PGDATA', value: '/data/pgdata' },
            ],
            volumeMounts: [
              mount('auth', '/auth'),
              mount('data', '/data'),
              mount('run', '/var/run/postgresql'),
              mount('tmp', '/tmp'),
            ],
          },
        ],
        volumes: [
          { name: 'auth', secret: { secretName: 'auth', defaultMode: 0o440 } },
          ...['data', 'run', 'tmp'].map((name) => ({ name, emptyDir: {} })),
        ],
      },
    },
  ];
}

/** A folder for the closed side. */
export async function closedHome(root: string): Promise<string> {
  const home = join(root, 'home');
  await mkdir(join(home, 'state'), { recursive: true });
  return home;
}
