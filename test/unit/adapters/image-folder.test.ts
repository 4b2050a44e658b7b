import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createImageFolderTarget } from '../../../src/adapters/image-folder/image-folder.ts';
import { hexOf } from '../../../src/core/digest.ts';
import { BUNDLE_ARTIFACT_TYPE } from '../../../src/formats/bundle/media-types.ts';
import { encodeLayoutIndex, LAYOUT_MARKER } from '../../../src/formats/oci/layout.ts';
import type { Descriptor } from '../../../src/formats/oci/types.ts';
import { createContent, writeLayout } from '../../support/image-content.ts';
import { describeImageTarget } from '../../support/image-target-suite.ts';
import { attachmentOf, blobsOf, realImage, realLayer, streamOf, targetImage } from '../../support/target-images.ts';
import { temporaryFolder } from '../../support/temporary.ts';

describeImageTarget('folder', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'portolan-image-folder-'));
  const folder = join(parent, 'images');
  return {
    create: () => createImageFolderTarget({ folder }),
    async read(reference) {
      const text = await readFile(join(folder, 'index.json'), 'utf8').catch(() => '{"manifests":[]}');
      const entry = (JSON.parse(text) as { manifests: Descriptor[] }).manifests.find(
        ({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === reference,
      );
      return entry && { digest: entry.digest, blob: (digest) => readFile(join(folder, 'blobs/sha256', hexOf(digest))) };
    },
    close: () => rm(parent, { recursive: true }),
  };
});

const WEB = 'registry.example/cms/web:1';

