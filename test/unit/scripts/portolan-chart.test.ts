/** What helm/portolan's schema takes, the program takes. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { portolanValues, portolanValuesTable } from '../../../scripts/charts/portolan-values.ts';
import { recipes } from '../../../scripts/images/recipes.ts';
import { decodeDefinition } from '../../../src/formats/bundle/definition.ts';
import { BUCKET_ADDRESS_PATTERN, parseBucketAddress } from '../../../src/formats/storage/repository-address.ts';
import { raised } from '../../support/raised.ts';

const GOOD = [
  's3://backups',
  's3://backups/shop/nightly',
  's3://backups/shop/?region=eu-central-1',
  's3://backups/a?endpoint=https://minio.ship:9000&region=x&path-style=false&checksum=sha256',
];
const WRONG = [
  ...['/srv/backups', 'https://backups/a', 's3://Backups', 's3://ab', 's3://backups/../a', 's3://backups/a?key=x'],
  ...['s3://user@backups/a', 's3://backups/.hidden', 's3://backups/a#b', 's3://backups/a?', ''],
];

test.each(GOOD)('%s is an address of a bucket to the schema and to the program', (address) => {
  expect(BUCKET_ADDRESS_PATTERN.test(address)).toBe(true);
  expect(parseBucketAddress(address).kind).toBe('s3');
});

test.each(WRONG)('%j is none to the schema; but for an empty query to the program neither', async (address) => {
  expect(BUCKET_ADDRESS_PATTERN.test(address)).toBe(false);
  if (!address.endsWith('?')) {
    expect(await raised(async () => parseBucketAddress(address))).toMatchObject({ code: 'STORAGE_ADDRESS_INVALID' });
  }
});

test('every value has a word in the table', () => {
  const table = portolanValuesTable({ backup: { schedule: 'H 2 * * *' } });
  expect(table).toContain('| `backup.schedule` |');
  expect(table).toContain('`"H 2 * * *"`');
  for (const name of Object.keys(portolanValues.shape)) expect(table, name).toContain(`| \`${name}`);
});

const ROOT = resolve(import.meta.dirname, '../../..');
const read = (...path: string[]) => readFile(join(ROOT, ...path), 'utf8');

test('bundles/portolan is valid, names files that are there, and images that scripts/image builds', async () => {
  const path = join(ROOT, 'bundles/portolan/bundle.yaml');
  const text = await read('bundles/portolan/bundle.yaml');
  decodeDefinition(text, path);
  const { providers, charts } = parse(text) as {
    providers: Readonly<Record<string, { values: readonly string[] }>>;
    charts: readonly { path: string; values: readonly string[] }[];
  };
  const named = [...Object.values(providers).flatMap(({ values }) => values), ...charts.map((chart) => chart.path)];
  expect(named).toHaveLength(6);
  for (const file of named) expect(existsSync(join(ROOT, 'bundles/portolan', file)), file).toBe(true);
  const built = new Set(Object.values(recipes).map(({ reference }) => reference));
  const images = [...text.matchAll(/portolan\.local\/[a-z/-]+:[0-9.]+/g)].map(([reference]) => reference);
  expect(images.length).toBeGreaterThan(2);
  expect(images.filter((reference) => !built.has(reference))).toEqual([]);
});

test('each kind of cluster has its checklist', () => {
  for (const name of portolanValues.shape.cloudProvider.options.filter((one) => one !== 'generic'))
    expect(existsSync(join(ROOT, `docs/providers/${name}.md`)), name).toBe(true);
});
