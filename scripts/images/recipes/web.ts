import { join } from 'node:path';
import { debianLayers } from '../debian.ts';
import type { ImagePlan, Recipe, RecipeContext } from '../image.ts';
import { addFile, addFolderContent, type Tree } from '../tree.ts';

/** nginx with the pages that every installation has. */
export const web: Recipe = { reference: 'portolan.local/cms/web:1.0.0', plan: planWeb };

/** One feature's pages on top of `web`: an image of its own, so that a bundle without the feature does not carry it. */
export const blog = featureRecipe('blog');
export const shop = featureRecipe('shop');

async function planWeb({ apt, repositoryFolder, workFolder }: RecipeContext): Promise<ImagePlan> {
  const { base, rest } = await debianLayers(await apt(), ['nginx'], workFolder);
  const server: Tree = new Map(rest.tree);
  for (const path of server.keys()) {
    if (/^(?:etc\/nginx\/(?!mime\.types$)|usr\/share\/nginx\/|var\/(?:www|log|lib\/nginx))/.test(path))
      server.delete(path);
  }
  const files = join(repositoryFolder, 'scripts/images/files');
  await addFile(server, 'etc/nginx/nginx.conf', join(files, 'web/nginx.conf'));
  const site: Tree = new Map();
  await addPages(site, join(files, 'site/core'), 'srv/www');
  return {
    title: 'web',
    description: 'nginx from Debian and the pages of the small content product.',
    licenses: 'BSD-2-Clause AND Apache-2.0',
    layers: [
      { title: 'Debian base', tree: base.tree },
      { title: 'nginx', tree: server },
      { title: 'pages', tree: site },
    ],
    config: {
      User: '101:101',
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

function featureRecipe(name: 'blog' | 'shop'): Recipe {
  return {
    reference: `portolan.local/cms/${name}:1.0.0`,
    async plan(context) {
      const plan = await planWeb(context);
      const pages: Tree = new Map();
      await addPages(pages, join(context.repositoryFolder, 'scripts/images/files/site', name), `srv/www/${name}`);
      return {
        ...plan,
        title: name,
        description: `The pages of the ${name}, on the web image.`,
        layers: [...plan.layers, { title: `pages of the ${name}`, tree: pages }],
        base: { reference: web.reference, plan },
      };
    },
  };
}

async function addPages(tree: Tree, folder: string, target: string): Promise<void> {
  await addFolderContent(tree, folder, (path) => `${target}/${path}`, { fixedModes: true });
}
