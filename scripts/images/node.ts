/** Node itself, from npm: the package holds the official program and has no install script. */
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture } from './apt.ts';
import { run } from './process.ts';
import { withWorkFolder } from './work-folder.ts';

export const NODE_CPU = { amd64: 'x64', arm64: 'arm64' } as const;

export interface FetchedNode {
  readonly version: string;
  /** Of the npm package, as in a lockfile. */
  readonly integrity: string;
  /** Holds bin/node and LICENSE. */
  readonly folder: string;
}

/** The version that the scripts themselves run on, for either architecture; npm checks it against its pinned hash. */
export async function fetchNode(
  architecture: Architecture,
  { cacheFolder, repositoryFolder }: { readonly cacheFolder: string; readonly repositoryFolder: string },
): Promise<FetchedNode> {
  const cpu = NODE_CPU[architecture];
  const pins = await readFile(join(repositoryFolder, 'scripts/lib/node.sh'), 'utf8');
  const version = /^readonly PORTOLAN_NODE_VERSION=(\S+)$/m.exec(pins)?.[1];
  const integrity = new RegExp(`^ *${cpu}\\) integrity=(sha512-\\S+) ;;$`, 'm').exec(pins)?.[1];
  if (version === undefined || integrity === undefined) {
    throw new Error(`scripts/lib/node.sh pins no Node for ${cpu} in the form that scripts/images/node.ts reads.`);
  }
  const name = `node-linux-${cpu}`;
  const target = join(cacheFolder, `node-${version}-${cpu}`);
  // scripts/lib/node.sh may have fetched the very same package beside this cache.
  for (const installed of [join(cacheFolder, '..', 'node', version), target]) {
    const folder = join(installed, 'node_modules', name);
    if (await stat(join(folder, 'bin/node')).catch(() => undefined)) return { version, integrity, folder };
  }
  await withWorkFolder(cacheFolder, async (work) => {
    const owner = { name: 'image-node', version: '1.0.0' };
    const dependencies = { [name]: version };
    const packages = { '': { ...owner, dependencies }, [`node_modules/${name}`]: { version, integrity } };
    await writeFile(join(work, 'package.json'), JSON.stringify({ ...owner, private: true, dependencies }));
    await writeFile(join(work, 'package-lock.json'), JSON.stringify({ ...owner, lockfileVersion: 3, packages }));
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--os=linux', `--cpu=${cpu}`], {
      cwd: work,
    });
    await mkdir(target, { recursive: true });
    await rename(join(work, 'node_modules'), join(target, 'node_modules'));
  });
  return { version, integrity, folder: join(target, 'node_modules', name) };
}
