/** Migrations through a Pod of the agent's image, against a PostgreSQL that only the cluster reaches. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openKubernetes } from '../../src/adapters/kubernetes/open-kubernetes.ts';
import type { Kubernetes } from '../../src/ports/kubernetes.ts';
import { applyMigrationsInCluster, readLedgerInCluster } from '../../src/usecases/migrate/cluster.ts';
import type { ClusterRunOptions, ClusterTarget } from '../../src/usecases/migrate/run-in-cluster.ts';
import type { MigrationEvent, MigrationModule, MigrationRequest } from '../../src/usecases/migrate/types.ts';
import { raiseClusterDatabase } from '../support/cluster-database.ts';
import { clusterKubeconfig } from '../support/cluster-kubeconfig.ts';
import { moduleOf, release } from '../support/migration-modules.ts';
import { ensureOnNode } from '../support/node-image.ts';
import { raised } from '../support/raised.ts';

const { version } = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../package.json'), 'utf8')) as {
  version: string;
};
const namespace = `portolan-test-${randomBytes(4).toString('hex')}`;
const PASSWORD = randomBytes(12).toString('hex');
/** By then a node has said what is wrong. */
const START_TIMEOUT_MS = 12_000;
let kubernetes: Kubernetes;
let target: ClusterTarget;

beforeAll(async () => {
  await ensureOnNode('portolan', `portolan.local/portolan:${version}`);
  kubernetes = await openKubernetes(
    { kind: 'kubeconfig', paths: [clusterKubeconfig()] },
    { environment: {}, now: Date.now },
  );
  // Whatever runs there has to bear the strictest rules.
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  await kubernetes.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } });
  await raiseClusterDatabase({ namespace, password: PASSWORD, name: 'cms' });
});
afterAll(async () => {
  await kubernetes?.delete({ apiVersion: 'v1', kind: 'Namespace', name: namespace });
  await kubernetes?.close();
});
beforeEach(() => {
  target = {
    image: `portolan.local/portolan:${version}`,
    database: {
      namespace,
      host: 'db',
      port: 5432,
      name: 'cms',
      user: 'postgres',
      password: { secret: 'auth', key: 'password' },
      sslMode: 'disable',
    },
  };
});

let modules = 0;
/** A module that no other test has: all of them share one ledger. */
function fresh(files: (name: string) => Record<string, string>): MigrationModule {
  modules += 1;
  return moduleOf(`m${modules}`, files(`m${modules}`));
}

const up = (
  module: MigrationModule,
  rest: Partial<MigrationRequest> = {},
  options: ClusterRunOptions = {},
  api = kubernetes,
) => applyMigrationsInCluster({ modules: [module], mode: 'expand', ...rest }, target, { kubernetes: api }, options);

/** What is left of runs in the namespace, once the garbage collector came by. */
async function leftovers(): Promise<number> {
  const kinds = [
    ['batch/v1', 'Job'],
    ['v1', 'ConfigMap'],
    ['v1', 'Pod'],
  ] as const;
  const selector = { namespace, labelSelector: 'app.kubernetes.io/component=migration' };
  const lists = await Promise.all(
    kinds.map(([apiVersion, kind]) => kubernetes.list({ apiVersion, kind, ...selector })),
  );
  return lists.flat().length;
}

test('an import runs, says what it does, and leaves nothing behind', async () => {
  const events: MigrationEvent[] = [];
  const module = fresh((name) => ({
    '1_a.sql': `create table ${name} (id int); do $$ begin raise notice 'hello'; end $$;`,
    '2_c.contract.sql': `drop table ${name};`,
    '3_i.sql': `-- portolan: no-transaction\ncreate index concurrently ${name}_id on ${name} (id);`,
  }));
  const imported = (sequence: number, completedSequence: number) =>
    up(
      module,
      { mode: 'import', bundle: release(sequence), completedSequence },
      { onEvent: (event) => events.push(event) },
    );
  const first = await imported(1, 0);
  expect(first.applied.map(({ file }) => file)).toEqual(['1_a.sql', '3_i.sql']);
  expect(first.deferred.map(({ file }) => file)).toEqual(['2_c.contract.sql']);
  expect(events.map(({ kind }) => kind)).toEqual(['started', 'notice', 'applied', 'deferred', 'started', 'applied']);
  const again = await imported(1, 1);
  expect(again).toMatchObject({ applied: [], skipped: 2 });
  expect((await imported(2, 1)).applied.map(({ file }) => file)).toEqual(['2_c.contract.sql']);
  const ledger = await readLedgerInCluster(target, { kubernetes });
  expect(ledger.filter((entry) => entry.module === module.name)).toMatchObject([
    { number: 1n, state: 'applied', seenIn: release(1) },
    { number: 2n, state: 'applied', kind: 'contract', seenIn: release(1), appliedIn: release(2) },
    { number: 3n, state: 'applied' },
  ]);
  await until(async () => (await leftovers()) === 0);
});

test('modules larger than one ConfigMap', async () => {
  const module = fresh((name) => ({
    '1_a.sql': `create table ${name} (text text);`,
    '2_big.sql': `insert into ${name} values ('${randomBytes(2_000_000).toString('base64')}');`,
  }));
  expect((await up(module)).applied).toHaveLength(2);
});

