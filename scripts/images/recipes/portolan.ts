import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { accounts, debianLayers } from '../debian.ts';
import type { Recipe, RecipeContext } from '../image.ts';
import { run } from '../process.ts';
import { addFile, addFolderContent, addText, type Tree } from '../tree.ts';

const ID = 10001;
const NODE_CPU = { amd64: 'x64', arm64: 'arm64' } as const;
const CERTIFICATES = 'usr/share/ca-certificates/mozilla/';

const manifest = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

/** This program on Node, with PostgreSQL's client programs: what migrations and backups run in a cluster. */
export const portolan: Recipe = {
  reference: `portolan.local/portolan:${manifest.version}`,
  async plan(context) {
    const { apt, repositoryFolder, workFolder } = context;
    const { base, rest } = await debianLayers(await apt(), ['postgresql-client-15', 'ca-certificates'], workFolder);
    const clients: Tree = new Map(rest.tree);
    await addCertificates(clients);
    const node: Tree = new Map();
    const nodeFolder = await fetchNode(context);
    await addFile(node, 'usr/local/bin/node', join(nodeFolder, 'bin/node'), 0o755);
    await addFile(node, 'usr/local/share/doc/node/LICENSE', join(nodeFolder, 'LICENSE'));
    const program: Tree = new Map();
    await addProgram(program, context);
    const { passwd, group } = accounts({ name: 'portolan', id: ID, home: '/tmp' });
    addText(program, 'etc/passwd', passwd);
    addText(program, 'etc/group', group);
    await addFolderContent(program, join(repositoryFolder, 'src'), (path) => `opt/portolan/src/${path}`, {
      fixedModes: true,
    });
    return {
      title: 'portolan',
      description: 'Portolan on Node 24 with the client programs of PostgreSQL 15.',
      licenses: 'Apache-2.0',
      layers: [
        { title: 'Debian base', tree: base.tree },
        { title: 'PostgreSQL clients and certificates', tree: clients },
        { title: `Node ${process.versions.node}`, tree: node },
        { title: 'Portolan', tree: program },
      ],
      config: {
        User: `${ID}:${ID}`,
        Entrypoint: ['/usr/local/bin/node', '/opt/portolan/src/cli/main.ts'],
        Cmd: ['--help'],
        Env: [
          'PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/bin',
          'LANG=C.UTF-8',
          'HOME=/tmp',
          'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt',
        ],
        WorkingDir: '/tmp',
      },
      packages: [...base.packages, ...rest.packages].sort(),
    };
  },
};

/** What update-ca-certificates makes of the package. */
async function addCertificates(tree: Tree): Promise<void> {
  let bundle = '';
  for (const [path, entry] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (path.startsWith(CERTIFICATES) && entry.kind === 'file' && typeof entry.source === 'string') {
      bundle += `${(await readFile(entry.source, 'utf8')).trimEnd()}\n`;
    }
  }
  addText(tree, 'etc/ssl/certs/ca-certificates.crt', bundle);
}

/** Node itself, of the version that runs this, from npm: the package holds the official program and no install script. */
async function fetchNode({ architecture, cacheFolder }: RecipeContext): Promise<string> {
  const name = `node-linux-${NODE_CPU[architecture]}`;
  const version = process.versions.node;
  const prefix = join(cacheFolder, `image-node-${version}-${architecture}`);
  const folder = join(prefix, 'node_modules', name);
  const installed = await readFile(join(folder, 'package.json'), 'utf8').catch(() => undefined);
  if (installed !== undefined) return folder;
  await mkdir(prefix, { recursive: true });
  // --force: npm refuses a package for another processor.
  const flags = ['--prefix', prefix, '--force', '--ignore-scripts', '--no-save', '--no-audit', '--no-fund'];
  await run('npm', ['install', ...flags, `${name}@${version}`], { cwd: prefix });
  return folder;
}

/** The production dependencies, as package-lock.json pins them, whatever the checkout's own node_modules holds. */
async function addProgram(tree: Tree, { architecture, repositoryFolder, workFolder }: RecipeContext): Promise<void> {
  const folder = join(workFolder, 'program');
  await mkdir(folder);
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
    await cp(join(repositoryFolder, name), join(folder, name));
  }
  const flags = ['--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  const target = ['--os=linux', `--cpu=${NODE_CPU[architecture]}`, '--libc=glibc'];
  await run('npm', ['ci', ...flags, ...target], { cwd: folder });
  const unread = /(?:^|\/)(?:\.bin|\.package-lock\.json)$|\.(?:d\.[cm]?ts|map|md|markdown)$/i;
  await addFolderContent(
    tree,
    join(folder, 'node_modules'),
    (path) => (unread.test(path) && !/licen[cs]e/i.test(path) ? undefined : `opt/portolan/node_modules/${path}`),
    { fixedModes: true },
  );
  await addFile(tree, 'opt/portolan/package.json', join(repositoryFolder, 'package.json'));
  await addFile(tree, 'opt/portolan/LICENSE', join(repositoryFolder, 'LICENSE'));
}
