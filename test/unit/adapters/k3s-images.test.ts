import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { createK3sImagesTarget } from '../../../src/adapters/k3s-images/k3s-images.ts';
import { type Digest, hexOf } from '../../../src/core/digest.ts';
import type { Descriptor } from '../../../src/formats/oci/types.ts';
import type { TargetImage } from '../../../src/ports/image-target.ts';
import { createContent, type ImageContent, pseudoRandom } from '../../support/image-content.ts';
import { describeImageTarget } from '../../support/image-target-suite.ts';
import { attachmentOf, blobsOf, realImage, realLayer, streamOf, targetImage } from '../../support/target-images.ts';
import { temporaryFolder } from '../../support/temporary.ts';

async function filesOf(archive: string): Promise<Map<string, Buffer>> {
  const reader = extract();
  reader.end(await readFile(archive));
  const files = new Map<string, Buffer>();
  for await (const entry of reader) {
    const parts: Buffer[] = [];
    for await (const part of entry as unknown as AsyncIterable<Buffer>) parts.push(part);
    files.set(entry.header.name, Buffer.concat(parts));
  }
  return files;
}

describeImageTarget('k3s-images', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'portolan-k3s-images-'));
  const folder = join(parent, 'images');
  return {
    create: () => createK3sImagesTarget({ folder }),
    async read(reference) {
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.tar'));
      // As k3s does at its start: one after the other, and the last one has the name.
      let found: { digest: Digest; files: Map<string, Buffer> } | undefined;
      for (const name of names.sort()) {
        const files = await filesOf(join(folder, name));
        const index = JSON.parse(files.get('index.json')?.toString() ?? '') as { manifests: Descriptor[] };
        const entry = index.manifests.find(
          ({ annotations }) => annotations?.['io.containerd.image.name'] === reference,
        );
        if (entry !== undefined) found = { digest: entry.digest, files };
      }
      if (found === undefined) return undefined;
      const { digest, files } = found;
      return {
        digest,
        blob: async (wanted) => {
          const bytes = files.get(`blobs/sha256/${hexOf(wanted)}`);
          if (bytes === undefined) throw new Error(`${wanted} is not in the archive of the image`);
          return bytes;
        },
      };
    },
    close: () => rm(parent, { recursive: true }),
  };
});

/** What k3s takes for an archive: wharfie's SupportedExtensions. */
const K3S_ARCHIVE = /\.(tar|tar\.lz4|tar\.bz2|tbz|tar\.gz|tgz|tar\.zst|tzst|txt)$/;

