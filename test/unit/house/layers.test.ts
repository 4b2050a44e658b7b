import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** docs/architecture.md, written down a second time: biome.json must agree with it. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  formats: ['core'],
  ports: ['core', 'formats'],
  adapters: ['core', 'formats', 'ports'],
  usecases: ['core', 'formats', 'ports'],
  compose: ['core', 'formats', 'ports', 'adapters', 'usecases'],
  cli: ['core', 'formats', 'ports', 'usecases', 'compose'],
};
const LAYERS = Object.keys(MAY_IMPORT);
const BELOW_CLI = LAYERS.filter((layer) => layer !== 'cli');
const PAIRS = LAYERS.flatMap((from) => LAYERS.filter((to) => to !== from).map((to) => ({ from, to })));

/** Statements that no layer below the command line may hold. */
const AMBIENT: Readonly<Record<string, string>> = {
  environment: 'export const found = process.env.HOME;',
  arguments: 'export const found = process.argv;',
  output: "export const found = process.stdout.write('x');",
  exit: 'export const found = () => process.exit(1);',
  console: "export const found = () => console.error('x');",
  clock: 'export const found = Date.now();',
  date: 'export const found = new Date();',
  'process-module': "import { env } from 'node:process';\nexport const found = env.HOME;",
};

const root = join(import.meta.dirname, '../../..');
let folder = '';
/** The rules that Biome reports, by the file below the planted src/. */
const reported = new Map<string, string[]>();

function plant(path: string, text: string): void {
  const file = join(folder, 'src', path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${text}\n`);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'portolan-layers-'));
  cpSync(join(root, 'biome.json'), join(folder, 'biome.json'));
  cpSync(join(root, 'scripts/lint'), join(folder, 'scripts/lint'), { recursive: true });
  for (const layer of LAYERS) plant(`${layer}/thing/value.ts`, 'export const value = 1;');
  for (const { from, to } of PAIRS) {
    plant(`${from}/imports-${to}.ts`, `import { value } from '../${to}/thing/value.ts';\n\nexport const copy = value;`);
    plant(`${from}/deep/imports-${to}.ts`, `export * from '../../${to}/thing/value.ts';`);
    plant(`${from}/lazy/imports-${to}.ts`, `export const lazy = () => import('../../${to}/thing/value.ts');`);
  }
  for (const layer of BELOW_CLI) {
    for (const [name, text] of Object.entries(AMBIENT)) plant(`${layer}/ambient-${name}.ts`, text);
  }
  plant('core/first.ts', "import { second } from './second.ts';\n\nexport const first = () => second;");
  plant('core/second.ts', "import { first } from './first.ts';\n\nexport const second = () => first;");
  plant('adapters/errors.ts', 'export const value = 1;');
  plant('cli/catalogue.ts', "import { value } from '../adapters/errors.ts';\n\nexport const copy = value;");
  plant('adapters/lock.ts', 'export const holder = process.pid;');

  const { stdout } = spawnSync(
    join(root, 'node_modules/.bin/biome'),
    ['lint', '--max-diagnostics=none', '--reporter=json', 'src'],
    { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  const report = JSON.parse(stdout) as { diagnostics: { category: string; location: { path: unknown } }[] };
  for (const { category, location } of report.diagnostics) {
    const path = typeof location.path === 'string' ? location.path : (location.path as { file: string }).file;
    const key = path.replace(/^.*?src\//, '');
    reported.set(key, [...(reported.get(key) ?? []), category]);
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('imports point down', () => {
  test.each(PAIRS)('$from may import $to only as the table says', ({ from, to }) => {
    const expected = MAY_IMPORT[from]?.includes(to) === true ? [] : ['lint/style/noRestrictedImports'];
    for (const place of ['', 'deep/', 'lazy/']) {
      expect(reported.get(`${from}/${place}imports-${to}.ts`) ?? [], place).toEqual(expected);
    }
  });

  test('the catalogue of errors may name the codes of adapters', () => {
    expect(reported.get('cli/catalogue.ts')).toBeUndefined();
  });

  test('a cycle is reported', () => {
    expect(reported.get('core/first.ts')).toContain('lint/suspicious/noImportCycles');
  });
});

describe('below the command line nothing looks around', () => {
  const plants = BELOW_CLI.flatMap((layer) => Object.keys(AMBIENT).map((name) => ({ layer, name })));
  test.each(plants)('$name in $layer', ({ layer, name }) => {
    expect(reported.get(`${layer}/ambient-${name}.ts`)).toBeDefined();
  });

  test('an adapter may know its process id', () => {
    expect(reported.get('adapters/lock.ts')).toBeUndefined();
  });
});
