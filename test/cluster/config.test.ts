import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { openKubernetes } from '../../src/adapters/kubernetes/open-kubernetes.ts';
import type { Kubernetes } from '../../src/ports/kubernetes.ts';
import { clusterKubeconfig } from '../support/cluster-kubeconfig.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { portolan, portolanText, succeed } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

const PASSWORD = 'hunter2-hunter2';
const env = { KUBECONFIG: clusterKubeconfig() };

async function connect(): Promise<Kubernetes> {
  const source = { kind: 'kubeconfig', paths: [clusterKubeconfig()] } as const;
  const kubernetes = await openKubernetes(source, { environment: {}, now: Date.now });
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

/** A namespace with an application's configuration, and keys. */
async function prepare() {
  const kubernetes = await connect();
  const namespace = `portolan-test-${randomBytes(4).toString('hex')}`;
  const core = { apiVersion: 'v1' } as const;
  await kubernetes.create({ ...core, kind: 'Namespace', metadata: { name: namespace } });
  onTestFinished(async () => {
    const own = await connect();
    await own.delete({ ...core, kind: 'Namespace', name: namespace });
  });
  const settings = { namespace, name: 'settings', labels: { app: 'cms' } };
  await kubernetes.create({
    ...core,
    kind: 'ConfigMap',
    metadata: settings,
    data: { 'site.json': '{"a":1}', empty: '' },
    binaryData: { logo: 'AP8=' },
  });
  const helmLabels = { 'app.kubernetes.io/managed-by': 'Helm' };
  await kubernetes.create({ ...core, kind: 'ConfigMap', metadata: { namespace, name: 'of-helm', labels: helmLabels } });
  await kubernetes.create({
    ...core,
    kind: 'Secret',
    type: 'kubernetes.io/basic-auth',
    metadata: { namespace, name: 'smtp' },
    data: { username: 'YW5u', password: Buffer.from(PASSWORD).toString('base64') },
  });
  const folder = await temporaryFolder();
  const identity = await generateX25519Identity();
  await writeFile(join(folder, 'key.txt'), `${identity}\n`);
  const recipient = await identityToRecipient(identity);
  const file = join(folder, 'config.json');
  return { kubernetes, namespace, folder, file, recipient, key: join(folder, 'key.txt') };
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

async function exported({ namespace, file, recipient }: Prepared, ...more: string[]): Promise<void> {
  const args = ['--namespace', namespace, '--secret', `${namespace}/smtp`, '-r', recipient, ...more];
  const ended = await portolan(['config', 'export', file, ...args], { env });
  expect(ended.error).toBeUndefined();
}

const importing = ({ file, key }: Prepared, ...more: string[]) =>
  portolan(['config', 'import', file, '-i', key, ...more], { env });

function actionsOf({ result }: Awaited<ReturnType<typeof portolan>>): Record<string, string> {
  const changes = (result?.changes ?? []) as { kind: string; name: string; action: string }[];
  return Object.fromEntries(changes.map(({ kind, name, action }) => [`${kind} ${name.split('/')[1]}`, action]));
}

describe('config export', () => {
  test('reads the ConfigMaps of a namespace but those of others, and seals Secrets', async () => {
    const prepared = await prepare();
    await exported(prepared);
    const text = await readFile(prepared.file, 'utf8');
    const document = JSON.parse(text);
    const { namespace } = prepared;
    expect(document).toMatchObject({
      mediaType: 'application/vnd.portolan.configuration.v1+json',
      configMaps: [
        {
          namespace,
          name: 'settings',
          labels: { app: 'cms' },
          data: { 'site.json': '{"a":1}', empty: '' },
          binaryData: { logo: 'AP8=' },
        },
      ],
      tables: [],
      sealed: { secrets: [{ namespace, name: 'smtp' }], releases: [] },
    });
    expect(text).not.toContain(PASSWORD);
    expect(text).not.toContain(Buffer.from(PASSWORD).toString('base64'));
    // With stock age and jq's part played by JSON.parse: recoverable without us.
    const sealed = join(prepared.folder, 'sealed.age');
    await writeFile(sealed, document.sealed.content);
    const opened = JSON.parse(await succeed('age', ['-d', '-i', prepared.key, sealed]));
    expect(Buffer.from(opened.secrets[0].data.password, 'base64').toString()).toBe(PASSWORD);
  });

  test('takes one of a release when it is named', async () => {
    const prepared = await prepare();
    const { namespace, file } = prepared;
    const args = ['config', 'export', file, '--config-map', `${namespace}/of-helm`];
    expect((await portolan(args, { env })).result).toMatchObject({ configMaps: [`${namespace}/of-helm`] });
  });

  test.each([
    ['a namespace that is not there', 'CONFIGURATION_NOT_FOUND', () => ['--namespace', 'no-such-namespace']],
    ['a ConfigMap that is not there', 'CONFIGURATION_NOT_FOUND', (ns: string) => ['--config-map', `${ns}/nothing`]],
    ['a Secret that is not there', 'CONFIGURATION_NOT_FOUND', (ns: string) => ['--secret', `${ns}/nothing`]],
    ['a release that is not there', 'CONFIGURATION_NOT_FOUND', (ns: string) => ['--release', `${ns}/nothing`]],
    ['a Secret of this cluster alone', 'CONFIGURATION_NOT_PORTABLE', (ns: string) => ['--secret', `${ns}/bound`]],
  ])('refuses %s', async (_, code, argsOf) => {
    const { kubernetes, namespace, file, recipient } = await prepare();
    const type = 'bootstrap.kubernetes.io/token';
    await kubernetes.create({ apiVersion: 'v1', kind: 'Secret', type, metadata: { namespace, name: 'bound' } });
    const ended = await portolan(['config', 'export', file, ...argsOf(namespace), '-r', recipient], { env });
    expect(ended.error).toMatchObject({ code });
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });
});

/** A stick with a bundle that has these documents and nothing else; keys of its own. */
async function carried(folder: string, documents: readonly string[]) {
  const project = join(folder, 'project');
  await mkdir(project);
  const lines = documents
    .map((path) => `    - { source: ${relative(project, path)}, path: ${basename(path)} }\n`)
    .join('');
  const definition = `name: carrier\nversion: 1.0.0\nsequence: 1\nplatforms: [linux/amd64]\nconfiguration:\n  json:\n${lines}`;
  await writeFile(join(project, 'bundle.yaml'), definition);
  const own = { COSIGN_PASSWORD: 'throw-away' };
  await succeed('cosign', ['generate-key-pair'], { cwd: folder, env: own });
  const [key, signing, stick] = ['stick.txt', 'cosign.key', 'stick'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await succeed('age-keygen', ['-o', key]);
  const recipient = (await succeed('age-keygen', ['-y', key])).trim();
  const built = await portolan(
    [
      'bundle',
      'build',
      project,
      '--out',
      stick,
      '-r',
      recipient,
      '--sign-key',
      signing,
      '--cache',
      join(folder, 'cache'),
    ],
    { env: own },
  );
  expect(built.error).toBeUndefined();
  const state = ['--only', 'configuration', '--state', join(folder, 'state')];
  const fixed = ['bundle', 'import', stick, '--trust', join(folder, 'cosign.pub'), ...state, '-i', key];
  return (...more: string[]) => portolan([...fixed, ...more], { env });
}

describe('a bundle that carries such a document', () => {
  test('is imported as config import would, with the identities of the import', async () => {
    const prepared = await prepare();
    const { kubernetes, namespace, folder, file, key } = prepared;
    await exported(prepared);
    const core = { apiVersion: 'v1', namespace } as const;
    await kubernetes.delete({ ...core, kind: 'Secret', name: 'smtp' });
    await kubernetes.delete({ ...core, kind: 'ConfigMap', name: 'settings' });
    const bring = await carried(folder, [file]);
    const sealed = await bring();
    expect(sealed).toMatchObject({
      status: 2,
      error: { code: 'CONFIGURATION_SEALED', at: { file: 'json/config.json' } },
    });
    const plan = await bring('-i', key, '--plan');
    const [document] = (plan.result?.documents ?? []) as { path: string; changes: unknown }[];
    expect(document).toMatchObject({
      path: 'json/config.json',
      changes: [
        { kind: 'ConfigMap', name: `${namespace}/settings`, action: 'added' },
        { kind: 'Secret', name: `${namespace}/smtp`, action: 'added' },
      ],
    });
    expect(await kubernetes.get({ ...core, kind: 'Secret', name: 'smtp' })).toBeUndefined();
    const done = await bring('-i', key);
    expect(done.error).toBeUndefined();
    expect(await kubernetes.get({ ...core, kind: 'Secret', name: 'smtp' })).toMatchObject({
      data: { password: Buffer.from(PASSWORD).toString('base64') },
    });
    // The document itself is nothing that a program would read.
    expect(await kubernetes.get({ ...core, kind: 'ConfigMap', name: 'carrier-configuration' })).toBeUndefined();
    // What was changed meanwhile is as the bundle says again.
    await kubernetes.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name: 'settings' },
      data: { empty: 'x' },
    });
    expect((await bring('-i', key)).status).toBe(0);
    expect(await kubernetes.get({ ...core, kind: 'ConfigMap', name: 'settings' })).toMatchObject({
      data: { empty: '' },
    });
    for (const { stdout, stderr } of [plan, done]) expect(stdout + stderr).not.toContain(PASSWORD);
  });

  test('brings rows of tables over --database, and refuses them without', async () => {
    const server = await startPostgres();
    onTestFinished(() => server.stop());
    await server.query('create table setting (name text primary key, value text)');
    await server.query("insert into setting values ('title', 'A ship')");
    const folder = await temporaryFolder();
    const file = join(folder, 'tables.json');
    const database = ['--database', server.url()];
    expect((await portolan(['config', 'export', file, '--table', 'public.setting', ...database])).status).toBe(0);
    await server.query("update setting set value = 'changed'");
    const bring = await carried(folder, [file]);
    expect((await bring('--plan')).error).toMatchObject({ code: 'TARGET_NOT_SAID', at: { key: 'tables' } });
    const done = await bring(...database);
    expect(done.error).toBeUndefined();
    expect(await server.query('select name, value from setting')).toBe('title|A ship');
  });
});

