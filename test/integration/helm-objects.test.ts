/** What charts render for one cluster, by the real helm: their objects, and their images once values were rewritten. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHelmRenderer } from '../../src/adapters/helm/renderer.ts';
import { decodeDefinition } from '../../src/formats/bundle/definition.ts';
import { chartObjects } from '../../src/usecases/import/chart-objects.ts';
import { imagesNotRewritten, rewriteImageValues } from '../../src/usecases/import/image-values.ts';
import { chartYaml, createProjectFixture, type ProjectFixture } from '../support/project-fixture.ts';
import { raisedCodes } from '../support/raised.ts';

const renderer = createHelmRenderer({ helmPath: 'helm', searchPath: process.env.PATH ?? '' });
const CMS = resolve(import.meta.dirname, '../../bundles/cms');
const VERSIONS = { kubeVersion: 'v1.34.4+k3s1', apiVersions: ['v1', 'example.com/v1', 'example.com/v1/Boat'] };

let project: ProjectFixture;
beforeEach(async () => {
  project = await createProjectFixture();
});
afterEach(() => project.dispose());

const FILES = {
  'web/Chart.yaml': chartYaml('web'),
  'web/crds/boat.yaml':
    'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: boats.example.com }\n',
  'web/templates/a.yaml':
    'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: {{ .Release.Name }}, namespace: {{ if .Release.IsUpgrade }}up{{ else }}in{{ end }} }\n',
  'web/templates/hook.yaml':
    'apiVersion: v1\nkind: Pod\nmetadata: { name: hook, annotations: { helm.sh/hook: pre-install } }\n',
  'web/templates/boat.yaml':
    '{{ if .Capabilities.APIVersions.Has "example.com/v1/Boat" }}\napiVersion: example.com/v1\nkind: Boat\nmetadata: { name: b }\n{{ end }}\n',
};
const chart = (upgrade: boolean) => ({
  name: 'web',
  release: 'site',
  namespace: 'cms',
  chartPath: project.path('web'),
  values: {},
  upgrade,
});
const objectsOf = async (upgrade: boolean) =>
  (await chartObjects(chart(upgrade), VERSIONS, renderer)).objects.map(
    ({ apiVersion, kind, namespace, name, isHook, template }) =>
      `${apiVersion} ${kind} ${namespace}/${name} ${isHook} ${template}`,
  );

describe('the objects of a chart', () => {
  it('are those of the installation with its definitions, or of the upgrade without', async () => {
    await project.write(FILES);
    const common = [
      'example.com/v1 Boat undefined/b false web/templates/boat.yaml',
      'v1 Pod undefined/hook true web/templates/hook.yaml',
    ];
    expect((await objectsOf(false)).sort()).toEqual(
      [
        'apiextensions.k8s.io/v1 CustomResourceDefinition undefined/boats.example.com false web/crds/boat.yaml',
        ...common,
        'v1 ConfigMap in/site false web/templates/a.yaml',
      ].sort(),
    );
    expect((await objectsOf(true)).sort()).toEqual(
      [...common, 'v1 ConfigMap up/site false web/templates/a.yaml'].sort(),
    );
  });

  it('are those of an installation where a chart cannot be upgraded without looking into the cluster', async () => {
    await project.write({ ...FILES, 'web/templates/b.yaml': '{{ if .Release.IsUpgrade }}{{ fail "look" }}{{ end }}' });
    expect(await objectsOf(true)).toContain('v1 ConfigMap in/site false web/templates/a.yaml');
  });

  it('cannot be told when the chart does not render', async () => {
    await project.write({ ...FILES, 'web/templates/b.yaml': '{{ fail "no" }}' });
    for (const upgrade of [true, false]) {
      expect(await raisedCodes(() => objectsOf(upgrade))).toEqual(['AdapterError HELM_FAILED']);
    }
  });
});

describe('bundles/cms', () => {
  it('takes all its images from another registry once its image values are rewritten', async () => {
    const path = join(CMS, 'bundle.yaml');
    const { definition } = decodeDefinition(await readFile(path, 'utf8'), path);
    const rewrite = (reference: string) => reference.replace('portolan.local/', 'registry.inside:5000/cms/');
    const isInside = (reference: string) => reference.startsWith('registry.inside:5000/cms/');
    const values = { enableBlog: true, enableShop: true };
    for (const { name, release, namespace, imageValues } of definition.charts) {
      const request = { name, release, namespace, chartPath: join(CMS, 'charts', name), upgrade: false };
      const render = async (given: Readonly<Record<string, unknown>>) =>
        (await chartObjects({ ...request, values: given }, VERSIONS, renderer)).text;
      const before = imagesNotRewritten(await render(values), name, isInside);
      expect(before.length).toBe(name === 'data' ? 1 : 4);
      const rewritten = rewriteImageValues(values, imageValues, rewrite);
      expect(imagesNotRewritten(await render(rewritten), name, isInside)).toEqual([]);
      // One value that is forgotten shows.
      const some = rewriteImageValues(values, imageValues.slice(1), rewrite);
      expect(imagesNotRewritten(await render(some), name, isInside).map(({ code }) => code)).toEqual([
        'IMAGE_NOT_REWRITTEN',
      ]);
    }
  });
});
