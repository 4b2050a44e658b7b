/**
 * Bad days of an import into a cluster: charts that never get ready, migrations that fail, parts of the node that die or hang in
 * the middle, wrong clocks, foreign bundles. After each: what is said, what runs on, and that the next run converges.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ApiProxy } from '../support/api-proxy.ts';
import {
  AGENT_IMAGE,
  BALLAST_IMAGE,
  DATABASE_NAMESPACE,
  DATABASE_PASSWORD,
  RELEASES_NAMESPACE,
  SECOND_FILES,
  STATE_NAMESPACE,
} from '../support/bad-days-project.ts';
import { type BadDaysTarget, raiseBadDays } from '../support/bad-days-target.ts';
import { kubectl, onPart, useCluster } from '../support/cluster.ts';
import { CMS_KEYS } from '../support/cms-stick.ts';
import { CHECKOUT, resultOf } from '../support/importer.ts';
import { type SecretWatch, watchForSecrets } from '../support/planted-secrets.ts';
import { goOn, killHard, type PortolanEnded, type PortolanRunning, run, waitUntilStopped } from '../support/program.ts';

const WORDS = 'words-of-the-pod';
/** Starts, says something and ends. */
const NEVER_READY = `apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }} }
spec:
  selector: { matchLabels: { app: {{ .Release.Name }} } }
  template:
    metadata: { labels: { app: {{ .Release.Name }}, version: {{ .Values.version | quote }} } }
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      containers:
        - name: app
          image: ${AGENT_IMAGE}
          imagePullPolicy: IfNotPresent
          args: [help, ${WORDS}]
          # Without it, it would be ready in the moment before it ends.
          readinessProbe: { exec: { command: [/never] } }
`;
const HALF = "insert into marks (name) values ('half');\nselect 1 / 0;\n";
const SLOW = "select pg_sleep(4);\ninsert into marks (name) values ('0004');\n";

let bad: Awaited<ReturnType<typeof raiseBadDays>>;
let proxy: ApiProxy;
let target: BadDaysTarget;
let watch: SecretWatch;
beforeAll(async () => {
  bad = await raiseBadDays([
    { version: '1.0.0', sequence: 1 },
    { version: '1.1.0', sequence: 2, extra: true, files: { 'charts/app/templates/deployment.yaml': NEVER_READY } },
    { version: '1.2.0', sequence: 3, files: { 'migrations/core/0004_more.sql': HALF } },
    { version: '1.3.0', sequence: 4, ballast: true, files: SECOND_FILES },
    { version: '1.4.0', sequence: 5, files: { 'migrations/core/0004_more.sql': SLOW } },
    { version: '2.0.0', sequence: 9, foreign: true },
  ]);
  ({ proxy, target } = bad);
  const identity = /AGE-SECRET-KEY-\S+/.exec(await readFile(CMS_KEYS.identity, 'utf8'))?.[0] ?? '';
  watch = watchForSecrets({ password: DATABASE_PASSWORD, identity });
});
afterAll(async () => {
  await run('ctr', ['images', 'rm', BALLAST_IMAGE]);
  await watch?.end();
  await bad?.dispose();
});
beforeEach(() => proxy.begin());

function heard(ended: PortolanEnded): PortolanEnded {
  watch.add('an output', ended.stdout + ended.stderr);
  return ended;
}

async function expectImport(tag: string, ...more: string[]): Promise<PortolanEnded> {
  const ended = heard(await target.import(tag, ...more));
  expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: 0 });
  return ended;
}

async function expectRefusal(ended: PortolanEnded, status: number, code: string): Promise<void> {
  expect(heard(ended), ended.stdout + ended.stderr).toMatchObject({ status, error: { code }, result: undefined });
}

/** Starts an import; once it makes a write that fits, something happens to the node. */
async function importWhile(
  tag: string,
  fits: RegExp,
  act: (running: PortolanRunning) => Promise<void>,
  more: readonly string[] = [],
) {
  let running: PortolanRunning | undefined;
  let acting: Promise<void> | undefined;
  proxy.begin(({ method, path }, when) => {
    if (when === 'after' && acting === undefined && fits.test(`${method} ${path}`))
      acting = act(running as PortolanRunning);
    return false;
  });
  running = target.start(target.importArgs(tag, more));
  const ended = heard(await running.ended);
  expect(acting, 'the write was not made').toBeDefined();
  await acting;
  proxy.begin();
  return ended;
}

