/**
 * The program as one CommonJS file, which is what a single executable runs. Dynamic imports stay lazy: esbuild turns each module
 * into a function that runs when it is first wanted. A worker's module becomes a file of its own inside the text, as a
 * `data:` URL.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

/** How the sources name the module of a worker. */
const WORKER_URL = /new URL\('(\.{1,2}\/[\w/.-]+\.ts)', import\.meta\.url\)/g;

const REQUIRE_IN_MODULE =
  "import { createRequire as requireOf } from 'node:module'; const require = requireOf(process.execPath);";

export interface ProgramCode {
  readonly text: string;
  /** npm packages whose code is inside, by their folder below node_modules. */
  readonly packages: readonly string[];
}

export async function bundleProgram(repositoryFolder: string): Promise<ProgramCode> {
  const packages = new Set<string>();
  const text = await bundle(repositoryFolder, 'src/cli/main.ts', 'cjs', packages);
  if (/\bimport\.meta\b/.test(text))
    throw new Error('import.meta is left in the program: it has no meaning inside an executable.');
  return { text, packages: [...packages].sort() };
}

async function bundle(
  repositoryFolder: string,
  entry: string,
  format: 'cjs' | 'esm',
  packages: Set<string>,
): Promise<string> {
  const options = {
    absWorkingDir: repositoryFolder,
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    target: 'node24',
    format,
    // Packages in CommonJS, such as pg, ask for Node's own modules; a module of a worker has no `require` by itself.
    banner: { js: format === 'esm' ? REQUIRE_IN_MODULE : '' },
    // What is read first is small; names stay, for stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    charset: 'utf8',
    write: false,
    metafile: true,
    logLevel: 'silent',
    // pg asks for its native twin, and does without.
    external: ['pg-native'],
    // The environment must not choose another tsconfig or other packages.
    tsconfigRaw: '{}',
    nodePaths: [],
    plugins: [workersInside(repositoryFolder, packages)],
  } satisfies BuildOptions;
  const { outputFiles, metafile, warnings } = await build(options);
  if (warnings.length > 0) throw new Error(`esbuild warns: ${warnings.map(({ text }) => text).join('; ')}`);
  for (const input of Object.keys(metafile.inputs)) {
    const name = /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[0];
    if (name !== undefined) packages.add(name.slice(0, -1));
  }
  const [file] = outputFiles;
  if (file === undefined || outputFiles.length !== 1) throw new Error('esbuild made no single file');
  return file.text;
}

function workersInside(repositoryFolder: string, packages: Set<string>): Plugin {
  return {
    name: 'workers-inside',
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        let contents = await readFile(path, 'utf8');
        for (const [whole, name] of contents.matchAll(WORKER_URL)) {
          const entry = relative(repositoryFolder, join(dirname(path), name as string));
          const text = await bundle(repositoryFolder, entry, 'esm', packages);
          const url = `data:text/javascript;base64,${Buffer.from(text).toString('base64')}`;
          contents = contents.replace(whole, () => `new URL('${url}')`);
        }
        return { contents, loader: 'ts' };
      });
    },
  };
}
