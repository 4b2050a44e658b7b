import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
let folder = '';

function plant(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), `${text}\n`);
}

/** Runs knip with the project's own configuration over a small project. */
function knip(): { status: number | null; stdout: string } {
  return spawnSync(join(root, 'node_modules/.bin/knip'), ['--no-config-hints'], { cwd: folder, encoding: 'utf8' });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'portolan-knip-'));
  for (const name of ['knip.json', 'tsconfig.json', 'biome.json', 'vitest.config.ts']) {
    cpSync(join(root, name), join(folder, name));
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const needed = ['@biomejs/biome', '@types/node', 'fast-check', 'knip', 'typescript', 'vitest'];
  const kept = Object.fromEntries(needed.map((name) => [name, devDependencies[name]]));
  const scripts = { check: 'tsc && biome check && knip' };
  plant('package.json', JSON.stringify({ name: 'planted', type: 'module', scripts, devDependencies: kept }));
  plant('src/cli/main.ts', "import { used } from './used.ts';\n\nexport const entry = used;");
  plant('src/cli/used.ts', 'export const used = 1;');
  plant('test/setup/seed.ts', "import fc from 'fast-check';\n\nfc.configureGlobal({});");
  for (const name of ['peers', 'cluster']) plant(`test/setup/${name}.ts`, 'export default function setup(): void {}');
});

afterAll(() => rmSync(folder, { recursive: true }));

test('a clean project passes, and each kind of dead code is named', () => {
  const clean = knip();
  expect(clean).toMatchObject({ status: 0 });
  plant('src/core/orphan.ts', 'export const orphan = 1;');
  plant('src/cli/used.ts', 'export const used = 1;\nexport const exportedInVain = 2;');
  plant(
    'src/cli/main.ts',
    "import { parse } from 'yaml';\nimport { used } from './used.ts';\n\nexport const entry = parse(String(used));",
  );
  const { status, stdout } = knip();
  expect(status).toBe(1);
  for (const found of ['src/core/orphan.ts', 'exportedInVain', 'yaml']) expect(stdout).toContain(found);
});