const STATE_WRITE = /PATCH .*\/portolan\.bundle\.bad/;
const HELM_WRITE = /POST .*\/portolan-bad-days\/secrets/;
const JOB_WRITE = /POST .*\/jobs/;

/** Whatever the run came to, it says what is wrong, and the next one ends well. */
async function expectConverges(ended: PortolanEnded, tag: string): Promise<void> {
  if (ended.status !== 0) {
    expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: 1, error: { hint: expect.any(String) } });
    expect(ended.error?.code).not.toBe('INTERNAL');
    await expectImport(tag);
  }
  const { bundles, helm, jobs } = await target.endState();
  expect(bundles).toMatchObject([{ applied: tag.slice('bad-'.length), running: undefined }]);
  expect(new Set(bundles[0]?.charts.map((line) => line.split(' ').slice(1).join(' ')))).toEqual(
    new Set(['deployed true']),
  );
  expect(helm).toEqual(['bad-app deployed', 'bad-data deployed']);
  expect(jobs).toBe('');
}

/** Where events and logs of a release that failed were saved, as the error says. */
function failureFolder({ error }: PortolanEnded): string {
  const at = error?.at as { readonly file?: string } | undefined;
  return at?.file ?? '';
}

/** Every file below a folder, one after the other. */
async function textBelow(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((path) => readFile(path, 'utf8')))).join('\n');
}

describe('a chart that never gets ready', { shuffle: false }, () => {
  test('at the first installation: uninstalled again, the Pods have their say, and a removal leaves nothing', async () => {
    await target.forget();
    const ended = await target.import('bad-1.1.0', '--timeout', '10');
    await expectRefusal(ended, 1, 'RELEASE_FAILED');
    expect(ended.stdout).toMatch(/Pod portolan-bad-days\/bad-app-\S+ container app: /);
    const folder = failureFolder(ended);
    expect(await textBelow(folder)).toContain(WORDS);
    await watch.addFolder(folder);
    const state = await target.endState();
    expect(state.helm).toEqual(['bad-data deployed']);
    expect(state.bundles).toMatchObject([{ applied: undefined, running: { what: 'import', version: '1.1.0' } }]);
    const rolled = heard(await target.manage('rollback'));
    expect(rolled.error?.code).toBe('NOTHING_TO_ROLL_BACK');
    expect(heard(await target.manage('remove')).status).toBe(0);
    expect(await target.endState()).toMatchObject({ helm: [], document: '', bundles: [{ running: undefined }] });
  });

  test('at an upgrade: the release before runs on, and a rollback undoes what was begun', async () => {
    await target.forget();
    await expectImport('bad-1.0.0');
    const before = await target.endState();
    const pod = [
      'get',
      'pods',
      '--namespace',
      RELEASES_NAMESPACE,
      '--selector',
      'app=bad-app,version=1.0.0',
      '-o',
      'name',
    ];
    const pods = await kubectl(pod);
    await expectRefusal(await target.import('bad-1.1.0', '--timeout', '10'), 1, 'RELEASE_FAILED');
    expect(await kubectl(pod)).toBe(pods);
    expect((await target.endState()).bundles).toMatchObject([
      { applied: '1.0.0', running: { version: '1.1.0' }, charts: ['bad-data deployed false', 'bad-app deployed true'] },
    ]);
    const rolled = heard(await target.manage('rollback'));
    expect(rolled.result, rolled.stdout).toMatchObject({ from: { version: '1.1.0' }, to: { version: '1.0.0' } });
    const after = await target.endState();
    // What the schema got stays; the contract file that waited was due.
    const { ledger: _ledger, marks: _marks, bundles: _bundles, ...same } = before;
    expect(after).toMatchObject(same);
    expect(after.bundles).toMatchObject([{ applied: '1.0.0', former: undefined, running: undefined, deferred: [] }]);
    expect(await kubectl(pod)).toBe(pods);
  });
});

