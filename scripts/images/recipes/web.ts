import { join } from 'node:path';
import { accounts, type DebianLayer, debianLayers } from '../debian.ts';
import type { ImagePlan, Recipe, RecipeContext } from '../image.ts';
import { addFile, addFolderContent, addText, type Tree } from '../tree.ts';

const ID = 101;
/** Of nginx's packages: example sites and snippets, logs, and a server's folders. Our own configuration needs the media types only. */
const UNUSED = /^(?:etc\/nginx\/(?!mime\.types$)|usr\/share\/nginx(?:\/|$)|var\/(?:www|log|lib\/nginx)(?:\/|$))/;

/** nginx with the pages that every installation has. */
export const web: Recipe = { reference: 'portolan.local/cms/web:1.0.0', plan: planWeb };

/** One feature's pages on top of `web`: an image of its own, so that a bundle without the feature does not carry it. */
export const blog = featureRecipe('blog');
export const shop = featureRecipe('shop');

async function planWeb({ apt, repositoryFolder, workFolder }: RecipeContext): Promise<ImagePlan> {
  const { base, rest } = await debianLayers(await apt(), ['nginx'], workFolder);
  return {
    title: 'web',
    description: 'nginx from Debian and the pages of the small content product.',
    licenses: 'BSD-2-Clause AND Apache-2.0',
    layers: [
      { title: 'Debian base', ...base },
      { title: 'nginx', madeOf: rest.madeOf, tree: () => serverFiles(rest) },
      { title: 'configuration and pages', tree: () => ownFiles(join(repositoryFolder, 'scripts/images/files')) },
    ],
    config: {
      User: `${ID}:${ID}`,
      // Its compiled-in log file is opened before the configuration is read.
      Entrypoint: ['/usr/sbin/nginx', '-e', 'stderr', '-g', 'daemon off;'],
      Env: ['PATH=/usr/sbin:/usr/bin', 'LANG=C.UTF-8'],
      WorkingDir: '/srv/www',
      ExposedPorts: { '8080/tcp': {} },
      StopSignal: 'SIGQUIT',
    },
    packages: [...base.packages, ...rest.packages].sort(),
  };
}

async function serverFiles(rest: DebianLayer): Promise<Tree> {
  return new Map([...(await rest.tree())].filter(([path]) => !UNUSED.test(path)));
}

async function ownFiles(folder: string): Promise<Tree> {
  const tree: Tree = new Map();
  const { passwd, group } = accounts({ name: 'web', id: ID, home: '/srv/www' });
  addText(tree, 'etc/passwd', passwd);
  addText(tree, 'etc/group', group);
  await addFile(tree, 'etc/nginx/nginx.conf', join(folder, 'web/nginx.conf'));
  await addPages(tree, join(folder, 'site/core'), 'srv/www');
  return tree;
}

function featureRecipe(name: 'blog' | 'shop'): Recipe {
  return {
    reference: `portolan.local/cms/${name}:1.0.0`,
    async plan(context) {
      const plan = await planWeb(context);
      const tree = async (): Promise<Tree> => {
        const pages: Tree = new Map();
        await addPages(pages, join(context.repositoryFolder, 'scripts/images/files/site', name), `srv/www/${name}`);
        return pages;
      };
      return {
        ...plan,
        title: name,
        description: `The pages of the ${name}, on the web image.`,
        layers: [...plan.layers, { title: `pages of the ${name}`, tree }],
        base: { reference: web.reference, plan },
      };
    },
  };
}

async function addPages(tree: Tree, folder: string, target: string): Promise<void> {
  await addFolderContent(tree, folder, (path) => `${target}/${path}`, { fixedModes: true });
}
