import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { kubectl } from '../support/cluster.ts';
import { imageOnNode } from '../support/node-image.ts';
import { succeed } from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { releasesFixture } from '../support/releases-fixture.ts';

type Fixture = Awaited<ReturnType<typeof releasesFixture>>;

const POD_PROGRAM = join(import.meta.dirname, '../support/pod-history.ts');

const color = (value: string) => ({
  'color.yaml': `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: color }\ndata: { color: ${value} }\n`,
});
/** Never gets ready: nobody has its image. */
const ABSENT = {
  'web.yaml': `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: 'nowhere.invalid/web:1', imagePullPolicy: Never }] }
`,
};
const SHELL_IMAGE = 'helm-releases.invalid/shell:1';
/** Says something and ends, again and again. */
const CRASHING = {
  'crash.yaml': `apiVersion: apps/v1
kind: Deployment
metadata: { name: crash }
spec:
  selector: { matchLabels: { app: crash } }
  template:
    metadata: { labels: { app: crash } }
    spec:
      containers:
        - name: crash
          image: ${SHELL_IMAGE}
          imagePullPolicy: Never
          command: [sh, -c, 'echo "my last words"; exit 7']
          # Without it, it would count as ready for a moment.
          readinessProbe: { exec: { command: ['false'] } }
`,
};
const claim = (volume: string) => ({
  'claim.yaml': `apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: files }
spec: { accessModes: [ReadWriteOnce], storageClassName: '', volumeName: ${volume}, resources: { requests: { storage: 1Mi } } }
`,
});

const colorOf = async (fixture: Fixture) =>
  ((await fixture.get('v1', 'ConfigMap', 'color'))?.data as Record<string, string> | undefined)?.color;

/** Waits for something that `work` brings about; what `work` throws before that ends the wait. */
async function until(holds: () => Promise<boolean>, work: Promise<unknown>): Promise<void> {
  let failure: { readonly cause: unknown } | undefined;
  work.catch((cause: unknown) => {
    failure = { cause };
  });
  while (!(await holds())) {
    if (failure !== undefined) throw failure.cause;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

describe('a release', () => {
  test('is installed, upgraded, read, rolled back and uninstalled', async () => {
    const fixture = await releasesFixture();
    const { releases, name } = fixture;
    expect(await releases.status(name)).toBeUndefined();
    expect(await releases.uninstall(name, 30_000)).toBe(false);
    const values = { deep: { secret: 'only in a file' } };
    const first = await fixture.upgrade(color('red'), { values, description: 'the first one' });
    expect(first).toMatchObject({ revision: 1, status: 'deployed', description: 'the first one', chart: 'site-0.1.0' });
    await fixture.upgrade(color('blue'), { description: 'the second one' });
    expect(await colorOf(fixture)).toBe('blue');
    expect(await releases.values(name, 1)).toEqual(values);
    expect(await releases.values(name)).toEqual({});
    expect(await releases.manifest(name, 1)).toContain('red');
    expect(await releases.rollback(name, 1, 60_000)).toMatchObject({
      revision: 3,
      status: 'deployed',
      description: 'the first one',
    });
    expect(await colorOf(fixture)).toBe('red');
    expect((await releases.history(name)).map(({ revision, status }) => `${revision} ${status}`)).toEqual([
      '1 superseded',
      '2 superseded',
      '3 deployed',
    ]);
    expect(await releases.uninstall(name, 60_000)).toBe(true);
    expect([await releases.status(name), await colorOf(fixture)]).toEqual([undefined, undefined]);
  });

  test('is read in a Pod by its service account, without a kubeconfig', async () => {
    const { namespace, folder, upgrade } = await releasesFixture();
    await upgrade(color('red'));
    const inNamespace = ['--namespace', namespace];
    await kubectl([...inNamespace, 'create', 'serviceaccount', 'reader']);
    const reader = `--serviceaccount=${namespace}:reader`;
    await kubectl([...inNamespace, 'create', 'rolebinding', 'reader', '--clusterrole=admin', reader]);
    // What the kubelet puts into a Pod.
    const view = await kubectl(['config', 'view', '--minify', '--raw', '--flatten', '--output', 'json']);
    const { cluster } = JSON.parse(view).clusters[0];
    await writeFile(join(folder, 'ca.crt'), Buffer.from(cluster['certificate-authority-data'], 'base64'));
    await writeFile(join(folder, 'token'), await kubectl([...inNamespace, 'create', 'token', 'reader']));
    const { hostname, port } = new URL(cluster.server);
    const env = { HOME: folder, KUBECONFIG: '', KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    const enter = `account=/run/secrets/kubernetes.io/serviceaccount
      mount -t tmpfs tmpfs /run && mkdir -p "$account" && cp "$0/ca.crt" "$0/token" "$account" && exec "$@"`;
    const command = ['bash', '-euc', enter, folder, process.execPath, POD_PROGRAM, namespace, folder];
    expect(JSON.parse(await succeed('unshare', ['--mount', ...command], { env }))).toMatchObject([
      { revision: 1, status: 'deployed' },
    ]);
  });

  test('takes back fields that somebody else wrote', async () => {
    const fixture = await releasesFixture();
    await fixture.upgrade(color('red'));
    const edited = await fixture.get('v1', 'ConfigMap', 'color');
    await fixture.kubernetes.replace({ ...(edited as NonNullable<typeof edited>), data: { color: 'pink' } });
    await fixture.upgrade(color('blue'));
    expect(await colorOf(fixture)).toBe('blue');
  });

  test('that helm refuses is left as it is', async () => {
    const fixture = await releasesFixture();
    await fixture.upgrade(color('red'));
    const foreign = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'foreign', namespace: fixture.namespace },
    };
    await fixture.kubernetes.create(foreign);
    const template = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: foreign }\n';
    const error = await raised(() => fixture.upgrade({ ...color('blue'), 'foreign.yaml': template }));
    expect([error.name, error.code]).toEqual(['AdapterError', 'RELEASE_REFUSED']);
    expect([await colorOf(fixture), (await fixture.releases.status(fixture.name))?.revision]).toEqual(['red', 1]);
    await expect(stat(fixture.failureFolder)).rejects.toThrow();
  });
});

