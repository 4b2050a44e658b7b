import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiProxy, startApiProxy } from './api-proxy.ts';
import {
  BAD_DAYS_KEYS,
  createBadDaysPublisher,
  DATABASE_NAMESPACE,
  DATABASE_PASSWORD,
  RELEASES_NAMESPACE,
  type SmallRelease,
  STATE_NAMESPACE,
} from './bad-days-project.ts';
import { kubectl, useCluster } from './cluster.ts';
import { raiseClusterDatabase } from './cluster-database.ts';
import { type PortolanEnded, type PortolanRunning, portolan, run, startPortolan, succeed } from './program.ts';

const GONE_TRIES = 80;
const DELETE_TRIES = 6;
const NAMESPACES = [DATABASE_NAMESPACE, RELEASES_NAMESPACE, STATE_NAMESPACE];

/** Publisher, stick, database, and a closed side whose calls to the cluster go through a proxy. */
export async function raiseBadDays(releases: readonly SmallRelease[]) {
  const root = await mkdtemp(join(tmpdir(), 'portolan-bad-days-'));
  const stick = join(root, 'stick');
  const home = join(root, 'home');
  let proxy: ApiProxy | undefined;
  async function dispose(): Promise<void> {
    await proxy?.close();
    await run('kubectl', ['delete', 'namespace', ...NAMESPACES, '--ignore-not-found', '--wait=false']);
    await rm(root, { recursive: true, force: true });
  }
  try {
    const publisher = await createBadDaysPublisher(root);
    await mkdir(join(home, 'state'), { recursive: true });
    for (const release of releases) await publisher.release(release, stick);
    await raiseDatabase();
    proxy = await startApiProxy(useCluster().kubeconfig, root);
  } catch (cause) {
    await dispose();
    throw cause;
  }
  return { home, proxy, target: createBadDaysTarget({ stick, home, kubeconfig: proxy.kubeconfig }), dispose };
}

interface TargetSettings {
  readonly stick: string;
  /** A home of the closed side's own: what it keeps, and where failures are saved. */
  readonly home: string;
  readonly kubeconfig: string;
}

/** The closed side of the bundle of bad-days-project.ts: cluster, database, and the command line that works on them. */
function createBadDaysTarget({ stick, home, kubeconfig }: TargetSettings) {
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
    /** Nothing of the bundle, its data and Portolan's memory of it, but for its namespaces; the database is new. */
    async forget(): Promise<void> {
      await Promise.all([
        deleteAll(RELEASES_NAMESPACE, 'deployments,configmaps,secrets'),
        deleteAll(STATE_NAMESPACE, 'configmaps,secrets,leases'),
        deleteAll(DATABASE_NAMESPACE, 'jobs'),
        query('drop schema if exists portolan cascade; drop schema public cascade; create schema public'),
      ]);
    },
    /** The same with the namespaces, which takes the cluster several seconds more. */
    async forgetNamespaces(): Promise<void> {
      await target.forget();
      await kubectl(['delete', 'namespace', RELEASES_NAMESPACE, STATE_NAMESPACE, '--ignore-not-found', '--wait']);
    },
    /** What a person finds, without anything that may differ from run to run. */
    endState: () => endState(target),
  };
  return target;
}

/**
 * Deletes all of these, with what belongs to them. On a busy node the garbage collector may miss that the last Pod of an object is
 * gone: it looks again when the object is deleted once more.
 */
async function deleteAll(namespace: string, kinds: string): Promise<void> {
  const all = ['delete', kinds, '--namespace', namespace, '--all', '--cascade=foreground', '--wait', '--timeout=20s'];
  for (let tries = 1; tries < DELETE_TRIES; tries += 1) if ((await run('kubectl', all)).status === 0) return;
  await kubectl(all);
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

/** A database that only the cluster reaches, instead of whatever other tests have left; its password is planted. */
async function raiseDatabase(): Promise<void> {
  await kubectl(['delete', 'namespace', ...NAMESPACES, '--ignore-not-found', '--wait']);
  await kubectl(['create', 'namespace', DATABASE_NAMESPACE]);
  await raiseClusterDatabase({ namespace: DATABASE_NAMESPACE, password: DATABASE_PASSWORD, name: 'bad' });
}
