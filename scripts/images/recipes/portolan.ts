import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { accounts, type DebianLayer, debianLayers } from '../debian.ts';
import type { ImagePlan, Recipe, RecipeContext } from '../image.ts';
import { fetchNode, NODE_CPU } from '../node.ts';
import { run } from '../process.ts';
import { addFile, addFolderContent, addText, type Tree } from '../tree.ts';

const ID = 10001;
const CERTIFICATES = 'usr/share/ca-certificates/mozilla/';
/** Of npm packages: what no program reads. Licences stay. */
const UNREAD = /(?:^|\/)(?:\.bin|\.package-lock\.json)$|\.(?:d\.[cm]?ts|map|md|markdown)$/i;

const manifest = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

interface Kind {
  readonly title: string;
  readonly description: string;
  readonly layer: string;
  /** Of Debian: its programs are where the program looks for them. */
  readonly postgres: string;
}

/** This program on Node, with PostgreSQL's client programs: what migrations and backups run in a cluster. */
export const portolan = recipeOf({
  title: 'portolan',
  description: 'Portolan on Node 24 with the client programs of PostgreSQL 15.',
  layer: 'PostgreSQL clients and certificates',
  postgres: 'postgresql-client-15',
});

/** The same with PostgreSQL's server, which a drill starts and throws away. */
export const drill = recipeOf({
  title: 'portolan-drill',
  description: 'Portolan on Node 24 with the server and the client programs of PostgreSQL 15, for drills.',
  layer: 'PostgreSQL and certificates',
  postgres: 'postgresql-15',
});

function recipeOf(kind: Kind): Recipe {
  return {
    reference: `portolan.local/${kind.title}:${manifest.version}`,
    plan: (context) => plan(kind, context),
  };
}

async function plan(kind: Kind, context: RecipeContext): Promise<ImagePlan> {
  const { apt, architecture, repositoryFolder, workFolder } = context;
  const { base, rest } = await debianLayers(await apt(), [kind.postgres, 'ca-certificates'], workFolder);
  const node = await fetchNode(architecture, context);
  const lockfile = await readFile(join(repositoryFolder, 'package-lock.json'), 'utf8');
  return {
    title: kind.title,
    description: kind.description,
    licenses: 'Apache-2.0',
    layers: [
      { title: 'Debian base', ...base },
      { title: kind.layer, madeOf: rest.madeOf, tree: () => clientFiles(rest) },
      {
        title: `Node ${node.version}`,
        madeOf: `${architecture} ${node.integrity}`,
        tree: () => nodeFiles(node.folder),
      },
      { title: 'npm packages', madeOf: `${architecture} ${lockfile}`, tree: () => packageFiles(context) },
      { title: 'Portolan', tree: () => programFiles(repositoryFolder) },
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
}

/** With what update-ca-certificates makes of its package. */
async function clientFiles(rest: DebianLayer): Promise<Tree> {
  const tree: Tree = new Map(await rest.tree());
  let bundle = '';
  for (const [path, entry] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (path.startsWith(CERTIFICATES) && entry.kind === 'file' && typeof entry.source === 'string') {
      bundle += `${(await readFile(entry.source, 'utf8')).trimEnd()}\n`;
    }
  }
  addText(tree, 'etc/ssl/certs/ca-certificates.crt', bundle);
  return tree;
}

async function nodeFiles(folder: string): Promise<Tree> {
  const tree: Tree = new Map();
  await addFile(tree, 'usr/local/bin/node', join(folder, 'bin/node'), 0o755);
  await addFile(tree, 'usr/local/share/doc/node/LICENSE', join(folder, 'LICENSE'));
  return tree;
}

/** The production dependencies, as package-lock.json pins them, whatever the checkout's own node_modules holds. */
async function packageFiles({ architecture, repositoryFolder, workFolder }: RecipeContext): Promise<Tree> {
  const folder = join(workFolder, 'packages');
  await mkdir(folder);
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
    await cp(join(repositoryFolder, name), join(folder, name));
  }
  const flags = ['--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  const target = ['--os=linux', `--cpu=${NODE_CPU[architecture]}`, '--libc=glibc'];
  await run('npm', ['ci', ...flags, ...target], { cwd: folder });
  const tree: Tree = new Map();
  await addFolderContent(
    tree,
    join(folder, 'node_modules'),
    (path) => (UNREAD.test(path) && !/licen[cs]e/i.test(path) ? undefined : `opt/portolan/node_modules/${path}`),
    { fixedModes: true },
  );
  return tree;
}

async function programFiles(repositoryFolder: string): Promise<Tree> {
  const tree: Tree = new Map();
  const { passwd, group } = accounts({ name: 'portolan', id: ID, home: '/tmp' });
  addText(tree, 'etc/passwd', passwd);
  addText(tree, 'etc/group', group);
  await addFolderContent(tree, join(repositoryFolder, 'src'), (path) => `opt/portolan/src/${path}`, {
    fixedModes: true,
  });
  for (const name of ['package.json', 'LICENSE'])
    await addFile(tree, `opt/portolan/${name}`, join(repositoryFolder, name));
  return tree;
}
