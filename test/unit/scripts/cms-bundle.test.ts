/** bundles/cms as files: what names what, and that a feature which is off leaves no more than its switch. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { recipes } from '../../../scripts/images/recipes.ts';
import { decodeDefinition } from '../../../src/formats/bundle/definition.ts';
import { sortModuleFiles } from '../../../src/formats/migration/module-files.ts';

const FOLDER = resolve(import.meta.dirname, '../../../bundles/cms');

async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(join(FOLDER, folder), { recursive: true, withFileTypes: true });
  return found.filter((item) => item.isFile()).map((item) => relative(FOLDER, join(item.parentPath, item.name)));
}

test('bundle.yaml is valid', async () => {
  const path = join(FOLDER, 'bundle.yaml');
  expect(() => decodeDefinition('name: [', path)).toThrow();
  decodeDefinition(await readFile(path, 'utf8'), path);
});

test('every image that charts and bundle.yaml name is one that scripts/image builds', async () => {
  const built = new Set(Object.values(recipes).map(({ reference }) => reference));
  const named = new Set<string>();
  for (const file of [...(await filesBelow('charts')), 'bundle.yaml']) {
    const text = await readFile(join(FOLDER, file), 'utf8');
    for (const [reference] of text.matchAll(/portolan\.local\/[a-z/]+:[0-9.]+/g)) named.add(reference);
  }
  expect([...named].filter((reference) => !built.has(reference))).toEqual([]);
  // All but the Pods' own pause, which belongs to the cluster, and the image of drills.
  expect([...named].sort()).toEqual(
    [...built].filter((reference) => !/\/(?:pause|portolan-drill):/.test(reference)).sort(),
  );
});

test('no template names a provider, a registry or a storage class', async () => {
  const words = /aws|eks|alb\b|gke|gce|azure|aks\b|digitalocean|traefik|nginx\.ingress|local-path|gp[23]\b/i;
  const templates = (await filesBelow('charts')).filter((path) => /templates|values\.yaml|sections/.test(path));
  expect(templates.length).toBeGreaterThan(8);
  for (const path of templates) expect(await readFile(join(FOLDER, path), 'utf8'), path).not.toMatch(words);
});

test('migrations have names in order, and each module has files to expand and to contract', async () => {
  for (const module of ['core', 'blog', 'shop']) {
    const names = await readdir(join(FOLDER, 'migrations', module));
    const sorted = sortModuleFiles(names, module);
    expect(sorted.map(({ name }) => name)).toEqual([...names].sort());
    expect(names.some((name) => name.endsWith('.contract.sql'))).toBe(true);
    expect(names.filter((name) => !name.endsWith('.contract.sql')).length).toBeGreaterThan(1);
  }
});

test.each(['blog', 'shop'])(
  'without the %s nothing that the bundle carries speaks of it, but its switch',
  async (feature) => {
    const definition = parse(await readFile(join(FOLDER, 'bundle.yaml'), 'utf8'));
    const off = `features.${feature}`;
    const parts = definition.charts.flatMap((chart: { path: string; parts?: { path: string; when: string }[] }) =>
      (chart.parts ?? []).filter(({ when }) => when === off).map(({ path }) => `${chart.path}/${path}`),
    );
    const conditional = [...definition.modules, ...definition.configuration.json, ...definition.files].filter(
      (item: { when?: string } | string) => typeof item === 'object' && item.when === off,
    );
    const leftOut = [
      ...parts,
      ...conditional.map((item: { source?: string; path: string }) => item.source ?? item.path),
    ];
    expect(leftOut).toHaveLength(feature === 'shop' ? 4 : 3);
    const folders = ['charts', 'migrations', 'configuration', 'values', 'notes'];
    const carried = (await Promise.all(folders.map(filesBelow)))
      .flat()
      .filter((path) => !leftOut.some((out) => path === out || path.startsWith(`${out}/`)));
    const traces: string[] = [];
    for (const path of carried) {
      for (const line of (await readFile(join(FOLDER, path), 'utf8')).split('\n')) {
        if (line.toLowerCase().includes(feature)) traces.push(`${path}: ${line}`);
      }
    }
    const flag = `enable${feature[0]?.toUpperCase()}${feature.slice(1)}`;
    expect(traces).toEqual([`charts/app/values.yaml: ${flag}: false`]);
  },
);
