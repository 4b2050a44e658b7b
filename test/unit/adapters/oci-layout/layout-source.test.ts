import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import { createLayoutSource } from '../../../../src/adapters/oci-layout/layout-source.ts';
import { hexOf } from '../../../../src/core/digest.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import { encodeLayoutIndex, LAYOUT_MARKER } from '../../../../src/formats/oci/layout.ts';
import type { Descriptor } from '../../../../src/formats/oci/types.ts';
import { createContent, type ImageContent, writeLayout } from '../../../support/image-content.ts';
import { describeImageSource, expectCode, present } from '../../../support/image-source-suite.ts';

const folders: string[] = [];
const nameOf = (tag: string): string => `registry.example/cms/web:${tag}`;
const REQUEST = { reference: nameOf('1.0'), platforms: ['linux/amd64'] };

async function layoutOf(content: ImageContent): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portolan-layout-'));
  folders.push(folder);
  await writeLayout(folder, content, nameOf);
  return folder;
}

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

describeImageSource(
  'OCI layout',
  async (content) => ({
    source: createLayoutSource(await layoutOf(content)),
    reference: nameOf,
    close: async () => {},
  }),
  'undefined',
);

describe('OCI layout', () => {
  const oneImage = async () => {
    const content = createContent();
    const image = content.image();
    content.tag('1.0', image);
    return { content, image, folder: await layoutOf(content) };
  };
  const indexOf = (folder: string, entries: readonly Descriptor[]) =>
    writeFile(join(folder, 'index.json'), encodeLayoutIndex(entries));

  it('reads blobs in place', async () => {
    const { folder } = await oneImage();
    const image = present(await createLayoutSource(folder).acquire(REQUEST));
    for (const blob of image.blobs) expect(blob.path.startsWith(join(folder, 'blobs', 'sha256'))).toBe(true);
  });

  it('goes by the full reference, and never by a tag alone', async () => {
    const { folder, image } = await oneImage();
    const named = async (annotations: Record<string, string>, reference: string) => {
      await indexOf(folder, [{ ...image, annotations }]);
      return createLayoutSource(folder).acquire({ ...REQUEST, reference });
    };
    const REF = 'org.opencontainers.image.ref.name';
    const NAME = 'io.containerd.image.name';
    expect(await named({ [REF]: 'nginx' }, 'nginx')).toBeUndefined();
    expect(await named({ [REF]: '1.0' }, '1.0')).toBeUndefined();
    expect(await named({ [REF]: 'nginx:1.27' }, 'docker.io/library/nginx:1.27')).toBeDefined();
    expect(await named({ [REF]: '1.27', [NAME]: 'docker.io/library/nginx:1.27' }, 'nginx:1.27')).toBeDefined();
    expect(await named({ [REF]: 'nginx:1.27', [NAME]: 'registry.example/other:1' }, 'nginx:1.27')).toBeUndefined();
    expect(await named({ [REF]: 'Not A Reference/:' }, 'nginx:1.27')).toBeUndefined();
  });

  it('refuses two images under one reference', async () => {
    const { content, folder, image } = await oneImage();
    const other = content.image({ layers: [content.blob('other')] });
    const annotations = { 'org.opencontainers.image.ref.name': REQUEST.reference };
    await indexOf(folder, [
      { ...image, annotations },
      { ...other, annotations },
    ]);
    await expectCode(createLayoutSource(folder).acquire(REQUEST), AdapterError, 'LAYOUT_AMBIGUOUS');
  });

  it('refuses links that lead out, and what is no plain file', async () => {
    const { folder, image, content } = await oneImage();
    const path = join(folder, 'blobs', 'sha256', hexOf(image.digest));
    const outside = join(await layoutOf(content), 'blobs', 'sha256', hexOf(image.digest));
    await rm(path);
    await symlink(outside, path);
    await expectCode(createLayoutSource(folder).acquire(REQUEST), AdapterError, 'LAYOUT_UNSAFE');
    await rm(path);
    await mkdir(path);
    await expectCode(createLayoutSource(folder).acquire(REQUEST), AdapterError, 'LAYOUT_UNSAFE');
  });

  it('refuses a blob folder or an index.json that is a link out', async () => {
    const first = await oneImage();
    const other = await layoutOf(first.content);
    await rm(join(first.folder, 'blobs'), { recursive: true });
    await symlink(join(other, 'blobs'), join(first.folder, 'blobs'));
    await expectCode(createLayoutSource(first.folder).acquire(REQUEST), AdapterError, 'LAYOUT_UNSAFE');
    const second = await oneImage();
    await rm(join(second.folder, 'index.json'));
    await symlink(join(other, 'index.json'), join(second.folder, 'index.json'));
    await expectCode(createLayoutSource(second.folder).acquire(REQUEST), AdapterError, 'LAYOUT_UNSAFE');
  });

  it('follows links inside the layout, and a layout that is itself reached by a link', async () => {
    const { folder, image } = await oneImage();
    const path = join(folder, 'blobs', 'sha256', hexOf(image.digest));
    await rename(path, join(folder, 'moved'));
    await symlink('../../moved', path);
    const link = `${folder}-link`;
    folders.push(link);
    await symlink(folder, link);
    expect(await createLayoutSource(link).acquire(REQUEST)).toBeDefined();
  });

  it('is not disturbed by another image of the layout that it would refuse', async () => {
    const { folder, content, image } = await oneImage();
    const foreign = { ...content.blob('foreign'), urls: ['https://elsewhere.example'] };
    content.tag('2.0', content.image({ layers: [foreign] }));
    await writeLayout(folder, content, nameOf);
    expect(present(await createLayoutSource(folder).acquire(REQUEST)).root.digest).toBe(image.digest);
    const refused = createLayoutSource(folder).acquire({ ...REQUEST, reference: nameOf('2.0') });
    await expectCode(refused, FormatError, 'LAYER_FOREIGN');
  });

  it('checks lengths alone when the caller hashes every layer itself', async () => {
    const content = createContent();
    const layer = content.blob('some layer');
    content.tag('1.0', content.image({ layers: [layer] }));
    content.blobs.set(layer.digest, Buffer.from('SOME LAYER'));
    const folder = await layoutOf(content);
    await expectCode(createLayoutSource(folder).acquire(REQUEST), AdapterError, 'BLOB_DIGEST_MISMATCH');
    expect(await createLayoutSource(folder, { layerCheck: 'size' }).acquire(REQUEST)).toBeDefined();
  });

  it('hashes a layer that images share once', async () => {
    const content = createContent();
    const shared = content.blob('shared layer');
    content.tag('1.0', content.image({ layers: [shared] }));
    content.tag('2.0', content.image({ layers: [shared, content.blob('own')] }));
    const source = createLayoutSource(await layoutOf(content));
    let total = 0;
    const onBytes = (bytes: number): void => {
      total += bytes;
    };
    await source.acquire(REQUEST, { onBytes });
    const first = total;
    await source.acquire({ ...REQUEST, reference: nameOf('2.0') }, { onBytes });
    const config =
      present(await source.acquire({ ...REQUEST, reference: nameOf('2.0') })).manifests[0]?.config.size ?? 0;
    expect(first).toBe(shared.size + config);
    expect(total - first).toBe('own'.length);
  });

  it.each([
    ['no folder', async (folder: string) => rm(folder, { recursive: true }), AdapterError, 'FILE_MISSING'],
    ['no marker', async (folder: string) => rm(join(folder, 'oci-layout')), AdapterError, 'FILE_MISSING'],
    [
      'another version',
      async (folder: string) => writeFile(join(folder, 'oci-layout'), LAYOUT_MARKER.replace('1.0.0', '2.0.0')),
      FormatError,
      'LAYOUT_INVALID',
    ],
    [
      'a marker that is no JSON',
      async (folder: string) => writeFile(join(folder, 'oci-layout'), '{'),
      FormatError,
      'LAYOUT_INVALID',
    ],
    [
      'a huge marker',
      async (folder: string) => writeFile(join(folder, 'oci-layout'), ' '.repeat(5000)),
      FormatError,
      'MANIFEST_TOO_LARGE',
    ],
    [
      'a cut index',
      async (folder: string) =>
        writeFile(join(folder, 'index.json'), (await readFile(join(folder, 'index.json'))).subarray(0, -1)),
      FormatError,
      'MANIFEST_INVALID',
    ],
  ] as const)('refuses a layout with %s', async (_name, damage, type, code) => {
    const { folder } = await oneImage();
    await damage(folder);
    await expectCode(createLayoutSource(folder).acquire(REQUEST), type, code);
    await mkdir(folder, { recursive: true });
  });
});