describe('config import', () => {
  test('brings everything back where it is missing, the namespace too, and finds it the same the next time', async () => {
    const prepared = await prepare();
    const { kubernetes, file } = prepared;
    await exported(prepared);
    const other = `portolan-test-${randomBytes(4).toString('hex')}`;
    onTestFinished(async () => {
      const own = await connect();
      await own.delete({ apiVersion: 'v1', kind: 'Namespace', name: other });
    });
    // The Secret's name is sealed: only ConfigMaps can be led elsewhere by hand.
    const document = JSON.parse(await readFile(file, 'utf8'));
    document.configMaps[0].namespace = other;
    await writeFile(file, JSON.stringify(document));
    await kubernetes.delete({ apiVersion: 'v1', kind: 'Secret', namespace: prepared.namespace, name: 'smtp' });
    expect(actionsOf(await importing(prepared, '--plan'))).toEqual({
      'ConfigMap settings': 'added',
      'Secret smtp': 'added',
    });
    expect(await kubernetes.get({ apiVersion: 'v1', kind: 'Namespace', name: other })).toBeUndefined();
    expect(actionsOf(await importing(prepared))).toEqual({ 'ConfigMap settings': 'added', 'Secret smtp': 'added' });
    expect(
      await kubernetes.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace: other, name: 'settings' }),
    ).toMatchObject({
      metadata: { labels: { app: 'cms' } },
      data: { 'site.json': '{"a":1}', empty: '' },
      binaryData: { logo: 'AP8=' },
    });
    const key = { apiVersion: 'v1', kind: 'Secret', namespace: prepared.namespace, name: 'smtp' };
    expect(await kubernetes.get(key)).toMatchObject({
      type: 'kubernetes.io/basic-auth',
      data: { password: Buffer.from(PASSWORD).toString('base64') },
    });
    expect(actionsOf(await importing(prepared))).toEqual({ 'ConfigMap settings': 'same', 'Secret smtp': 'same' });
  });

  test('changes what differs only when that is said, names keys and no values, and leaves keys of the target', async () => {
    const prepared = await prepare();
    const { kubernetes, namespace } = prepared;
    await exported(prepared);
    const metadata = { namespace, name: 'settings' };
    // As another program's: a key that only the target has is nobody's to remove.
    const key = { apiVersion: 'v1', kind: 'ConfigMap', ...metadata };
    const there = (await kubernetes.get(key)) ?? { apiVersion: 'v1', kind: 'ConfigMap', metadata };
    await kubernetes.replace({ ...there, data: { 'site.json': '{"a":2}', empty: '', own: 'kept' } });
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'smtp' } };
    await kubernetes.apply({ ...secret, type: 'kubernetes.io/basic-auth', data: { password: 'bmV3' } });
    const plan = await importing(prepared, '--plan');
    expect(plan.result).toMatchObject({
      changes: [
        { kind: 'ConfigMap', action: 'changed', keys: ['site.json'] },
        { kind: 'Secret', action: 'changed', keys: ['password'] },
      ],
    });
    const refused = await importing(prepared);
    expect(refused).toMatchObject({
      status: 3,
      error: { code: 'CONFIGURATION_WOULD_OVERWRITE', others: [{ code: 'CONFIGURATION_WOULD_OVERWRITE' }] },
    });
    for (const { stdout, stderr } of [plan, refused]) {
      for (const secretText of [PASSWORD, Buffer.from(PASSWORD).toString('base64'), 'bmV3']) {
        expect(stdout + stderr).not.toContain(secretText);
      }
    }
    expect(await kubernetes.get(key)).toMatchObject({ data: { 'site.json': '{"a":2}', own: 'kept' } });
    expect((await importing(prepared, '--overwrite')).status).toBe(0);
    expect(await kubernetes.get(key)).toMatchObject({ data: { 'site.json': '{"a":1}', empty: '', own: 'kept' } });
  });

  test('wants an identity for what is sealed, the right one, and lets the rest go without', async () => {
    const prepared = await prepare();
    await exported(prepared);
    const { file, folder } = prepared;
    const without = await portolan(['config', 'import', file, '--plan'], { env });
    expect(without).toMatchObject({ status: 2, error: { code: 'CONFIGURATION_SEALED' } });
    const maps = await portolan(['config', 'import', file, '--plan', '--only', 'config-maps'], { env });
    expect(actionsOf(maps)).toEqual({ 'ConfigMap settings': 'same' });
    const wrong = join(folder, 'wrong.txt');
    await writeFile(wrong, `${await generateX25519Identity()}\n`);
    const ended = await portolan(['config', 'import', file, '--plan', '-i', wrong], { env });
    expect(ended.error).toMatchObject({ code: 'NO_MATCHING_IDENTITY' });
  });

  test('warns about what a release writes again', async () => {
    const prepared = await prepare();
    const { kubernetes, namespace, file } = prepared;
    await portolan(['config', 'export', file, '--config-map', `${namespace}/of-helm`], { env });
    const document = JSON.parse(await readFile(file, 'utf8'));
    document.configMaps[0].data = { x: '1' };
    await writeFile(file, JSON.stringify(document));
    const ended = await portolan(['config', 'import', file, '--overwrite'], { env });
    expect(ended.events).toContainEqual(expect.objectContaining({ event: 'warning' }));
    const key = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'of-helm' };
    expect(await kubernetes.get(key)).toMatchObject({ data: { x: '1' } });
  });

  test('compares the values of a release, and writes them as a file that helm takes', async () => {
    const prepared = await prepare();
    const { namespace, folder, file, recipient, key } = prepared;
    const chart = join(folder, 'chart');
    await mkdir(join(chart, 'templates'), { recursive: true });
    await writeFile(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: site\nversion: 1.0.0\n');
    await writeFile(
      join(chart, 'templates', 'map.yaml'),
      'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: site }\ndata: { a: {{ .Values.a | quote }} }\n',
    );
    const values = { a: 'yes', password: PASSWORD, nested: { list: [1, '0755', null, true], 'dotted.key': '1e3' } };
    await writeFile(join(folder, 'values.json'), JSON.stringify(values));
    const install = ['upgrade', '--install', 'site', chart, '--namespace', namespace];
    await succeed('helm', [...install, '-f', join(folder, 'values.json')], { env });
    const named = ['--release', `${namespace}/site`, '-r', recipient];
    expect((await portolan(['config', 'export', file, ...named], { env })).status).toBe(0);
    expect(await readFile(file, 'utf8')).not.toContain(PASSWORD);
    expect(actionsOf(await importing(prepared))).toEqual({ 'Release site': 'same' });
    await succeed('helm', [...install, '--set', 'a=no,more=1'], { env });
    const out = join(folder, 'values');
    const changed = await importing(prepared, '--values-folder', out);
    expect(changed.result).toMatchObject({
      changes: [{ kind: 'Release', action: 'changed', keys: ['a', 'more', 'nested', 'password'] }],
      written: [join(out, `${namespace}.site.yaml`)],
    });
    expect(parse(await readFile(join(out, `${namespace}.site.yaml`), 'utf8'))).toEqual(values);
    await succeed('helm', [...install, '--reset-values', '-f', join(out, `${namespace}.site.yaml`)], { env });
    expect(actionsOf(await importing(prepared))).toEqual({ 'Release site': 'same' });
    const text = await portolanText(['config', 'import', file, '-i', key, '--plan'], { env });
    expect(text.stdout).toContain('everything is as the document says');
  });
});