test('what fails in the Pod fails here: code, file, line, words of the server', async () => {
  const module = fresh((name) => ({ '1_a.sql': `create table ${name} ();\nselect wrong;` }));
  expect(await raised(() => up(module))).toMatchObject({
    name: 'UseCaseError',
    code: 'MIGRATION_FAILED',
    at: { file: `${module.name}/1_a.sql`, line: 2, column: 8 },
    found: expect.stringMatching(/^42703/),
  });
  const several = moduleOf(module.name, { '1_a.sql': 'begin;', '2_b.sql': 'commit;' });
  const error = await raised(() => up(several));
  expect([error, ...error.others].map(({ code }) => code)).toEqual(['SCRIPT_INVALID', 'SCRIPT_INVALID']);
  target = { ...target, database: { ...target.database, name: 'absent' } };
  expect(await raised(() => up(fresh(() => ({ '1_a.sql': 'select 1' }))))).toMatchObject({
    code: 'DATABASE_UNAUTHORIZED',
  });
});

describe('an importer that is gone', () => {
  /** The API server for an importer that is killed at its `last`-th call. */
  function dying(last: number): Kubernetes {
    let calls = 0;
    return new Proxy(kubernetes, {
      get(whole, key) {
        const member = Reflect.get(whole, key) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => {
          calls += 1;
          if (calls > last) throw new Error('killed');
          return Reflect.apply(member, whole, args);
        };
      },
    });
  }

  test('at any call to the API: the next one finds its Job, and everything is there once', async () => {
    for (let last = 0; last < 12; last += 1) {
      const module = fresh((name) => ({ '1_a.sql': `create table ${name} (); select pg_sleep(1);` }));
      const dead = await up(module, {}, {}, dying(last)).then(
        () => 'done',
        (cause: Error) => cause.message,
      );
      const jobs = await kubernetes.list({ apiVersion: 'batch/v1', kind: 'Job', namespace });
      const report = await up(module);
      expect({ last, files: report.applied.length + report.skipped }).toEqual({ last, files: 1 });
      if (dead === 'done') break;
      expect(jobs.length).toBeLessThanOrEqual(1);
    }
    await until(async () => (await leftovers()) === 0);
  });

  test('a Job that still runs is waited for, not begun again', async () => {
    const module = fresh((name) => ({ '1_a.sql': `create table ${name} (); select pg_sleep(8);` }));
    await up(module, {}, {}, dying(6)).catch(() => {});
    const [job] = await kubernetes.list({ apiVersion: 'batch/v1', kind: 'Job', namespace });

    const watching = up(module, {}, { onEvent: () => {} });
    await sleep(3000);
    const uid = (await kubernetes.list({ apiVersion: 'batch/v1', kind: 'Job', namespace }))[0]?.metadata.uid;
    expect((await watching).applied).toHaveLength(1);
    expect(uid).toBe(job?.metadata.uid);
  });
});

test('interrupted: the Job goes, the statement is rolled back, and the next run does it', async () => {
  const abort = new AbortController();
  const module = fresh((name) => ({ '1_a.sql': `create table ${name} (); select pg_sleep(600);` }));
  const running = up(
    module,
    {},
    {
      signal: abort.signal,
      onEvent: ({ kind }) => {
        if (kind === 'started') abort.abort(new Error('stopped'));
      },
    },
  );
  await expect(running).rejects.toThrow('stopped');
  await until(async () => (await leftovers()) === 0);
  const shorter = moduleOf(module.name, { '1_a.sql': `create table ${module.name} ();` });
  expect((await up(shorter)).applied).toHaveLength(1);
});

describe('Pods that do not do it', () => {
  const simple = () => fresh(() => ({ '1_a.sql': 'select 1' }));

  test('an image that is not there', async () => {
    target = { ...target, image: 'nowhere.invalid/portolan:1' };
    const error = await raised(() => up(simple(), {}, { startTimeoutMs: START_TIMEOUT_MS }));
    expect(error.code).toBe('MIGRATION_POD_NOT_STARTED');
    expect(error.found).toMatch(/Image/);
  });

  test('a Secret that is not there', async () => {
    target = { ...target, database: { ...target.database, password: { secret: 'absent', key: 'password' } } };
    const error = await raised(() => up(simple(), {}, { startTimeoutMs: START_TIMEOUT_MS }));
    expect(error).toMatchObject({ code: 'MIGRATION_POD_NOT_STARTED', found: expect.stringContaining('absent') });
  });

  test('one that is taken away while it works', async () => {
    const module = fresh((name) => ({ '1_a.sql': `create table ${name} (); select pg_sleep(600);` }));
    const taken = raised(() =>
      up(
        module,
        {},
        {
          onEvent: async ({ kind }) => {
            if (kind !== 'started') return;
            const labelSelector = 'app.kubernetes.io/component=migration';
            const [pod] = await kubernetes.list({ apiVersion: 'v1', kind: 'Pod', namespace, labelSelector });
            await kubernetes.delete({ apiVersion: 'v1', kind: 'Pod', namespace, name: pod?.metadata.name ?? '' });
          },
        },
      ),
    );
    expect((await taken).code).toBe('MIGRATION_POD_FAILED');
  });

  test('one that takes too long', async () => {
    const module = fresh((name) => ({ '1_a.sql': `create table ${name} (); select pg_sleep(600);` }));
    expect((await raised(() => up(module, {}, { timeoutMs: 8000 }))).code).toBe('MIGRATION_POD_TIMEOUT');
    await until(async () => (await leftovers()) === 0);
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 240; tries += 1) {
    if (await condition()) return;
    await sleep(500);
  }
  throw new Error('it did not come to that');
}
