import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHelmRenderer } from '../../src/adapters/helm/renderer.ts';
import { prepareFrozen } from '../../src/usecases/bundle/frozen.ts';
import { initBundle } from '../../src/usecases/bundle/init.ts';
import { lockBundle, saveLock } from '../../src/usecases/bundle/lock.ts';
import { createContent, writeLayout } from '../support/image-content.ts';
import { chartYaml, createProjectFixture, HEAD, type ProjectFixture } from '../support/project-fixture.ts';
import { raised, raisedCodes } from '../support/raised.ts';

const run = promisify(execFile);
const renderer = createHelmRenderer({ helmPath: 'helm', searchPath: process.env.PATH ?? '' });

let project: ProjectFixture;
beforeEach(async () => {
  project = await createProjectFixture(renderer);
});
afterEach(() => project.dispose());

const lock = (features: Record<string, boolean> = {}, provider?: string) =>
  lockBundle(project.folder, { features, ...(provider === undefined ? {} : { provider }) }, project.dependencies);

const pod = (image: string, kind = 'Pod') =>
  `apiVersion: v1\nkind: ${kind}\nmetadata: {name: a}\nspec: {containers: [{name: a, image: ${image}}]}\n`;

async function serveImages(...tags: string[]): Promise<void> {
  const content = createContent();
  for (const tag of tags) content.tag(tag, content.image({ layers: [content.blob(tag)] }));
  await writeLayout(join(project.root, 'images'), content, (tag) => tag);
}

describe('the lock of charts', () => {
  it('says where each image was found, in subcharts by alias, hooks and upgrades', async () => {
    const dependencies = ['first', 'second'].map(
      (alias) => `  - {name: lib, version: 0.1.0, repository: "file://../lib", alias: ${alias}}\n`,
    );
    await project.write({
      'bundle.yaml': `${HEAD}images: {layouts: [../images]}\ncharts: [{name: web, path: web, values: [{first: {tag: '2'}}]}]\n`,
      'web/Chart.yaml': chartYaml('web', `dependencies:\n${dependencies.join('')}`),
      'web/templates/hook.yaml': pod('r.example/hook:1').replace(
        '{name: a}',
        '{name: a, annotations: {helm.sh/hook: pre-install}}',
      ),
      'web/templates/upgrade.yaml': `{{- if .Release.IsUpgrade }}\n${pod('r.example/upgrade:1')}{{- end }}`,
      'lib/Chart.yaml': chartYaml('lib'),
      'lib/values.yaml': "tag: '1'\n",
      'lib/templates/a.yaml': pod('r.example/lib:{{ .Values.tag }}'),
    });
    await serveImages('r.example/hook:1', 'r.example/upgrade:1', 'r.example/lib:1', 'r.example/lib:2');
    const { lock: locked } = await lock();
    expect(
      locked.images.map(({ reference, found }) => [reference, found.map((one) => one !== 'list' && one.template)]),
    ).toEqual([
      ['r.example/hook:1', ['web/templates/hook.yaml']],
      ['r.example/lib:1', ['web/charts/second/templates/a.yaml']],
      ['r.example/lib:2', ['web/charts/first/templates/a.yaml']],
      ['r.example/upgrade:1', ['web/templates/upgrade.yaml']],
    ]);
    expect(locked.images[0]?.found).toEqual([
      { chart: 'web', template: 'web/templates/hook.yaml', path: 'spec.containers[0].image' },
    ]);
  });

  it('puts values in their order: files, provider, features, --values', async () => {
    const template = '{{ range $k, $v := .Values }}{{ $k }}: {{ $v }}\n{{ end }}';
    await project.write({
      'bundle.yaml': `${HEAD}features: {f: {default: true, on: {c: feature, d: feature}}}\nprovider: k3s\nproviders: {k3s: {values: [k3s.yaml]}}\ncharts: [{name: web, path: web, values: [own.yaml]}]\n`,
      'own.yaml': 'a: own\nb: own\nc: own\nd: own\n',
      'k3s.yaml': 'b: provider\nc: provider\nd: provider\n',
      'extra.yaml': 'd: extra\n',
      'web/Chart.yaml': chartYaml('web'),
      'web/templates/a.yaml': template,
    });
    const { lock: locked, blobs } = await lockBundle(
      project.folder,
      { valuesFiles: [project.path('extra.yaml')] },
      project.dependencies,
    );
    const values = blobs.get(locked.charts[0]?.values.digest as never)?.path as string;
    expect(JSON.parse(await readFile(values, 'utf8'))).toEqual({ a: 'own', b: 'provider', c: 'feature', d: 'extra' });
  });

  it('finds the images of every provider while none is chosen', async () => {
    await project.write({
      'bundle.yaml': `${HEAD}images: {layouts: [../images]}\nproviders: {a: {values: [a.yaml]}, b: {values: [b.yaml]}}\ncharts: [{name: web, path: web}]\n`,
      'a.yaml': 'image: r.example/a:1\n',
      'b.yaml': 'image: r.example/b:1\n',
      'web/Chart.yaml': chartYaml('web'),
      'web/templates/a.yaml': `{{ with .Values.image }}\n${pod('{{ . }}')}{{ end }}`,
    });
    await serveImages('r.example/a:1', 'r.example/b:1');
    expect((await lock()).lock.images.map(({ reference }) => reference)).toEqual(['r.example/a:1', 'r.example/b:1']);
    expect((await lock({}, 'b')).lock.images.map(({ reference }) => reference)).toEqual(['r.example/b:1']);
  });

  it('packs a folder into a .tgz that helm and tar read, the same each time', async () => {
    await project.write({
      'bundle.yaml': `${HEAD}features: {shop: {}}\ncharts: [{name: web, path: web, parts: [{path: templates/shop, when: features.shop}]}]\n`,
      'web/Chart.yaml': chartYaml('site'),
      'web/templates/a.yaml': 'a: 1\n',
      'web/templates/shop/b.yaml': 'b: 1\n',
    });
    const { lock: locked, blobs } = await lock();
    expect((await lock()).lock).toEqual(locked);
    const path = blobs.get(locked.charts[0]?.digest as never)?.path as string;
    expect((await run('tar', ['tzf', path])).stdout.trim().split('\n')).toEqual([
      'site/Chart.yaml',
      'site/templates/a.yaml',
    ]);
    expect((await run('helm', ['template', path])).stdout).toContain('# Source: site/templates/a.yaml');
    expect((await lock({ shop: true })).lock.charts[0]?.digest).not.toBe(locked.charts[0]?.digest);
  });

  it("carries helm's own .tgz byte for byte", async () => {
    await project.write({ 'web/Chart.yaml': chartYaml('web'), 'web/templates/a.yaml': 'a: 1\n' });
    await run('helm', ['package', project.path('web'), '--destination', project.folder]);
    await project.write({ 'bundle.yaml': `${HEAD}charts: [{name: web, path: web-0.1.0.tgz}]\n` });
    const { lock: locked, blobs } = await lock();
    const carried = await readFile(blobs.get(locked.charts[0]?.digest as never)?.path as string);
    expect(carried.equals(await readFile(project.path('web-0.1.0.tgz')))).toBe(true);
  });

  it.each<[string, string, string]>([
    ['does not render', 'a: {{ fail "no" }}', 'AdapterError HELM_FAILED'],
    ['has a template that is broken', 'a: {{ ', 'AdapterError HELM_FAILED'],
    ['names an image without a tag', pod('r.example/web'), 'FormatError IMAGE_FLOATING'],
    ['names latest', pod('r.example/web:latest'), 'FormatError IMAGE_FLOATING'],
    ['names no image at all', pod('"a b"'), 'FormatError REFERENCE_INVALID'],
    ['names an image that nobody has', pod('r.example/web:1'), 'AdapterError IMAGE_NOT_FOUND'],
  ])('is not written when a chart %s', async (_, template, code) => {
    await project.write({
      'bundle.yaml': `${HEAD}charts: [{name: web, path: web}]\n`,
      'web/Chart.yaml': chartYaml('web'),
      'web/templates/a.yaml': template,
    });
    const before = await project.snapshot();
    expect(await raisedCodes(() => lock())).toEqual([code]);
    expect(await project.snapshot()).toEqual(before);
  });

  it('leads to the template and the path of a floating image', async () => {
    await project.write({
      'bundle.yaml': `${HEAD}charts: [{name: web, path: web}]\n`,
      'web/Chart.yaml': chartYaml('web'),
      'web/templates/a.yaml': pod('r.example/web'),
    });
    expect((await raised(() => lock())).at).toEqual({ file: 'web/templates/a.yaml', key: 'spec.containers[0].image' });
  });

  it('warns, and goes on, when a chart does not render as an upgrade', async () => {
    await project.write({
      'bundle.yaml': `${HEAD}charts: [{name: web, path: web}]\n`,
      'web/Chart.yaml': chartYaml('web'),
      'web/templates/a.yaml': 'a: {{ if .Release.IsUpgrade }}{{ fail "needs a cluster" }}{{ end }}1\n',
    });
    expect((await lock()).lock.charts).toHaveLength(1);
    expect(project.warnings).toHaveLength(1);
  });
});

