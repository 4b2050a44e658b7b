import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERROR_CATALOGUE } from '../../../src/cli/error-catalogue.ts';
import { projectFiles, ROOT } from './project-files.ts';

const files = projectFiles();
const text = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const typescript = files.filter((path) => path.endsWith('.ts'));
const bash = files.filter(
  (path) => /^(scripts|\.ci)\//.test(path) && /^#(!\/usr\/bin\/env bash| shellcheck shell=bash)/.test(text(path)),
);

describe('TypeScript files', () => {
  test('have kebab-case names', () => {
    expect(typescript.filter((path) => !/^[a-z0-9]+([.-][a-z0-9]+)*\.ts$/.test(basename(path)))).toEqual([]);
  });

  test('above 400 lines say at their top why', () => {
    const long = typescript.filter((path) => path.startsWith('src/') && text(path).split('\n').length > 400);
    expect(long.filter((path) => !text(path).slice(0, 500).includes('400 lines'))).toEqual([]);
  });

  test('hold no unfinished business and no test that does not run', () => {
    // Put together here, so that this file does not hold the words itself.
    const marks = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|');
    const pattern = new RegExp(`\\b(${marks})\\b|\\b(test|it|describe)\\.(skip|only|to${'do'}|skipIf|runIf)\\b`);
    expect(typescript.filter((path) => pattern.test(text(path)))).toEqual([]);
  });

  test('under test/ are tests of a known project, or help one', () => {
    const tests = typescript.filter((path) => path.endsWith('.test.ts'));
    expect(tests.filter((path) => !/^test\/(unit|integration|cluster|soak)\//.test(path))).toEqual([]);
  });
});

describe('bash scripts', () => {
  test('are found', () => {
    expect(bash).toEqual(
      expect.arrayContaining(['.ci/run', 'scripts/portolan', 'scripts/peers', 'scripts/test', 'scripts/lib/node.sh']),
    );
  });

  test.each(bash)('%s parses, and what has a first line to run it by is executable', (path) => {
    expect(spawnSync('bash', ['-n', join(ROOT, path)], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    if (text(path).startsWith('#!')) {
      expect(statSync(join(ROOT, path)).mode & 0o111).toBe(0o111);
      expect(text(path)).toContain('set -euo pipefail');
    }
  });

  test('scripts/test refuses a suite that it does not know', () => {
    const { status, stdout, stderr } = spawnSync(join(ROOT, 'scripts/test'), ['everything'], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('soak');
  });
});

test('every error code that is explained can happen', () => {
  const raising = typescript
    .filter((path) => path.startsWith('src/') && !/\/(errors\.ts|error-catalogue\/[\w-]+\.ts)$/.test(path))
    .map(text)
    .join('\n');
  expect(Object.keys(ERROR_CATALOGUE).filter((code) => !raising.includes(`'${code}'`))).toEqual([]);
});

test('no error code is explained twice', () => {
  const explained = typescript
    .filter((path) => path.startsWith('src/cli/error-catalogue/'))
    .flatMap((path) => [...text(path).matchAll(/^ {2}([A-Z][A-Z0-9_]*): \{$/gm)].map(([, code]) => code));
  expect(explained.toSorted()).toEqual(Object.keys(ERROR_CATALOGUE).toSorted());
});
