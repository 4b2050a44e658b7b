import { join } from 'node:path';
import { accounts, debianLayers } from '../debian.ts';
import type { Recipe } from '../image.ts';
import { addFile, addFolder, addText, type Tree } from '../tree.ts';

const ID = 999;

/** PostgreSQL 15 of Debian with its client programs, run by uid 999. */
export const postgres: Recipe = {
  reference: 'portolan.local/cms/postgres:1.0.0',
  async plan({ apt, repositoryFolder, workFolder }) {
    const { base, rest } = await debianLayers(await apt(), ['postgresql-15'], workFolder);
    return {
      title: 'postgres',
      description: 'PostgreSQL 15 server and client programs from Debian.',
      licenses: 'PostgreSQL',
      layers: [
        { title: 'Debian base', ...base },
        { title: 'PostgreSQL 15', ...rest },
        { title: 'entry point and accounts', tree: () => ownFiles(repositoryFolder) },
      ],
      config: {
        User: `${ID}:${ID}`,
        Entrypoint: ['/usr/local/bin/postgres-entrypoint'],
        Cmd: ['postgres'],
        Env: [
          'PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/bin',
          'LANG=C.UTF-8',
          'TZ=Etc/UTC',
          'PGDATA=/var/lib/postgresql/data/pgdata',
        ],
        WorkingDir: '/var/lib/postgresql',
        ExposedPorts: { '5432/tcp': {} },
        Volumes: { '/var/lib/postgresql/data': {} },
        // A fast shutdown: SIGTERM would wait for every client to leave.
        StopSignal: 'SIGINT',
      },
      packages: [...base.packages, ...rest.packages].sort(),
    };
  },
};

async function ownFiles(repositoryFolder: string): Promise<Tree> {
  const tree: Tree = new Map();
  const { passwd, group } = accounts({ name: 'postgres', id: ID, home: '/var/lib/postgresql' });
  addText(tree, 'etc/passwd', passwd);
  addText(tree, 'etc/group', group);
  addFolder(tree, 'var/lib/postgresql', 0o755, { uid: ID });
  addFolder(tree, 'var/lib/postgresql/data', 0o700, { uid: ID });
  addFolder(tree, 'run/postgresql', 0o755, { uid: ID });
  addFolder(tree, 'docker-entrypoint-initdb.d');
  const entrypoint = join(repositoryFolder, 'scripts/images/files/postgres/entrypoint.sh');
  await addFile(tree, 'usr/local/bin/postgres-entrypoint', entrypoint, 0o755);
  return tree;
}