describe('a frozen build of charts', () => {
  it.each<[string, Record<string, string>, string]>([
    ['template', { 'web/templates/a.yaml': 'a: 2\n' }, 'web'],
    ['value', { 'own.yaml': 'x: 2\n' }, 'bundle.yaml'],
  ])('is refused when a %s has changed', async (_, files, place) => {
    await project.write({
      'bundle.yaml': `${HEAD}charts: [{name: web, path: web, values: [own.yaml]}]\n`,
      'own.yaml': 'x: 1\n',
      'web/Chart.yaml': chartYaml('web'),
      'web/templates/a.yaml': 'a: 1\n',
    });
    const prepared = await lock();
    await saveLock(project.folder, prepared.lock, project.dependencies);
    // Nothing is rendered: there is no helm.
    const renderNothing = {
      ...project.dependencies,
      renderer: { render: () => Promise.reject(new Error('rendered')) },
    };
    expect((await prepareFrozen(project.folder, renderNothing)).lock).toEqual(prepared.lock);
    await project.write(files);
    const error = await raised(() => prepareFrozen(project.folder, renderNothing));
    expect([error.code, error.at?.file]).toEqual(['LOCK_STALE', project.path(place)]);
  });
});

it('the example of bundle init locks as it is, with either side of its feature', async () => {
  await initBundle(project.folder, project.dependencies.files);
  const off = await lock();
  expect(off.lock.images).toEqual([]);
  expect(off.lock.modules.map(({ name }) => name)).toEqual(['core']);
  const on = await lock({ shop: true });
  expect(on.lock.modules.map(({ name }) => name)).toEqual(['core', 'shop']);
  // What is off left no trace in anything that is carried.
  for (const { path } of off.blobs.values()) {
    const bytes = await readFile(path);
    expect(bytes.includes('shop')).toBe(false);
  }
});
