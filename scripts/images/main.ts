/** The command line of scripts/image. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Architecture } from './apt.ts';
import { buildImage } from './image.ts';
import { recipes } from './recipes.ts';

const USAGE = `Usage: scripts/image NAME... [--out LAYOUT] [--arch amd64|arm64]... [--json]

Builds container images without a container engine and without root, the same bytes each time, into an OCI image
layout. Names: ${Object.keys(recipes).join(', ')}, or all.

  --out LAYOUT   the layout's folder; images that are already in it stay
                 (default: $XDG_CACHE_HOME/portolan/images or ~/.cache/portolan/images)
  --arch ARCH    amd64 or arm64; given twice, the tag names an index of both (default: this machine's)
  --json         one line of JSON for each image on standard output

Needs apt-get and dpkg-deb of Debian 12 with its package sources, go for pause, npm for portolan.

Examples:
  scripts/image web
  scripts/image all --out bundles/cms/.images
  scripts/image portolan --arch amd64 --arch arm64 --json
`;

const NATIVE: Readonly<Record<string, Architecture>> = { x64: 'amd64', arm64: 'arm64' };

async function main(): Promise<number> {
  const { values, positionals } = parse();
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const names = positionals.includes('all') ? Object.keys(recipes) : [...new Set(positionals)];
  const unknown = names.find((name) => !Object.hasOwn(recipes, name));
  if (unknown !== undefined || names.length === 0) {
    throw new UsageProblem(unknown === undefined ? 'Name an image.' : `There is no image ${unknown}.`);
  }
  const architectures = [...new Set(values.arch ?? [NATIVE[process.arch] ?? process.arch])].sort();
  const wrong = architectures.find((name) => name !== 'amd64' && name !== 'arm64');
  if (wrong !== undefined) throw new UsageProblem(`Images are built for amd64 and arm64, not for ${wrong}.`);
  const cacheFolder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'portolan');
  const layoutFolder = resolve(values.out ?? join(cacheFolder, 'images'));
  for (const name of names) {
    const started = performance.now();
    const built = await buildImage({
      recipe: recipes[name] as NonNullable<(typeof recipes)[string]>,
      architectures: architectures as Architecture[],
      layoutFolder,
      cacheFolder: join(cacheFolder, 'image-parts'),
      repositoryFolder: resolve(import.meta.dirname, '../..'),
    });
    const seconds = (performance.now() - started) / 1000;
    const { reference, layerBytes, packages } = built;
    const { digest } = built.descriptor;
    const line = { name, reference, digest, architectures, layerBytes, packages, layout: layoutFolder };
    if (values.json) process.stdout.write(`${JSON.stringify(line)}\n`);
    else
      process.stdout.write(
        `${reference}@${digest}  ${(layerBytes / 1e6).toFixed(1)} MB in layers, ${seconds.toFixed(1)} s\n`,
      );
  }
  return 0;
}

class UsageProblem extends Error {}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        out: { type: 'string' },
        arch: { type: 'string', multiple: true },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (cause) {
    throw new UsageProblem((cause as Error).message);
  }
}

try {
  process.exitCode = await main();
} catch (cause) {
  const wrongUse = cause instanceof UsageProblem;
  process.stderr.write(`scripts/image: ${(cause as Error).message}\n${wrongUse ? `\n${USAGE}` : ''}`);
  process.exitCode = wrongUse ? 2 : 1;
}