describe('folder', () => {
  const oneImage = async () => {
    const content = createContent();
    const root = realImage(content, [await realLayer(content, { run: 'web' })]);
    const attachment = attachmentOf(content, root);
    return { content, root, attachment, image: targetImage(content, WEB, root, [attachment]) };
  };
  const filesIn = async (folder: string) => (await readdir(folder, { recursive: true })).sort();

  it('keeps the images of others, and gives back all that it took when ours is removed', async () => {
    const folder = join(await temporaryFolder(), 'layout');
    const theirs = createContent();
    theirs.tag('2', theirs.image());
    await writeLayout(folder, theirs, (tag) => `registry.example/other:${tag}`);
    // Nobody's blob: not ours to remove.
    await writeFile(join(folder, 'blobs', 'sha256', 'f'.repeat(64)), 'of nobody');
    const before = await filesIn(folder);
    const index = await readFile(join(folder, 'index.json'), 'utf8');
    const { content, image } = await oneImage();
    const target = createImageFolderTarget({ folder });
    expect(await target.check()).toEqual([]);
    await target.write([image], streamOf(content, blobsOf([image])));
    expect(JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')).manifests).toHaveLength(3);
    expect(await target.remove([image])).toEqual([WEB]);
    expect(await filesIn(folder)).toEqual(before);
    expect(JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')).manifests).toEqual(
      JSON.parse(index).manifests,
    );
  });

  it('keeps an attachment as long as one name of its image is left', async () => {
    const folder = join(await temporaryFolder(), 'layout');
    const { content, image, attachment } = await oneImage();
    const images = [image, { ...image, reference: 'registry.example/cms/web:latest' }];
    const target = createImageFolderTarget({ folder });
    await target.write(images, streamOf(content, blobsOf(images)));
    const hasAttachment = async () => (await filesIn(folder)).includes(`blobs/sha256/${hexOf(attachment.digest)}`);
    await target.remove([image]);
    expect(await hasAttachment()).toBe(true);
    await target.remove(images);
    expect(await hasAttachment()).toBe(false);
  });

  it('removes nothing when a manifest of another image cannot be read', async () => {
    const folder = join(await temporaryFolder(), 'layout');
    const theirs = createContent();
    const other = theirs.image();
    theirs.tag('2', other);
    await writeLayout(folder, theirs, (tag) => `registry.example/other:${tag}`);
    const { content, image } = await oneImage();
    const target = createImageFolderTarget({ folder });
    await target.write([image], streamOf(content, blobsOf([image])));
    const path = join(folder, 'blobs', 'sha256', hexOf(other.digest));
    await writeFile(path, (await readFile(path, 'utf8')).replace('2', '3'));
    const before = await filesIn(folder);
    await expect(target.remove([image])).rejects.toMatchObject({ code: 'BLOB_DIGEST_MISMATCH' });
    expect(await filesIn(folder)).toEqual(before);
    expect((await target.survey([image])).images.size).toBe(1);
  });

  it('sees a blob of another length, and one that is a link, as missing', async () => {
    const folder = join(await temporaryFolder(), 'layout');
    const { content, image } = await oneImage();
    const target = createImageFolderTarget({ folder });
    await target.write([image], streamOf(content, blobsOf([image])));
    const [first, second] = image.blobs.map(({ digest }) => join(folder, 'blobs', 'sha256', hexOf(digest)));
    await writeFile(first ?? '', 'short');
    await rm(second ?? '');
    await symlink('/etc/passwd', second ?? '');
    const survey = await target.survey([image]);
    expect(survey.images.size).toBe(0);
    expect(survey.blobs.size).toBe(image.blobs.length - 2);
    await target.write([image], streamOf(content, blobsOf([image], survey.blobs)));
    expect((await target.survey([image])).images.size).toBe(1);
  });

  it('clears what a killed writer left', async () => {
    const folder = join(await temporaryFolder(), 'layout');
    const { content, image } = await oneImage();
    const target = createImageFolderTarget({ folder });
    await target.write([image], streamOf(content, blobsOf([image])));
    const before = await filesIn(folder);
    await writeFile(join(folder, 'blobs', 'sha256', `.${'a'.repeat(64)}.0123456789abcdef.tmp`), 'half');
    await target.write([image], streamOf(content, []));
    expect(await filesIn(folder)).toEqual(before);
  });

  it.each([
    ['that holds something else', { 'photo.jpg': 'x' }, 'TARGET_NOT_EMPTY'],
    [
      'that is a medium of bundles',
      {
        'oci-layout': LAYOUT_MARKER,
        'index.json': encodeLayoutIndex([
          {
            mediaType: 'application/vnd.oci.image.manifest.v1+json',
            digest: `sha256:${'a'.repeat(64)}` as Descriptor['digest'],
            size: 1,
            artifactType: BUNDLE_ARTIFACT_TYPE,
          },
        ]),
      },
      'TARGET_NOT_EMPTY',
    ],
    ['of another version', { 'oci-layout': '{"imageLayoutVersion":"9"}' }, 'LAYOUT_INVALID'],
  ])('refuses a folder %s, before and while it writes', async (_what, files, code) => {
    const folder = await temporaryFolder();
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const { content, image } = await oneImage();
    const target = createImageFolderTarget({ folder });
    expect((await target.check()).map((problem) => problem.code)).toEqual([code]);
    await expect(target.write([image], streamOf(content, blobsOf([image])))).rejects.toMatchObject({ code });
    expect(await filesIn(folder)).toEqual(Object.keys(files).sort());
  });

  it('refuses a path that is a file, and one whose parent is absent', async () => {
    const parent = await temporaryFolder();
    await writeFile(join(parent, 'file'), '');
    await mkdir(join(parent, 'there'));
    const codes = async (folder: string) => (await createImageFolderTarget({ folder }).check()).map(({ code }) => code);
    expect(await codes(join(parent, 'file'))).toContain('FILE_UNREADABLE');
    expect(await codes(join(parent, 'absent', 'layout'))).toEqual(['FILE_UNWRITABLE']);
    expect(await codes(join(parent, 'there'))).toEqual([]);
    expect(await filesIn(parent)).toEqual(['file', 'there']);
  });
});
