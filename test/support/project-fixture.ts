import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createBlobStore } from '../../src/adapters/blob-store/blob-store.ts';
import { createSourceChain } from '../../src/adapters/images/source-chain.ts';
import { createLayoutSource } from '../../src/adapters/oci-layout/layout-source.ts';
import { createProjectFiles } from '../../src/adapters/project-files/project-files.ts';
import type { ChartRenderer } from '../../src/ports/charts.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import type { LockDependencies } from '../../src/usecases/bundle/lock-types.ts';

export const HEAD = 'name: demo\nversion: 1.0.0\nsequence: 1\n';

export const chartYaml = (name: string, rest = '') => `apiVersion: v2\nname: ${name}\nversion: 0.1.0\n${rest}`;

/** Fails when it is asked: for what must not render. */
const noRenderer: ChartRenderer = {
  render: () => Promise.reject(new Error('nothing may be rendered here')),
};

/** A publisher's folder on disk, with a blob store beside it. `dispose` removes everything. */
export async function createProjectFixture(renderer: ChartRenderer = noRenderer) {
  const root = await mkdtemp(join(tmpdir(), 'portolan-project-'));
  const folder = join(root, 'project');
  await mkdir(folder);
  const warnings: string[] = [];
  const dependencies: LockDependencies = {
    files: createProjectFiles(),
    store: createBlobStore(join(root, 'store')),
    renderer,
    imageSource: ({ layouts }) =>
      createSourceChain(layouts.map((layout) => ({ name: layout, source: createLayoutSource(layout) }))),
    progress: { ...silentProgress, warn: (message) => warnings.push(message) },
  };
  return {
    root,
    folder,
    dependencies,
    warnings,
    path: (name: string) => join(folder, name),
    async write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
      for (const [name, content] of Object.entries(files)) {
        const path = join(folder, name);
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, content);
      }
    },
    /** Every file below the project's folder with its content. */
    snapshot: () => snapshotOf(folder),
    dispose: () => rm(root, { recursive: true, force: true }),
  };
}

export type ProjectFixture = Awaited<ReturnType<typeof createProjectFixture>>;

/** Every file below a folder with its content. */
async function snapshotOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(
    paths.sort().map(async (path) => [relative(folder, path), await readFile(path, 'base64')] as const),
  );
  return Object.fromEntries(contents);
}
