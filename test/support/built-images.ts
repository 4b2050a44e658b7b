import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHECKOUT } from './importer.ts';
import { succeed } from './program.ts';

export type ImageName = 'pause' | 'web' | 'blog' | 'shop' | 'postgres' | 'portolan' | 'portolan-drill';

/**
 * A layout with images of scripts/image in a new folder. scripts/test builds all of them once, into the folder that
 * PORTOLAN_TEST_IMAGES names; without it they are built here.
 */
export async function builtImages(names: readonly ImageName[], layout: string): Promise<void> {
  const built = process.env.PORTOLAN_TEST_IMAGES;
  if (!built) {
    await succeed(join(CHECKOUT, 'scripts', 'image'), [...names, '--out', layout]);
    return;
  }
  await cp(built, layout, { recursive: true });
  const indexPath = join(layout, 'index.json');
  const index = JSON.parse(await readFile(indexPath, 'utf8')) as {
    manifests: { annotations: Readonly<Record<string, string>> }[];
  };
  const wanted = new RegExp(`/(?:${names.join('|')}):[^/]+$`);
  const manifests = index.manifests.filter(({ annotations }) =>
    wanted.test(annotations['org.opencontainers.image.ref.name'] ?? ''),
  );
  if (manifests.length !== names.length) throw new Error(`${built} does not hold each of ${names.join(', ')}`);
  await writeFile(indexPath, JSON.stringify({ ...index, manifests }));
}
