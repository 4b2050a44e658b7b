import { afterEach, describe, expect, it } from 'vitest';
import { AdapterError } from '../../src/adapters/errors.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import type { Descriptor } from '../../src/formats/oci/types.ts';
import type { ImageTarget, TargetImage } from '../../src/ports/image-target.ts';
import { createContent, type ImageContent, pseudoRandom } from './image-content.ts';
import {
  attachmentOf,
  blobsOf,
  ELSEWHERE,
  realImage,
  realLayer,
  type StreamOptions,
  streamOf,
  targetImage,
} from './target-images.ts';

/** An empty place for images, and how to look at it with another program than ours. */
export interface TargetUnderTest {
  /** A handle on the place, as each process has one of its own. */
  create(): ImageTarget;
  /** What has that name there; `undefined` when nothing does. */
  read(reference: string): Promise<FoundImage | undefined>;
  close(): Promise<void>;
}

export interface FoundImage {
  readonly digest: Digest;
  /** The bytes of one of its blobs. Rejects when it is not there. */
  blob(digest: Digest): Promise<Uint8Array>;
}

const WEB = 'registry.example/cms/web:1.4.0';
const SHOP = 'registry.example/cms/shop:1.4.0';

/** What every ImageTarget must do. `open` gives a fresh, empty place. */
export function describeImageTarget(name: string, open: () => Promise<TargetUnderTest>): void {
  describe(`${name}: as an image target`, () => {
    const opened: TargetUnderTest[] = [];
    const start = async (): Promise<TargetUnderTest> => {
      const place = await open();
      opened.push(place);
      return place;
    };
    afterEach(async () => {
      for (const place of opened.splice(0)) await place.close();
    });

    it('reports that a reachable, empty place is in order and holds nothing', async () => {
      const place = await start();
      const { images } = await twoImages();
      expect(await place.create().check()).toEqual([]);
      const survey = await place.create().survey(images);
      expect([...survey.images]).toEqual([]);
      expect([...survey.blobs]).toEqual([]);
      expect(await place.read(WEB)).toBeUndefined();
    });

    it('takes images that share a layer, whole; then it says that all is there and takes nothing more', async () => {
      const place = await start();
      const { content, images } = await twoImages();
      const sent = await transfer(place, content, images);
      expect(sent).toEqual(blobsOf(images).map(({ digest }) => digest));
      await expectAll(place, images);
      expect(await transfer(place, content, images)).toEqual([]);
      await expectAll(place, images);
    });

    it('takes blobs in any order', async () => {
      const place = await start();
      const { content, images } = await twoImages();
      await place.create().write(images, streamOf(content, blobsOf(images).reverse()));
      await expectAll(place, images);
    });

    it('asks only for what is missing when another image brought a part of it', async () => {
      const place = await start();
      const { content, images, shared } = await twoImages();
      const [web, shop] = images as [TargetImage, TargetImage];
      await transfer(place, content, [web]);
      const survey = await place.create().survey(images);
      expect([...survey.images]).toEqual([WEB]);
      expect(survey.blobs.has(shared)).toBe(true);
      const sent = await transfer(place, content, images);
      expect(sent.toSorted()).toEqual(
        shop.blobs
          .map(({ digest }) => digest)
          .filter((digest) => !web.blobs.some((blob) => blob.digest === digest))
          .toSorted(),
      );
      await expectAll(place, images);
    });

    it('takes an index that names platforms which the bundle does not carry', async () => {
      const place = await start();
      const content = createContent();
      const here = realImage(content, [await realLayer(content, { run: 'here' })]);
      const others = [
        realImage(content, [await realLayer(content, { run: 'elsewhere' })], { platform: ELSEWHERE }),
        // What an amd64 machine could run as well.
        realImage(content, [await realLayer(content, { run: '386' })], {
          platform: { os: 'linux', architecture: '386' },
        }),
      ];
      const index = content.index([...others, here]);
      for (const { digest } of others) content.blobs.delete(digest);
      const image = targetImage(content, WEB, index);
      expect(image.blobs).toHaveLength(4);
      await transfer(place, content, [image]);
      await expectAll(place, [image]);
      expect(await transfer(place, content, [image])).toEqual([]);
    });

    it('is complete with or without the attachments of an image, and says so the second time', async () => {
      const place = await start();
      const content = createContent();
      const root = realImage(content, [await realLayer(content, { run: 'signed' })]);
      const image = targetImage(content, WEB, root, [attachmentOf(content, root)]);
      await transfer(place, content, [image]);
      await expectAll(place, [image]);
      expect(await transfer(place, content, [image])).toEqual([]);
    });

    it('leads the same name to a newer image, and two names to one image', async () => {
      const place = await start();
      const content = createContent();
      const [old, fresh] = await Promise.all(
        ['old', 'fresh'].map(async (text) => realImage(content, [await realLayer(content, { run: text })])),
      );
      await transfer(place, content, [targetImage(content, WEB, old as Descriptor)]);
      const images = [
        targetImage(content, WEB, fresh as Descriptor),
        targetImage(content, SHOP, fresh as Descriptor),
        targetImage(content, 'docker.io/library/web:2', fresh as Descriptor),
      ];
      expect([...(await place.create().survey(images)).images]).toEqual([]);
      await transfer(place, content, images);
      await expectAll(place, images);
    });

    it('has no new name after it was stopped in the middle, and the next write converges', async () => {
      const place = await start();
      const { content, images } = await twoImages();
      const stop = new AbortController();
      const blobs = blobsOf(images);
      const last = blobs.at(-1)?.digest;
      const stream = streamOf(content, blobs, {
        onPart: ({ digest }) => {
          if (digest === last) stop.abort(new Error('stopped by the test'));
        },
      });
      await expect(place.create().write(images, stream, { signal: stop.signal })).rejects.toThrow();
      for (const { reference } of images) expect(await place.read(reference)).toBeUndefined();
      expect([...(await place.create().survey(images)).images]).toEqual([]);
      await transfer(place, content, images);
      await expectAll(place, images);
    });

    it('does nothing when it is stopped before it starts', async () => {
      const place = await start();
      const { content, images } = await twoImages();
      const signal = AbortSignal.abort(new Error('stopped by the test'));
      const sent: Digest[] = [];
      const write = place.create().write(images, streamOf(content, blobsOf(images), { sent }), { signal });
      await expect(write).rejects.toThrow('stopped by the test');
      expect(sent).toEqual([]);
    });

    it('passes on why a stream broke off, and leaves no name', async () => {
      const place = await start();
      const { content, images } = await twoImages();
      const broken = new Error('the stick was pulled out');
      const stream = streamOf(content, blobsOf(images), {
        onPart: ({ role }) => {
          if (role === 'image-layer') throw broken;
        },
      });
      await expect(place.create().write(images, stream)).rejects.toBe(broken);
      for (const { reference } of images) expect(await place.read(reference)).toBeUndefined();
    });

    it.each(['image-layer', 'image-config', 'image-manifest'] as const)(
      'refuses an %s whose bytes are wrong, and takes the right ones afterwards',
      async (role) => {
        const place = await start();
        const { content, images } = await twoImages();
        await expectRefused(place, content, images, role, 'BLOB_DIGEST_MISMATCH', (bytes) => {
          bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
          return bytes;
        });
      },
    );

    it.each([
      ['short', (bytes: Buffer) => bytes.subarray(0, -1)],
      ['long', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('!')])],
      ['empty', () => Buffer.alloc(0)],
    ] as const)('refuses a blob that is too %s', async (_kind, change) => {
      const place = await start();
      const { content, images } = await twoImages();
      await expectRefused(place, content, images, 'image-layer', 'BLOB_SIZE_MISMATCH', change);
    });

    it('refuses to name an image of which a blob was neither there nor sent', async () => {
      const place = await start();
      const { content, images } = await twoImages();
      const blobs = blobsOf(images);
      const lacking = blobs.find(({ role }) => role === 'image-layer');
      const write = place.create().write(
        images,
        streamOf(
          content,
          blobs.filter((blob) => blob !== lacking),
        ),
      );
      const error = await write.then(
        () => undefined,
        (cause: unknown) => cause,
      );
      expect(error).toBeInstanceOf(AdapterError);
      expect(error).toMatchObject({ code: 'TARGET_INCOMPLETE', at: { digest: lacking?.digest } });
      for (const { reference } of images) expect(await place.read(reference)).toBeUndefined();
    });

    it('takes away the names that it is told to, and only those', async () => {
      const place = await start();
      const { content, images } = await twoImages();
      const [web, shop] = images as [TargetImage, TargetImage];
      await transfer(place, content, images);
      const other = { reference: WEB, digest: digestOf('another image of that name') };
      expect(await place.create().remove([other])).toEqual([]);
      await expectAll(place, images);
      expect((await place.create().remove([web, other])).length).toBeGreaterThan(0);
      expect(await place.read(WEB)).toBeUndefined();
      await expectAll(place, [shop]);
      expect([...(await place.create().survey(images)).images]).toEqual([SHOP]);
      expect(await place.create().remove([web])).toEqual([]);
      await transfer(place, content, images);
      await expectAll(place, images);
    });

    it('ends well when two write the same at once', async () => {
      const place = await start();
      const { content, images } = await twoImages();
      const ends = await Promise.allSettled(
        [1, 2].map(() => place.create().write(images, streamOf(content, blobsOf(images)))),
      );
      expect(ends.some(({ status }) => status === 'fulfilled')).toBe(true);
      for (const end of ends) {
        if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'TARGET_BUSY' });
      }
      await expectAll(place, images);
    });
  });
}

