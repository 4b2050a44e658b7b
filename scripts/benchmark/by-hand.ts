import { link, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { measure } from './measure.ts';
import { type Project, type ProjectImage, writeLayoutFiles } from './project.ts';

/**
 * Packs images as people do by hand: an archive of each, as `docker save` writes it (an OCI layout that is a docker archive
 * as well, with layers as they were pulled), all of them in one tar archive, sealed by age.
 */
export async function sealByHand(
  { images, blobs }: Project,
  { folder, recipients, sealed }: { readonly folder: string; readonly recipients: string; readonly sealed: string },
): Promise<void> {
  const archives = join(folder, 'archives');
  await mkdir(archives, { recursive: true });
  for (const image of images) {
    const layout = join(folder, 'layout');
    await writeArchiveFolder(layout, blobs, image);
    await measure(`cd ${layout} && tar -c -f ${archives}/${archiveName(image)} * && rm -r ${layout}`);
  }
  await measure(`tar -c -C ${archives} . | age -R ${recipients} -o ${sealed} && rm -r ${folder}`);
}

export function archiveName({ name }: ProjectImage): string {
  return `${name.replace(':', '-')}.tar`;
}

async function writeArchiveFolder(layout: string, blobs: string, image: ProjectImage): Promise<void> {
  const inside = join(layout, 'blobs', 'sha256');
  await mkdir(inside, { recursive: true });
  const hexOf = ({ digest }: { readonly digest: string }) => digest.slice('sha256:'.length);
  for (const blob of [image, image.config, ...image.layers]) {
    await link(join(blobs, hexOf(blob)), join(inside, hexOf(blob)));
  }
  await writeLayoutFiles(layout, [image]);
  const pathOf = (blob: { readonly digest: string }) => `blobs/sha256/${hexOf(blob)}`;
  await writeFile(
    join(layout, 'manifest.json'),
    JSON.stringify([{ Config: pathOf(image.config), RepoTags: [image.reference], Layers: image.layers.map(pathOf) }]),
  );
}
