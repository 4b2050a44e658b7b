/** Node itself, from npm: the package holds the official program and has no install script. */
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture } from './apt.ts';
import { run } from './process.ts';

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
  const folder = join(target, 'node_modules', name);
  if (await stat(join(folder, 'bin/node')).catch(() => undefined)) return { version, integrity, folder };
  const work = await mkdtemp(join(cacheFolder, '.node-'));
  try {
    const owner = { name: 'image-node', version: '1.0.0' };
    const dependencies = { [name]: version };
    const packages = { '': { ...owner, dependencies }, [`node_modules/${name}`]: { version, integrity } };
    await writeFile(join(work, 'package.json'), JSON.stringify({ ...owner, private: true, dependencies }));
    await writeFile(join(work, 'package-lock.json'), JSON.stringify({ ...owner, lockfileVersion: 3, packages }));
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--os=linux', `--cpu=${cpu}`], {
      cwd: work,
    });
    await rm(target, { recursive: true, force: true });
    await rename(work, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return { version, integrity, folder };
}