/** Two images of this platform; they share a layer, and each has one of its own of several parts. */
async function twoImages(): Promise<{ content: ImageContent; images: TargetImage[]; shared: Digest }> {
  const content = createContent();
  const base = await realLayer(content, { run: 'base', data: pseudoRandom('base', 20_000) });
  const image = async (name: string) =>
    realImage(content, [base, await realLayer(content, { [name]: pseudoRandom(name, 30_000) })]);
  const images = [targetImage(content, WEB, await image('web')), targetImage(content, SHOP, await image('shop'))];
  return { content, images, shared: base.descriptor.digest };
}

/** Looks, then sends what is missing: what an import does. Gives the digests that were sent. */
async function transfer(place: TargetUnderTest, content: ImageContent, images: readonly TargetImage[]) {
  const target = place.create();
  const survey = await target.survey(images);
  const wanted = images.filter(({ reference }) => !survey.images.has(reference));
  const sent: Digest[] = [];
  const spared = new Set([...survey.blobs, ...(survey.unwanted ?? [])]);
  await target.write(wanted, streamOf(content, blobsOf(wanted, spared), { sent }));
  return sent;
}

async function expectAll(place: TargetUnderTest, images: readonly TargetImage[]) {
  const survey = await place.create().survey(images);
  expect([...survey.images].toSorted()).toEqual(images.map(({ reference }) => reference).toSorted());
  for (const image of images) {
    const found = await place.read(image.reference);
    expect(found?.digest).toBe(image.digest);
    for (const { digest, role } of image.blobs) {
      // A container engine has no use for attachments and may leave them out.
      if (role === 'image-attachment' && !survey.blobs.has(digest)) continue;
      expect(survey.blobs.has(digest)).toBe(true);
      expect(digestOf((await found?.blob(digest)) ?? '')).toBe(digest);
    }
  }
}

async function expectRefused(
  place: TargetUnderTest,
  content: ImageContent,
  images: readonly TargetImage[],
  role: string,
  code: 'BLOB_DIGEST_MISMATCH' | 'BLOB_SIZE_MISMATCH',
  change: (bytes: Buffer) => Buffer,
) {
  const blobs = blobsOf(images);
  const digest = blobs.find((blob) => blob.role === role)?.digest as Digest;
  const target = place.create();
  // Where the target does not look itself, the one who reads the bundle does.
  const refusal = new AdapterError('BLOB_DIGEST_MISMATCH', 'refused by the reader', { at: { digest } });
  const options: StreamOptions = {
    damage: { digest, change },
    ...(target.checksDigests || code === 'BLOB_SIZE_MISMATCH' ? {} : { refuse: refusal }),
  };
  await expect(target.write(images, streamOf(content, blobs, options))).rejects.toMatchObject({
    name: 'AdapterError',
    code,
    at: { digest },
  });
  for (const { reference } of images) expect(await place.read(reference)).toBeUndefined();
  expect((await place.create().survey(images)).blobs.has(digest)).toBe(false);
  await transfer(place, content, images);
  await expectAll(place, images);
}
