/** The command line of scripts/build-importer. */
import { createHash } from 'node:crypto';
import { access, constants, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { basename, delimiter, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchNode } from '../images/node.ts';
import { bundleProgram } from './code.ts';
import { readElf } from './elf.ts';
import { makeExecutable } from './executable.ts';
import { licensesOf } from './licenses.ts';

const USAGE = `Usage: scripts/build-importer [--platform PLATFORM] [--out FILE | --tools FOLDER [--helm FILE]] [--json]

Builds the importer: the whole of Portolan in one executable file, which needs neither Node nor a network. Writes the
licences of what is inside beside it, as NAME.licenses.txt, and prints the SHA-256. The same sources give the same
bytes, on any machine with a processor of the same kind.

  --platform P     linux-x64 or linux-arm64 (default: this machine's); the other one than this machine's starts a little
                   slower, since it is compiled at each start
  --out FILE       where it goes (default: out/portolan-PLATFORM)
  --tools FOLDER   for bundles: writes FOLDER/linux-ARCH/portolan, and helm beside it
  --helm FILE      the helm for that platform (default: the one on PATH)
  --json           one line of JSON on standard output

Needs npm, once, for Node of that platform.

Examples:
  scripts/build-importer
  scripts/build-importer --platform linux-arm64 --out portolan
  scripts/build-importer --tools bundles/cms/.tools
`;

const PLATFORMS = {
  'linux-x64': { machine: 'x64', architecture: 'amd64' },
  'linux-arm64': { machine: 'arm64', architecture: 'arm64' },
} as const;
type Platform = keyof typeof PLATFORMS;

const repositoryFolder = resolve(import.meta.dirname, '../..');

async function main(): Promise<void> {
  const values = parse();
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const platform = values.platform ?? `linux-${process.arch}`;
  if (!isPlatform(platform)) throw new UsageProblem(`There is no importer for ${platform}.`);
  if (values.out !== undefined && values.tools !== undefined)
    throw new UsageProblem('Give --out or --tools, not both.');
  if (values.helm !== undefined && values.tools === undefined) throw new UsageProblem('--helm goes with --tools.');
  const { machine, architecture } = PLATFORMS[platform];
  const tools = values.tools === undefined ? undefined : resolve(values.tools, `linux-${architecture}`);
  const out =
    tools === undefined
      ? resolve(values.out ?? join(repositoryFolder, 'out', `portolan-${platform}`))
      : join(tools, 'portolan');
  // Before the work: is there a helm to go with it?
  const helm = tools === undefined ? undefined : await readHelm(values.helm, machine);

  const cacheFolder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'portolan', 'image-parts');
  await mkdir(cacheFolder, { recursive: true });
  const node = await fetchNode(architecture, { cacheFolder, repositoryFolder });
  const { text, packages } = await bundleProgram(repositoryFolder);
  const licenses = await licensesOf({ repositoryFolder, nodeFolder: node.folder, nodeVersion: node.version, packages });
  const workFolder = await mkdtemp(join(tmpdir(), 'portolan-importer-'));
  try {
    const executable = await makeExecutable({ text, node: join(node.folder, 'bin/node'), machine, workFolder });
    await mkdir(dirname(out), { recursive: true });
    await replaceFile(`${out}.licenses.txt`, licenses, 0o644);
    await replaceFile(out, executable, 0o755);
    const written = [describe(out, executable)];
    if (tools !== undefined && helm !== undefined) {
      await replaceFile(join(tools, 'helm'), helm, 0o755);
      written.push(describe(join(tools, 'helm'), helm));
    }
    if (values.json) process.stdout.write(`${JSON.stringify({ platform, node: node.version, files: written })}\n`);
    // As sha256sum prints it, for `sha256sum --check`.
    else for (const { path, sha256 } of written) process.stdout.write(`${sha256}  ${path}\n`);
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

function isPlatform(name: string): name is Platform {
  return Object.hasOwn(PLATFORMS, name);
}

function describe(path: string, bytes: Buffer) {
  return { path, sha256: createHash('sha256').update(bytes).digest('hex'), sizeBytes: bytes.length };
}

/** A running program cannot be written to, but its name can be given to another file. */
async function replaceFile(path: string, content: Buffer | string, mode: number): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    await writeFile(temporary, content, { mode });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function readHelm(file: string | undefined, machine: 'x64' | 'arm64'): Promise<Buffer> {
  const path = file ?? (await onPath('helm'));
  if (path === undefined) throw new Error('there is no helm on PATH; name one with --helm FILE');
  const bytes = await readFile(path);
  const found = readElf(bytes).machine;
  if (found !== machine) throw new Error(`${path} is a helm for ${found}; name one for ${machine} with --helm FILE`);
  return bytes;
}

async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (folder !== '' && isThere) return path;
  }
  return undefined;
}

class UsageProblem extends Error {}

function parse() {
  try {
    return parseArgs({
      options: {
        platform: { type: 'string' },
        out: { type: 'string' },
        tools: { type: 'string' },
        helm: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageProblem((cause as Error).message);
  }
}

try {
  await main();
} catch (cause) {
  const wrongUse = cause instanceof UsageProblem;
  process.stderr.write(`scripts/build-importer: ${(cause as Error).message}\n${wrongUse ? `\n${USAGE}` : ''}`);
  process.exitCode = wrongUse ? 2 : 1;
}