/** Whether a program or anything that it started still runs. */
function isGroupAlive(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('an importer that is killed alone leaves a helm that waits: it does not spoil what the next run does', async () => {
  await target.forget();
  await expectImport('bad-1.0.0');
  let importer = 0;
  const ended = await importWhile(
    'bad-1.1.0',
    /PATCH .*\/deployments\/bad-app/,
    async ({ child }) => {
      importer = child.pid as number;
      process.kill(importer, 'SIGKILL');
    },
    ['--timeout', '15'],
  );
  expect(ended.signal).toBe('SIGKILL');
  expect(isGroupAlive(importer)).toBe(true);
  await expectConverges(await expectImport('bad-1.3.0'), 'bad-1.3.0');
  // Until that helm has given up.
  for (let tries = 0; tries < 300 && isGroupAlive(importer); tries += 1) await sleep(100);
  expect(isGroupAlive(importer)).toBe(false);
  await expectConverges(heard(await target.import('bad-1.3.0')), 'bad-1.3.0');
});

describe('a migration that fails half-way', { shuffle: false }, () => {
  test('leaves the app charts and the ledger as they were, and the mended bundle goes through', async () => {
    await target.forget();
    await expectImport('bad-1.0.0');
    const pod = ['get', 'pods', '--namespace', RELEASES_NAMESPACE, '--selector', 'app=bad-app', '-o', 'name'];
    const pods = await kubectl(pod);
    await expectRefusal(await target.import('bad-1.2.0'), 1, 'MIGRATION_FAILED');
    const state = await target.endState();
    expect(await kubectl(pod)).toBe(pods);
    expect(state).toMatchObject({
      marks: '0001 0002 0003',
      jobs: '',
      bundles: [{ applied: '1.0.0', running: { version: '1.2.0' } }],
    });
    expect(state.ledger).toBe(
      'core/0001_marks.sql applied, core/0002_notes.sql applied, core/0003_old.contract.sql applied',
    );
    await expectImport('bad-1.3.0');
    expect(await target.endState()).toMatchObject({
      marks: '0001 0002 0003 0004',
      running: ['bad-app 1.3.0 1/1', 'bad-data 1.3.0 1/1'],
      bundles: [{ applied: '1.3.0', former: '1.0.0', running: undefined, deferred: ['core/0005_less.contract.sql'] }],
    });
  });
});

describe('a part of the node in the middle', { shuffle: false }, () => {
  const withoutBallast = async () => {
    await target.forget();
    await run('ctr', ['images', 'rm', '--sync', BALLAST_IMAGE]);
  };

  test('containerd dies while images are sent', async () => {
    await withoutBallast();
    const ended = await importWhile('bad-1.3.0', STATE_WRITE, () => onPart('restart', 'containerd'));
    await expectConverges(ended, 'bad-1.3.0');
  });

  test('containerd hangs for a while', async () => {
    await withoutBallast();
    const ended = await importWhile('bad-1.3.0', STATE_WRITE, async () => {
      await onPart('pause', 'containerd');
      await sleep(4000);
      await onPart('resume', 'containerd');
    });
    await expectConverges(ended, 'bad-1.3.0');
  });

  test('the API server dies and comes back', async () => {
    await withoutBallast();
    const ended = await importWhile('bad-1.3.0', HELM_WRITE, async () => {
      await onPart('kill', 'apiserver');
      await sleep(1000);
      await onPart('start', 'apiserver');
    });
    await expectConverges(ended, 'bad-1.3.0');
  });

  test('the API server hangs for a while', async () => {
    await target.forget();
    const ended = await importWhile('bad-1.3.0', HELM_WRITE, async () => {
      await onPart('pause', 'apiserver');
      await sleep(6000);
      await onPart('resume', 'apiserver');
    });
    await expectConverges(ended, 'bad-1.3.0');
  });

  test('the database crashes under a migration', async () => {
    await target.forget();
    const ended = await importWhile('bad-1.4.0', JOB_WRITE, async () => {
      const backend = "select pid from pg_stat_activity where query like '%pg_sleep(4)%' and pid <> pg_backend_pid()";
      let pid = '';
      while (pid === '') {
        await sleep(100);
        pid = await target.sql(backend).catch(() => '');
      }
      await kubectl(['exec', '--namespace', DATABASE_NAMESPACE, 'db', '--', 'sh', '-c', `kill -9 ${pid}`]);
    });
    await expectConverges(ended, 'bad-1.4.0');
    expect(await target.sql("select string_agg(name, ' ' order by name) from marks")).toBe('0001 0002 0004');
  });
});

describe('two at once', () => {
  test('the second says who holds the target; Ctrl-C ends the first with 130; the next run converges', async () => {
    await target.forget();
    let second: PortolanEnded | undefined;
    const first = await importWhile('bad-1.0.0', HELM_WRITE, async (running) => {
      process.kill(running.child.pid as number, 'SIGSTOP');
      await waitUntilStopped(running);
      second = heard(await target.import('bad-1.0.0', '--wait-lock', '0'));
      process.kill(running.child.pid as number, 'SIGINT');
      goOn(running);
    });
    expect(second, second?.stdout).toMatchObject({ status: 1, error: { code: 'TARGET_LOCKED' } });
    expect(first, first.stdout + first.stderr).toMatchObject({ status: 130, result: undefined });
    await expectConverges(await expectImport('bad-1.0.0'), 'bad-1.0.0');
  });

  test('who waits for a holder that is killed goes on', async () => {
    await target.forget();
    let second: PortolanRunning | undefined;
    await importWhile('bad-1.0.0', HELM_WRITE, async (running) => {
      process.kill(running.child.pid as number, 'SIGSTOP');
      await waitUntilStopped(running);
      second = target.start(target.importArgs('bad-1.0.0', ['--wait-lock', '120']));
      await new Promise<void>((resolve) => {
        let said = '';
        second?.child.stdout?.on('data', (part: string) => {
          said += part;
          if (said.includes('waiting for')) resolve();
        });
      });
      killHard(running);
    });
    const ended = heard((await second?.ended) as PortolanEnded);
    await expectConverges(ended, 'bad-1.0.0');
    expect(ended.status).toBe(0);
  });
});

describe('another one', () => {
  test("another platform's bundle is refused for the node's containerd and for its Pods; nothing is changed", async () => {
    await target.forgetNamespaces();
    const ended = heard(await target.import('bad-2.0.0'));
    expect(ended.status).not.toBe(0);
    const codes = [ended.error, ...((ended.error?.others ?? []) as { code: string }[])].map((error) => error?.code);
    expect(
      codes.filter((code) => code === 'PLATFORM_NOT_CARRIED'),
      ended.stdout,
    ).toHaveLength(2);
    expect((await run('kubectl', ['get', 'namespace', RELEASES_NAMESPACE, STATE_NAMESPACE])).status).not.toBe(0);
    const imagesOnly = heard(await target.import('bad-2.0.0', '--only', 'images'));
    expect(imagesOnly.error?.code).toBe('PLATFORM_NOT_CARRIED');
  });

  test.each(['-12y', '+12y'])('a clock that is years wrong (%s) is what the error names', async (wrong) => {
    const args = target.importArgs('bad-1.0.0', [], useCluster().kubeconfig);
    const program = [join(CHECKOUT, 'scripts', 'portolan'), ...args];
    const ended = await resultOf('faketime', ['-f', wrong, ...program], { env: target.env });
    expect(ended.status, ended.stdout + ended.stderr).not.toBe(0);
    expect(JSON.stringify(ended.last)).toContain('KUBERNETES_UNTRUSTED');
    expect(JSON.stringify(ended.last)).toMatch(/the clock of this machine says/);
  });
});

describe('secrets', { shuffle: false }, () => {
  test('stand in no output, no argument, and nothing that is left behind', async () => {
    await target.forget();
    await expectImport('bad-1.0.0');
    const failed = await target.import('bad-1.1.0', '--timeout', '8');
    await expectRefusal(failed, 1, 'RELEASE_FAILED');
    await watch.addFolder(failureFolder(failed));
    heard(await target.manage('status'));
    await watch.addFolder(bad.home);
    expect(await watch.end()).toEqual([]);
  });
});
