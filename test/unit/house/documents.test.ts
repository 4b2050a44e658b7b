import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { generatedDocuments } from '../../../scripts/generate-docs.ts';
import { projectFiles, ROOT } from './project-files.ts';

const text = (path: string) => readFileSync(join(ROOT, path), 'utf8');

describe('generated documents are not stale (npm run docs)', async () => {
  test.each([...(await generatedDocuments())])('%s', (path, content) => {
    expect(text(path) === content, `${path} is stale: run npm run docs`).toBe(true);
  });
});

describe('links between documents lead somewhere', () => {
  test.each(projectFiles().filter((path) => path.endsWith('.md')))('%s', (path) => {
    const links = [...text(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? '');
    const broken = links
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => !existsSync(join(ROOT, dirname(path), link)));
    expect(broken).toEqual([]);
  });
});

describe('dependencies', () => {
  const manifest = JSON.parse(text('package.json')) as { dependencies: Record<string, string> };
  const lock = JSON.parse(text('package-lock.json')) as {
    packages: Record<string, { resolved?: string; integrity?: string; dev?: boolean; hasInstallScript?: boolean }>;
  };
  const rows = [...text('docs/dependencies.md').matchAll(/^\| (@?[a-z][a-z0-9/-]*) [\d.]+ \|/gm)].map(
    (match) => match[1],
  );

  test('each one is argued, and nothing else is', () => {
    expect(rows.toSorted()).toEqual(Object.keys(manifest.dependencies).toSorted());
  });

  test('the number of packages is true', () => {
    const runtime = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true);
    const count = text('docs/dependencies.md').match(/(\d+) packages are installed in all, the (\d+) below/);
    expect(count?.slice(1).map(Number)).toEqual([runtime.length, rows.length]);
  });

  test('the lockfile pins by content and names no download address', () => {
    for (const [path, { resolved, integrity }] of Object.entries(lock.packages)) {
      expect(resolved, path).toBeUndefined();
      if (path !== '') expect(integrity, path).toMatch(/^sha512-/);
    }
  });
});
