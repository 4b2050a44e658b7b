import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { builtImages, type ImageName } from './built-images.ts';
import { ctr } from './cluster.ts';
import { succeed } from './program.ts';
import { temporaryFolder } from './temporary.ts';

/** Gives the node an image with a shell under a name of the running test, and takes it away again. */
export async function imageOnNode(reference: string): Promise<void> {
  const folder = await temporaryFolder();
  onTestFinished(async () => {
    await ctr('images', 'rm', reference);
  });
  await importImage('web', reference, folder);
}

/** Gives the node an image of `scripts/image` under another name. */
export async function importImage(recipe: ImageName, reference: string, folder: string): Promise<void> {
  const layout = join(folder, 'layout');
  await builtImages([recipe], layout);
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'));
  index.manifests[0].annotations['org.opencontainers.image.ref.name'] = reference;
  await writeFile(join(layout, 'index.json'), JSON.stringify(index));
  const archive = join(folder, 'image.tar');
  await succeed('tar', ['--create', '--file', archive, '--directory', layout, '.']);
  await ctr('images', 'import', archive);
}

/** Makes sure that the node has an image of `scripts/image` under its own name, whatever other tests have taken away. */
export async function ensureOnNode(recipe: ImageName, reference: string): Promise<void> {
  if ((await ctr('images', 'ls', '-q', `name==${reference}`)).trim() === reference) return;
  const folder = await mkdtemp(join(tmpdir(), 'portolan-image-'));
  await importImage(recipe, reference, folder).finally(() => rm(folder, { recursive: true, force: true }));
}