describe('a release that does not get ready', () => {
  test('is rolled back, and its events and states were saved before', async () => {
    const fixture = await releasesFixture();
    await fixture.upgrade(color('red'), { description: 'good' });
    const error = await raised(() => fixture.upgrade({ ...color('blue'), ...ABSENT }, { timeoutMs: 8000 }));
    expect([error.name, error.code, error.at?.file]).toEqual(['AdapterError', 'RELEASE_FAILED', fixture.failureFolder]);
    expect(error.message).toMatch(/Pod \S+\/web-\S+/);
    expect(await colorOf(fixture)).toBe('red');
    expect(await fixture.get('apps/v1', 'Deployment', 'web')).toBeUndefined();
    expect(await fixture.releases.status(fixture.name)).toMatchObject({ status: 'deployed', description: 'good' });
    expect((await readdir(fixture.failureFolder)).sort()).toEqual(['events.txt', 'helm.txt', 'logs', 'pods.json']);
    expect((await stat(fixture.failureFolder)).mode & 0o777).toBe(0o700);
    expect(await readFile(join(fixture.failureFolder, 'events.txt'), 'utf8')).toContain('SuccessfulCreate');
    expect(JSON.parse(await readFile(join(fixture.failureFolder, 'pods.json'), 'utf8'))).toHaveLength(1);
  });

  test('the first time is uninstalled, and its volume stays for the next', async () => {
    const fixture = await releasesFixture();
    const volume = fixture.namespace;
    await fixture.kubernetes.create({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: volume },
      spec: { capacity: { storage: '1Mi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/nowhere' } },
    });
    onTestFinished(async () => {
      const { kubernetes } = await releasesFixture({ namespace: fixture.namespace, folder: fixture.folder });
      await kubernetes.delete({ apiVersion: 'v1', kind: 'PersistentVolume', name: volume });
    });
    const error = await raised(() =>
      fixture.upgrade({ ...color('red'), ...claim(volume), ...ABSENT }, { timeoutMs: 8000 }),
    );
    expect(error.code).toBe('RELEASE_FAILED');
    const said = [error, ...error.others].map(({ message, found }) => `${message} ${found ?? ''}`).join('\n');
    expect(await fixture.releases.status(fixture.name), said).toBeUndefined();
    expect([await colorOf(fixture), await fixture.get('apps/v1', 'Deployment', 'web')]).toEqual([undefined, undefined]);
    const kept = await fixture.get('v1', 'PersistentVolumeClaim', 'files');
    expect(kept?.metadata.deletionTimestamp).toBeUndefined();
    await fixture.upgrade({ ...color('red'), ...claim(volume) });
    expect((await fixture.get('v1', 'PersistentVolumeClaim', 'files'))?.metadata.uid).toBe(kept?.metadata.uid);
    await fixture.releases.uninstall(fixture.name, 60_000);
    expect((await fixture.get('v1', 'PersistentVolumeClaim', 'files'))?.metadata.uid).toBe(kept?.metadata.uid);
  });

  test("shows its Pods' last words, and keeps their logs", async () => {
    await imageOnNode(SHELL_IMAGE);
    const fixture = await releasesFixture();
    const error = await raised(() => fixture.upgrade(CRASHING, { timeoutMs: 10_000 }));
    expect(error.code).toBe('RELEASE_FAILED');
    const words = [error, ...error.others].map(({ message }) => message).join('\n');
    expect(words).toContain('my last words');
    expect(words).toContain('exit status 7');
    const logs = await readdir(join(fixture.failureFolder, 'logs'));
    expect(logs.length).toBeGreaterThan(0);
    expect(await readFile(join(fixture.failureFolder, 'logs', logs[0] as string), 'utf8')).toContain('my last words');
  });

  test('goes back even when its evidence cannot be written', async () => {
    const fixture = await releasesFixture();
    await fixture.upgrade(color('red'));
    // A file stands where the folder would be made.
    const failureFolder = join(await fixture.write(color('red')), 'Chart.yaml', 'failure');
    const error = await raised(() =>
      fixture.upgrade({ ...color('blue'), ...ABSENT }, { timeoutMs: 5000, failureFolder }),
    );
    expect([error.code, await colorOf(fixture)]).toEqual(['RELEASE_FAILED', 'red']);
    expect(error.others.map(({ code }) => code)).toContain('FILE_UNWRITABLE');
  });
});