describe('k3s-images', () => {
  const open = async () => {
    const folder = join(await temporaryFolder(), 'images');
    await mkdir(folder);
    const archives = async () => (await readdir(folder)).filter((name) => name.endsWith('.tar')).sort();
    return { folder, target: createK3sImagesTarget({ folder }), archives };
  };
  const imageOf = async (content: ImageContent, reference: string, text = reference): Promise<TargetImage> =>
    targetImage(content, reference, realImage(content, [await realLayer(content, { run: text })]));
  const namesIn = async (path: string) => {
    const index = JSON.parse((await filesOf(path)).get('index.json')?.toString() ?? '') as { manifests: Descriptor[] };
    return index.manifests.map(({ annotations }) => annotations?.['io.containerd.image.name']);
  };

  it('shows k3s no file before it is whole, and leaves nothing else behind', async () => {
    const { folder, target, archives } = await open();
    const content = createContent();
    const image = await imageOf(content, 'registry.example/web:1');
    const seen = new Set<string>();
    const onPart = async () => {
      for (const name of await readdir(folder, { recursive: true })) seen.add(name);
    };
    await target.write([image], streamOf(content, blobsOf([image]), { onPart }));
    expect(seen.size).toBeGreaterThan(0);
    for (const name of seen) expect(name).not.toMatch(K3S_ARCHIVE);
    expect(await readdir(folder)).toEqual(await archives());
  });

  it('names an archive after its content, and the same archive alike', async () => {
    const [one, two] = [await open(), await open()];
    const content = createContent();
    const [web, other] = [
      await imageOf(content, 'registry.example/web:1', 'aaaa'),
      await imageOf(content, 'registry.example/web:1', 'bbbb'),
    ];
    await one.target.write([web], streamOf(content, blobsOf([web])));
    await two.target.write([web], streamOf(content, blobsOf([web]).reverse()));
    expect(await one.archives()).toEqual(await two.archives());
    await two.target.write([other], streamOf(content, blobsOf([other])));
    expect(await two.archives()).toHaveLength(1);
    expect(await two.archives()).not.toEqual(await one.archives());
  });

  it('gives every image a tag; those that charts name by digest get an archive of their own', async () => {
    const { folder, target, archives } = await open();
    const content = createContent();
    const image = await imageOf(content, 'registry.example/web:1');
    const attachment = attachmentOf(content, {
      digest: image.digest,
      mediaType: image.mediaType,
      size: image.sizeBytes,
    });
    const signed = targetImage(
      content,
      image.reference,
      { digest: image.digest, mediaType: image.mediaType, size: image.sizeBytes },
      [attachment],
    );
    const images = [signed, { ...image, reference: `registry.example/web:1@${image.digest}` }];
    await target.write(images, streamOf(content, blobsOf(images)));
    const names = await Promise.all((await archives()).map((name) => namesIn(join(folder, name))));
    expect(names.flat().sort()).toEqual(['registry.example/web:1', `registry.example/web@${image.digest}`]);
    expect(names).toHaveLength(2);
    for (const name of await archives()) {
      expect((await filesOf(join(folder, name))).has(`blobs/sha256/${hexOf(attachment.digest)}`)).toBe(false);
    }
    expect((await target.survey(images)).images.size).toBe(2);
    expect((await target.survey(images)).unwanted?.has(attachment.digest)).toBe(true);
  });

  it('clears what a killed writer left, and nothing of others', async () => {
    const { folder, target, archives } = await open();
    const content = createContent();
    const image = await imageOf(content, 'registry.example/web:1');
    const kept = ['k3s-airgap-images-amd64.tar.zst', '.cache.json', `portolan-${'0'.repeat(31)}.tar`];
    for (const name of kept) await writeFile(join(folder, name), 'of others');
    await writeFile(join(folder, '.portolan-abc.tar.0123456789abcdef.tmp'), 'half');
    await target.write([image], streamOf(content, blobsOf([image])));
    expect((await readdir(folder)).sort()).toEqual([...new Set([...kept, ...(await archives())])].sort());
    await target.remove([image]);
    expect((await readdir(folder)).sort()).toEqual(kept.toSorted());
  });

  it('does not count an archive that is cut, and does not take a damaged blob over', async () => {
    const { folder, target, archives } = await open();
    const content = createContent();
    const base = await realLayer(content, { run: 'base', data: pseudoRandom('base', 5000) });
    const old = targetImage(content, 'registry.example/old:1', realImage(content, [base]));
    const fresh = targetImage(
      content,
      'registry.example/web:1',
      realImage(content, [base, await realLayer(content, { more: 'fresh' })]),
    );
    await target.write([old], streamOf(content, blobsOf([old])));
    const path = join(folder, (await archives())[0] ?? '');
    const bytes = await readFile(path);
    const at = bytes.indexOf(Buffer.from(content.blobs.get(base.descriptor.digest) ?? []));
    bytes[at + 100] = (bytes[at + 100] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const { blobs } = await target.survey([fresh]);
    expect(blobs.has(base.descriptor.digest)).toBe(true);
    await expect(target.write([fresh], streamOf(content, blobsOf([fresh], blobs)))).rejects.toMatchObject({
      code: 'TARGET_INCOMPLETE',
      at: { digest: base.descriptor.digest },
    });
    expect((await target.survey([fresh])).blobs.size).toBe(0);
    await target.write([fresh], streamOf(content, blobsOf([fresh])));
    const whole = await readFile(join(folder, (await archives())[0] ?? ''));
    await writeFile(join(folder, (await archives())[0] ?? ''), whole.subarray(0, whole.length - 2000));
    expect((await target.survey([fresh])).images.size).toBe(0);
  });

  it('follows no link in the place of an archive', async () => {
    const { folder, target } = await open();
    const content = createContent();
    const image = await imageOf(content, 'registry.example/web:1');
    await symlink('/dev/zero', join(folder, `portolan-${'a'.repeat(32)}.tar`));
    await expect(target.survey([image])).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  it('reports a folder around it that is absent', async () => {
    const { folder } = await open();
    const target = createK3sImagesTarget({ folder: join(folder, 'mistyped', 'images') });
    expect((await target.check()).map(({ code }) => code)).toEqual(['FILE_UNWRITABLE']);
    expect(await readdir(folder)).toEqual([]);
  });

  it('counts the archive and what containerd makes of it where that lies beside it', async () => {
    const { folder, target } = await open();
    expect((await target.space(1000, 5000)).map(({ neededBytes }) => neededBytes)).toEqual([1000]);
    await mkdir(join(folder, '..', 'containerd'));
    expect((await target.space(1000, 5000)).map(({ neededBytes }) => neededBytes)).toEqual([7000]);
  });
});
