import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createImageFolderTarget } from '../../src/adapters/image-folder/image-folder.ts';
import { createK3sImagesTarget } from '../../src/adapters/k3s-images/k3s-images.ts';
import { digestOf, hexOf } from '../../src/core/digest.ts';
import type { TargetImage } from '../../src/ports/image-target.ts';
import { startContainerd } from '../support/containerd-process.ts';
import { createContent, type ImageContent, pseudoRandom } from '../support/image-content.ts';
import { fillDisk, mountTmpfs, remount } from '../support/mounts.ts';
import { run, succeed } from '../support/program.ts';
import {
  attachmentOf,
  blobsOf,
  ELSEWHERE,
  HERE,
  realImage,
  realLayer,
  streamOf,
  targetImage,
} from '../support/target-images.ts';
import { temporaryFolder } from '../support/temporary.ts';

const WEB = 'registry.example:5000/cms/web:1.4.0';
const SHOP = 'docker.io/library/shop:1.4.0';

/** An index of which one platform is carried, with an attachment; and a plain image that shares its layer. */
async function twoImages(): Promise<{ content: ImageContent; images: [TargetImage, TargetImage] }> {
  const content = createContent();
  const base = await realLayer(content, { run: 'base', data: pseudoRandom('base', 50_000) });
  const here = realImage(content, [base]);
  const elsewhere = realImage(content, [await realLayer(content, { run: 'elsewhere' })], { platform: ELSEWHERE });
  const index = content.index([elsewhere, here]);
  content.blobs.delete(elsewhere.digest);
  const shop = realImage(content, [base, await realLayer(content, { shop: 'shop' })]);
  return {
    content,
    images: [targetImage(content, WEB, index, [attachmentOf(content, index)]), targetImage(content, SHOP, shop)],
  };
}

describe('a folder of images', () => {
  it('is read by skopeo, by name, and by oras, attachments included', async () => {
    const parent = await temporaryFolder();
    const folder = join(parent, 'images');
    const { content, images } = await twoImages();
    await createImageFolderTarget({ folder }).write(images, streamOf(content, blobsOf(images)));
    for (const image of images) {
      const raw = await succeed('skopeo', ['inspect', '--raw', `oci:${folder}:${image.reference}`]);
      expect(digestOf(raw)).toBe(image.digest);
      const out = join(parent, `out-${hexOf(image.digest)}`);
      await succeed('skopeo', [
        ...['--insecure-policy', '--override-arch', HERE.architecture],
        ...['copy', `oci:${folder}:${image.reference}`, `dir:${out}`],
      ]);
      const layer = image.blobs.find(({ role }) => role === 'image-layer');
      expect(digestOf(await readFile(join(out, hexOf(layer?.digest ?? image.digest))))).toBe(layer?.digest);
    }
    const [web] = images;
    const found = await succeed('oras', ['discover', '--oci-layout', '--format', 'json', `${folder}@${web.digest}`]);
    expect(found).toContain(web.attachments[0]);
  });

  it('is full, or read-only: nothing is named, the rest is as it was', async () => {
    const folder = join(await temporaryFolder(), 'disk');
    await mountTmpfs(folder, 4);
    const { content, images } = await twoImages();
    const target = createImageFolderTarget({ folder });
    await target.write([images[0]], streamOf(content, blobsOf([images[0]])));
    const before = await readFile(join(folder, 'index.json'), 'utf8');
    const empty = await fillDisk(folder);
    const write = () => target.write([images[1]], streamOf(content, blobsOf([images[1]])));
    await expect(write()).rejects.toMatchObject({ code: 'NO_SPACE' });
    await empty();
    await remount(folder, 'ro');
    expect((await target.check()).map(({ code }) => code)).toEqual(['READ_ONLY']);
    await expect(write()).rejects.toMatchObject({ code: 'READ_ONLY' });
    expect(await readFile(join(folder, 'index.json'), 'utf8')).toBe(before);
    await remount(folder, 'rw');
    await write();
    expect((await target.survey(images)).images.size).toBe(2);
  });
});

describe('an archive for k3s', () => {
  const written = async () => {
    const folder = join(await temporaryFolder(), 'images');
    await mkdir(folder);
    const { content, images } = await twoImages();
    const target = createK3sImagesTarget({ folder });
    await target.write(images, streamOf(content, blobsOf(images)));
    const archives = async () => (await readdir(folder)).sort().map((name) => join(folder, name));
    return { folder, target, content, images, archives };
  };

  it("is opened by k3s' own opener, with a tag for each image", async () => {
    const { target, images, archives } = await written();
    // The index names platforms that no bundle carries, as k3s allows.
    const names = await succeed('wharfie-check', ['-partial', ...(await archives())]);
    expect(names.trim().split('\n').sort()).toEqual([SHOP, WEB].sort());
    // What is left when one image goes is whole.
    await target.remove([images[0]]);
    expect((await succeed('wharfie-check', await archives())).trim()).toBe(SHOP);
  });

  it('is imported by containerd, and its images are complete', async () => {
    const { archives } = await written();
    const containerd = await startContainerd();
    onTestFinished(() => containerd.close());
    for (const path of await archives()) await containerd.ctr('images', 'import', path);
    expect((await containerd.ctr('images', 'check', '-q', `name==${WEB}`)).trim()).toBe(WEB);
    expect((await containerd.ctr('images', 'check', '-q', `name==${SHOP}`)).trim()).toBe(SHOP);
  });

  it('is refused by that opener when it is cut: the check can fail', async () => {
    const { folder, archives } = await written();
    const [path = ''] = await archives();
    const cut = join(folder, '..', 'cut.tar');
    await succeed('sh', ['-c', 'head -c 20000 "$0" > "$1"', path, cut]);
    expect((await run('wharfie-check', ['-partial', cut])).status).toBe(1);
  });

  it('does not fit on the disk: no file is left, and the former ones are as they were', async () => {
    const folder = join(await temporaryFolder(), 'disk');
    await mountTmpfs(folder, 2);
    const content = createContent();
    const small = targetImage(content, WEB, realImage(content, [await realLayer(content, { run: 'small' })]));
    const large = targetImage(
      content,
      SHOP,
      realImage(content, [await realLayer(content, { run: pseudoRandom('large', 3_000_000) })]),
    );
    const target = createK3sImagesTarget({ folder });
    await target.write([small], streamOf(content, blobsOf([small])));
    const before = await readdir(folder);
    await expect(target.write([large], streamOf(content, blobsOf([large])))).rejects.toMatchObject({
      code: 'NO_SPACE',
    });
    expect(await readdir(folder)).toEqual(before);
    expect([...(await target.survey([small, large])).images]).toEqual([WEB]);
  });
});
