import { resolve } from 'node:path';
import { type Digest, isDigest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { ANNOTATION_CONTAINERD_NAME, ANNOTATION_REF_NAME, referenceOfEntry } from '../../formats/oci/layout.ts';
import { MEDIA_TYPES } from '../../formats/oci/manifest.ts';
import { normaliseReference } from '../../formats/oci/reference.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { ImageTarget, TargetImage, TargetSurvey } from '../../ports/image-target.ts';
import { freeBytes } from '../files/free-bytes.ts';
import { targetIncomplete } from '../images/target-errors.ts';
import { reachableInLayout } from './layout-graph.ts';
import { assertLayout, assertWritable, createLayoutStore, type LayoutStore } from './layout-store.ts';

export interface ImageFolderOptions {
  /** The folder of the layout. It is created when it is absent; the folder around it must exist. */
  readonly folder: string;
}

/** On an attachment's entry in index.json: the digest of the image that brought it. Both go together. */
const ANNOTATION_ATTACHED_TO = 'vnd.portolan.attached-to';

/**
 * A folder that is one OCI image layout (image-layout.md of the specification), as `skopeo`, `crane` and `oras` read it:
 * images are named by their full reference, attachments stand beside them without a name. Images that others put there
 * stay. Blobs that are there, whole, are not written again.
 */
export function createImageFolderTarget(options: ImageFolderOptions): ImageTarget {
  const folder = resolve(options.folder);
  const store = createLayoutStore(folder);
  return {
    name: `folder=${options.folder}`,
    checksDigests: true,
    async check() {
      const problems: PortolanError[] = [];
      for (const look of [() => assertLayout(folder), () => assertWritable(folder)]) {
        await look().catch((cause) => {
          if (!(cause instanceof PortolanError)) throw cause;
          problems.push(cause);
        });
      }
      return problems;
    },
    survey: (images) => surveyOf(store, images),
    async space(missingBytes) {
      return [{ path: folder, freeBytes: await freeBytes(folder), neededBytes: missingBytes }];
    },
    async write(images, blobs, { signal } = {}) {
      signal?.throwIfAborted();
      if (images.length === 0) return;
      await using _lock = await store.lock();
      for await (const blob of blobs) {
        signal?.throwIfAborted();
        await store.writeBlob(blob, signal === undefined ? {} : { signal });
      }
      signal?.throwIfAborted();
      const { lacking } = await presence(store, images);
      const [first] = lacking;
      if (first !== undefined) throw targetIncomplete(folder, first);
      await store.commitIndex(withImages(await store.readIndex(), images));
    },
    async remove(images, { signal } = {}) {
      signal?.throwIfAborted();
      const entries = await store.readIndex();
      if (!entries.some((entry) => images.some((image) => isNamed(entry, image)))) return [];
      await using _lock = await store.lock();
      return await removeFrom(store, images);
    },
  };
}

async function surveyOf(store: LayoutStore, images: readonly TargetImage[]): Promise<TargetSurvey> {
  const { blobs } = await presence(store, images);
  const entries = await store.readIndex();
  const complete = images.filter(
    (image) => entries.some((entry) => isNamed(entry, image)) && image.blobs.every(({ digest }) => blobs.has(digest)),
  );
  return { blobs, images: new Set(complete.map(({ reference }) => reference)) };
}

async function presence(store: LayoutStore, images: readonly TargetImage[]) {
  const blobs = new Set<Digest>();
  const lacking: Digest[] = [];
  const wanted = new Map(images.flatMap((image) => image.blobs).map((blob) => [blob.digest, blob.sizeBytes]));
  for (const [digest, sizeBytes] of wanted) {
    if ((await store.sizeOf(digest)) === sizeBytes) blobs.add(digest);
    else lacking.push(digest);
  }
  return { blobs, lacking };
}

function isNamed(entry: Descriptor, image: { readonly reference: string; readonly digest: Digest }): boolean {
  return entry.digest === image.digest && referenceOfEntry(entry) === normaliseReference(image.reference);
}

/** Entries of other images are kept as they are; a name leads to one image only. */
function withImages(entries: readonly Descriptor[], images: readonly TargetImage[]): Descriptor[] {
  const names = new Set(images.map(({ reference }) => normaliseReference(reference)));
  const kept = entries.filter((entry) => !names.has(referenceOfEntry(entry) ?? ''));
  const added = images.map(({ reference, digest, mediaType, sizeBytes }) => ({
    mediaType,
    digest,
    size: sizeBytes,
    annotations: { [ANNOTATION_REF_NAME]: reference, [ANNOTATION_CONTAINERD_NAME]: reference },
  }));
  const listed = new Set([...kept, ...added].map(({ digest }) => digest));
  const attached: Descriptor[] = [];
  for (const image of images) {
    for (const digest of image.attachments) {
      if (listed.has(digest)) continue;
      listed.add(digest);
      const size = image.blobs.find((blob) => blob.digest === digest)?.sizeBytes ?? 0;
      const annotations = { [ANNOTATION_ATTACHED_TO]: image.digest };
      attached.push({ mediaType: MEDIA_TYPES.ociManifest, digest, size, annotations });
    }
  }
  return [...kept, ...added, ...attached];
}

async function removeFrom(
  store: LayoutStore,
  images: readonly { readonly reference: string; readonly digest: Digest }[],
): Promise<string[]> {
  const entries = await store.readIndex();
  const removed = entries.filter((entry) => images.some((image) => isNamed(entry, image)));
  const rest = entries.filter((entry) => !removed.includes(entry));
  const stillThere = new Set(rest.map(({ digest }) => digest));
  const orphans = rest.filter((entry) => {
    const image = entry.annotations?.[ANNOTATION_ATTACHED_TO];
    return isDigest(image) && !stillThere.has(image) && removed.some(({ digest }) => digest === image);
  });
  const kept = rest.filter((entry) => !orphans.includes(entry));
  // Looked at before anything is changed: where a manifest cannot be read, nobody knows what may go.
  const used = await reachableInLayout(store.folder, kept);
  const leaving = await reachableInLayout(store.folder, [...removed, ...orphans]);
  await store.commitIndex(kept);
  for (const digest of leaving) if (!used.has(digest)) await store.removeBlob(digest);
  return removed.map((entry) => referenceOfEntry(entry) ?? entry.digest);
}