describe('a run that was killed', () => {
  const PROGRAM = join(import.meta.dirname, '../support/killed-upgrade.ts');

  /** Starts an upgrade that would wait for long, and kills it with its helm once helm has written its revision down. */
  async function killUpgrade(fixture: Fixture, templates: Readonly<Record<string, string>>): Promise<void> {
    const chart = await fixture.write(templates);
    const child = spawn(process.execPath, [PROGRAM, fixture.namespace, fixture.folder, chart], {
      stdio: 'inherit',
      detached: true,
    });
    const closed = once(child, 'close');
    const tooSoon = closed.then(() => Promise.reject(new Error('the upgrade ended before it was killed')));
    await until(
      async () => (await fixture.releases.status(fixture.name))?.status.startsWith('pending-') === true,
      tooSoon,
    );
    await until(async () => (await fixture.get('apps/v1', 'Deployment', 'web')) !== undefined, tooSoon);
    process.kill(-(child.pid as number), 'SIGKILL');
    await closed;
    expect((await fixture.releases.status(fixture.name))?.status).toMatch(/^pending-/);
  }

  test('while installing and while upgrading is followed by one that comes to its end', async () => {
    const fixture = await releasesFixture();
    await killUpgrade(fixture, { ...color('red'), ...ABSENT });
    const before = await fixture.get('v1', 'ConfigMap', 'color');
    expect(await fixture.upgrade(color('red'))).toMatchObject({ revision: 1, status: 'deployed' });
    // Taken over, not made again.
    expect((await fixture.get('v1', 'ConfigMap', 'color'))?.metadata.uid).toBe(before?.metadata.uid);
    await killUpgrade(fixture, { ...color('blue'), ...ABSENT });
    expect(await fixture.upgrade(color('blue'))).toMatchObject({ revision: 2, status: 'deployed' });
    expect((await fixture.releases.history(fixture.name)).map(({ status }) => status)).toEqual([
      'superseded',
      'deployed',
    ]);
  });

  test('while uninstalling is followed by an installation', async () => {
    const fixture = await releasesFixture();
    const held = color('red')['color.yaml'].replace('name: color', 'name: color, finalizers: [example.com/held]');
    await fixture.upgrade({ 'color.yaml': held });
    const abort = new AbortController();
    const running = fixture.releases.uninstall(fixture.name, 120_000, { signal: abort.signal });
    await until(async () => (await fixture.releases.status(fixture.name))?.status === 'uninstalled', running);
    abort.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    const left = await fixture.get('v1', 'ConfigMap', 'color');
    const { finalizers: _, ...metadata } = (left as NonNullable<typeof left>).metadata;
    await fixture.kubernetes.replace({ ...(left as NonNullable<typeof left>), metadata });
    expect(await fixture.upgrade(color('blue'))).toMatchObject({ revision: 1, status: 'deployed' });
    expect(await colorOf(fixture)).toBe('blue');
  });

  test('by an abort leaves helm time to write down how far it came', async () => {
    const fixture = await releasesFixture();
    await fixture.upgrade(color('red'));
    const abort = new AbortController();
    const running = fixture.upgrade({ ...color('blue'), ...ABSENT }, { signal: abort.signal, timeoutMs: 600_000 });
    await until(async () => (await fixture.get('apps/v1', 'Deployment', 'web')) !== undefined, running);
    abort.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    expect((await fixture.releases.status(fixture.name))?.status).toBe('failed');
    expect(await fixture.upgrade(color('green'))).toMatchObject({ status: 'deployed' });
    expect(await colorOf(fixture)).toBe('green');
  });
});
