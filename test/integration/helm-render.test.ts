import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHelmRenderer } from '../../src/adapters/helm/renderer.ts';
import { canonicalJson } from '../../src/core/canonical-json.ts';
import { mergeAllValues } from '../../src/formats/helm/values.ts';
import { decodeValues } from '../../src/formats/helm/yaml.ts';
import { chartYaml, createProjectFixture, type ProjectFixture } from '../support/project-fixture.ts';
import { raised, raisedCodes } from '../support/raised.ts';

const settings = { helmPath: 'helm', searchPath: process.env.PATH ?? '' };
const renderer = createHelmRenderer(settings);

let project: ProjectFixture;
beforeEach(async () => {
  project = await createProjectFixture();
});
afterEach(() => project.dispose());

const chart = (files: Record<string, string>) =>
  project.write(
    Object.fromEntries(
      Object.entries({ 'Chart.yaml': chartYaml('web'), ...files }).map(([name, text]) => [`web/${name}`, text]),
    ),
  );
const request = (values: Record<string, unknown> = {}) => ({
  chartPath: project.path('web'),
  release: 'site',
  namespace: 'cms',
  values,
});
const bodyOf = (rendered: string) => rendered.replace(/^(?:---|# Source:).*\n/gm, '').trim();

describe('helm, the renderer', () => {
  it('renders a chart with release, namespace, values and what the cluster has', async () => {
    await chart({
      'templates/a.yaml':
        'a: "{{ .Release.Name }} {{ .Release.Namespace }} {{ .Values.x }} {{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.APIVersions.Has "a.example/v1" }} {{ .Release.IsUpgrade }}"',
    });
    const more = { kubeVersion: '1.31', apiVersions: ['a.example/v1'], upgrade: true };
    expect(bodyOf(await renderer.render({ ...request({ x: 7 }), ...more }))).toBe('a: "site cms 7 31 true true"');
    expect(bodyOf(await renderer.render(request({ x: 7 })))).toContain('cms 7');
  });

  it('lets nothing of the user in', async () => {
    const home = await mkdtemp(join(tmpdir(), 'portolan-home-'));
    try {
      await writeFile(join(home, 'kubeconfig'), 'not: [valid');
      const before = { ...process.env };
      Object.assign(process.env, {
        KUBECONFIG: join(home, 'kubeconfig'),
        HELM_NAMESPACE: 'other',
        HELM_DEBUG: 'true',
        HELM_KUBETOKEN: 'x',
      });
      try {
        await chart({ 'templates/a.yaml': 'a: {{ .Release.Namespace }}' });
        expect(bodyOf(await renderer.render(request()))).toBe('a: cms');
      } finally {
        process.env = before;
      }
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  });

  it('shows what helm says of a template that does not render', async () => {
    await chart({ 'templates/a.yaml': 'a: {{ required "give a name" .Values.name }}' });
    const error = await raised(() => renderer.render(request()));
    expect([error.name, error.code]).toEqual(['AdapterError', 'HELM_FAILED']);
    expect(error.message).toContain('give a name');
  });

  it('shows which value breaks values.schema.json', async () => {
    const schema = { type: 'object', properties: { replicas: { type: 'integer' } } };
    await chart({ 'values.schema.json': JSON.stringify(schema), 'templates/a.yaml': 'a: 1' });
    const error = await raised(() => renderer.render(request({ replicas: 'two' })));
    expect(error.code).toBe('HELM_FAILED');
    expect(error.message).toContain('replicas');
    expect(error.hint).toContain('values.schema.json');
  });

  it('says when there is no helm', async () => {
    await chart({});
    for (const helmPath of ['/nowhere/helm', 'no-such-helm']) {
      const missing = createHelmRenderer({ ...settings, helmPath });
      expect(await raisedCodes(() => missing.render(request()))).toEqual(['AdapterError HELM_MISSING']);
    }
  });

  it('takes no other program for helm, and no helm 3', async () => {
    await chart({});
    await project.write({ silent: '#!/bin/sh\n', old: '#!/bin/sh\necho v3.18.4\n' });
    for (const name of ['silent', 'old']) {
      await chmod(project.path(name), 0o755);
      const other = createHelmRenderer({ ...settings, helmPath: project.path(name) });
      expect(await raisedCodes(() => other.render(request()))).toEqual(['AdapterError HELM_MISSING']);
    }
  });

  it('bounds time and output, and stops at the abort signal', async () => {
    await chart({ 'templates/a.yaml': '{{ range until 2000 }}{{ range until 1000 }}a: 1\n{{ end }}{{ end }}' });
    for (const bound of [{ timeoutMs: 1 }, { outputLimitBytes: 1000 }]) {
      const bounded = createHelmRenderer({ ...settings, ...bound });
      expect(await raisedCodes(() => bounded.render(request()))).toEqual(['AdapterError HELM_TIMEOUT']);
    }
    const stopped = new AbortController();
    const rendering = renderer.render(request(), { signal: stopped.signal });
    stopped.abort(new Error('stopped by the test'));
    await expect(rendering).rejects.toThrow('stopped by the test');
  });
});

describe('values', () => {
  const DOCUMENT = `v:
  k: {x: 1, y: 2, on: 3, 1: a, 1.5: b, no: d}
  b: [y, Y, n, yes, Yes, on, off, true, TRUE, nO, yEs, "yes"]
  i: [0755, 0o755, 08, 0b11, -0b11, 1_000, 0x1F, 0X1f, +5, -0x1F, 1__0, 0_7, 0B11, -017, 0O17, 00, 0x, _1, -_1]
  f: [1e3, 1., .5, +.5, 1_0.5, 1e+3, 1.50]
  t: [2020-01-02, 2020-01-02T10:00:00Z, 1:30, 12:30:45]
  n: [~, null, Null, ""]
  m: {<<: {a: 1}, b: 2}
  s: [=, !!str yes, !!int "5", !!float "1", !!bool "yes"]
`;

  it('are read as helm reads them', async () => {
    await chart({ 'templates/a.yaml': '{{ .Values.v | toJson }}', 'values.yaml': DOCUMENT });
    const byHelm: unknown = JSON.parse(bodyOf(await renderer.render(request())));
    expect(JSON.parse(canonicalJson(decodeValues(DOCUMENT, 'values.yaml')))).toEqual({ v: byHelm });
  });

  it("are merged as helm merges files over a chart's own", async () => {
    const own = 'a: {x: 1, y: {z: 1}}\nb: [1, 2]\nc: 1\nd: {e: 1}\nf: {g: {h: 1, i: 2}}\n';
    const files = [
      'a: {x: 2}\nb: [3]\nd: null\n',
      'a: {y: {w: 2}}\nc: {now: a map}\n',
      'd: {k: 1}\nf: {g: {h: null}}\n',
      'a: {y: null}\n',
    ];
    await chart({ 'templates/a.yaml': '{{ .Values | toJson }}', 'values.yaml': own });
    const merged = mergeAllValues(files.map((text, index) => decodeValues(text, `${index}`)));
    const byUs = bodyOf(await renderer.render(request(merged)));
    // The same files, handed to helm one by one.
    await project.write(Object.fromEntries(files.map((text, index) => [`${index}.yaml`, text])));
    const { runHelm } = await import('../../src/adapters/helm/helm-process.ts');
    const byHelm = await runHelm({
      helmPath: 'helm',
      arguments: [
        'template',
        'site',
        project.path('web'),
        ...files.flatMap((_, index) => ['--values', project.path(`${index}.yaml`)]),
      ],
      environment: { PATH: settings.searchPath, HOME: project.root },
      folder: project.root,
      timeoutMs: 60_000,
      outputLimitBytes: 1e6,
    });
    expect(JSON.parse(byUs)).toEqual(JSON.parse(bodyOf(byHelm)));
    expect(JSON.parse(byUs)).toMatchObject({ a: { x: 2 }, b: [3], c: { now: 'a map' }, d: { k: 1 } });
  });
});
