import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { archiveEntries, runtimeName } from '../../formats/oci/archive.ts';
import { parseReference } from '../../formats/oci/reference.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { BlobStream, ImageTarget, SpaceNeed, TargetImage, TargetSurvey } from '../../ports/image-target.ts';
import { fileError } from '../files/file-error.ts';
import { freeBytes } from '../files/free-bytes.ts';
import { checkedBytes } from '../images/checked-bytes.ts';
import { targetIncomplete } from '../images/target-errors.ts';
import { lockFolder, openArchives, removeArchive } from './archive-folder.ts';
import { type ArchiveWriter, archiveName, createArchive } from './archive-writer.ts';
import { DamagedBlob, nameOfEntry, type StoredArchive } from './stored-archive.ts';

export interface K3sImagesOptions {
  /** The folder that k3s watches; by default {@link K3S_IMAGES_FOLDER}, which is created with the folders around it. */
  readonly folder?: string;
}

export const K3S_IMAGES_FOLDER = '/var/lib/rancher/k3s/agent/images';

type Named = { readonly reference: string; readonly digest: Digest };

/**
 * The folder from which k3s imports images by itself: seconds after an archive appears, and again at its start. An archive
 * holds all images of one write that were missing, whole, and is put in place by a rename; blobs that an older archive of
 * ours holds are copied from there. Names that are no archive's are passed over by k3s, and so are ours until then.
 *
 * k3s pins what it imports from here against the kubelet's garbage collection, but may lose that at a restart (releases
 * before mid-2026): `pinned` cannot be promised, and nothing here says when k3s is done. Where `k3s ctr` works, the
 * containerd target does both. Attachments are left out: an image without a tag breaks the retagging of its whole archive.
 * For the same reason images that charts name by digest get an archive of their own; k3s imports it all the same.
 */
export function createK3sImagesTarget(options: K3sImagesOptions = {}): ImageTarget {
  const folder = resolve(options.folder ?? K3S_IMAGES_FOLDER);
  // Before the first start of k3s there is none of these folders; another path may be mistyped.
  const createParents = folder === K3S_IMAGES_FOLDER;
  const takeLock = () => lockFolder(folder, { createParents });
  return {
    name: createParents ? 'k3s-images' : `k3s-images=${options.folder}`,
    checksDigests: false,
    check: () => problemsOf(folder, createParents),
    async survey(images) {
      await using archives = await openArchives(folder);
      return surveyOf(archives, images);
    },
    space: (missingBytes, unpackedBytes) => spaceOf(folder, missingBytes, unpackedBytes),
    async write(images, blobs, { signal } = {}) {
      signal?.throwIfAborted();
      if (images.length === 0) return;
      await using _lock = await takeLock();
      await using archives = await openArchives(folder);
      await writeArchives(folder, archives, images, blobs, signal);
      await dropEntries(folder, archives, (entry) => isReplaced(entry, images), signal);
    },
    async remove(images, { signal } = {}) {
      signal?.throwIfAborted();
      const isRemoved = (entry: Descriptor) => images.some((image) => isNamed(entry, image));
      {
        await using found = await openArchives(folder);
        if (!found.some(({ entries }) => entries.some(isRemoved))) return [];
      }
      await using _lock = await takeLock();
      await using archives = await openArchives(folder);
      return await dropEntries(folder, archives, isRemoved, signal);
    },
  };
}

function isNamed(entry: Descriptor, image: Named): boolean {
  return nameOfEntry(entry) === runtimeName(image.reference) && entry.digest === image.digest;
}

/** At its start k3s imports all archives in the order of their names: an old one must not take a name back. */
function isReplaced(entry: Descriptor, images: readonly Named[]): boolean {
  return images.some((image) => nameOfEntry(entry) === runtimeName(image.reference) && entry.digest !== image.digest);
}

function neededBlobs(image: TargetImage) {
  return image.blobs.filter(({ role }) => role !== 'image-attachment');
}

function surveyOf(archives: readonly StoredArchive[], images: readonly TargetImage[]): TargetSurvey {
  const holds = (archive: StoredArchive, { digest, sizeBytes }: { digest: Digest; sizeBytes: number }) =>
    archive.blobs.get(digest)?.sizeBytes === sizeBytes;
  const all = images.flatMap((image) => image.blobs);
  const complete = images.filter(
    (image) =>
      !archives.some(({ entries }) => entries.some((entry) => isReplaced(entry, [image]))) &&
      archives.some(
        (archive) =>
          archive.entries.some((entry) => isNamed(entry, image)) &&
          neededBlobs(image).every((blob) => holds(archive, blob)),
      ),
  );
  const needed = new Set(images.flatMap(neededBlobs).map(({ digest }) => digest));
  return {
    blobs: new Set(all.filter((blob) => archives.some((archive) => holds(archive, blob))).map(({ digest }) => digest)),
    images: new Set(complete.map(({ reference }) => reference)),
    unwanted: new Set(all.map(({ digest }) => digest).filter((digest) => !needed.has(digest))),
  };
}

async function writeArchives(
  folder: string,
  archives: readonly StoredArchive[],
  images: readonly TargetImage[],
  blobs: AsyncIterable<BlobStream>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const byDigest = (image: TargetImage) => parseReference(image.reference).digest !== undefined;
  const groups = [images.filter((image) => !byDigest(image)), images.filter(byDigest)].filter(
    ({ length }) => length > 0,
  );
  await using writers = new AsyncDisposableStack();
  const open: ArchiveWriter[] = [];
  for (const group of groups) {
    const wanted = new Set(group.flatMap(neededBlobs).map(({ digest }) => digest));
    open.push(writers.use(await createArchive(folder, archiveEntries(group), wanted)));
  }
  for await (const blob of blobs) {
    const takers = open.filter(({ missing }) => missing.has(blob.digest));
    await pass(takers, blob, checkedBytes(blob, { hash: false, ...(signal === undefined ? {} : { signal }) }));
  }
  for (const writer of open) {
    for (const digest of writer.missing) await copyFrom(archives, writer, digest, folder, signal);
  }
  signal?.throwIfAborted();
  for (const writer of open) await writer.commit();
}

/** To its end, even when nobody takes it: that is how its reader knows that it may go on. */
async function pass(
  takers: readonly ArchiveWriter[],
  { digest, sizeBytes }: { readonly digest: Digest; readonly sizeBytes: number },
  parts: AsyncIterable<Uint8Array>,
): Promise<void> {
  for (const writer of takers) await writer.begin(digest, sizeBytes);
  for await (const part of parts) for (const writer of takers) await writer.part(part);
  for (const writer of takers) await writer.end();
}

async function copyFrom(
  archives: readonly StoredArchive[],
  writer: ArchiveWriter,
  digest: Digest,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const source = archives.find((archive) => archive.blobs.has(digest));
  const sizeBytes = source?.blobs.get(digest)?.sizeBytes;
  if (source === undefined || sizeBytes === undefined) throw targetIncomplete(target, digest);
  try {
    await pass([writer], { digest, sizeBytes }, source.read(digest, signal === undefined ? {} : { signal }));
  } catch (cause) {
    if (!(cause instanceof DamagedBlob)) throw cause;
    // It does not count at the next survey, and is sent again.
    await removeArchive(target, source.path);
    throw targetIncomplete(target, digest, cause);
  }
}

/** Writes what is left of the archives that lose an entry, then removes them. Returns the names that are gone. */
async function dropEntries(
  folder: string,
  archives: readonly StoredArchive[],
  isDropped: (entry: Descriptor) => boolean,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const gone: string[] = [];
  for (const archive of archives) {
    const dropped = archive.entries.filter(isDropped);
    if (dropped.length === 0) continue;
    const kept = archive.entries.filter((entry) => !isDropped(entry));
    if (kept.length > 0) {
      const wanted = await archive.reachableFrom(kept);
      await using writer = await createArchive(folder, kept, wanted);
      for (const digest of wanted) await copyFrom([archive], writer, digest, folder, signal);
      await writer.commit();
      if (archive.path === join(folder, archiveName(kept, wanted))) continue;
    }
    await removeArchive(folder, archive.path);
    gone.push(...dropped.map(nameOfEntry));
  }
  return gone;
}

async function problemsOf(folder: string, createsParents: boolean): Promise<PortolanError[]> {
  try {
    let place = folder;
    while (!(await isThere(place)) && (createsParents || place === folder) && dirname(place) !== place) {
      place = dirname(place);
    }
    await access(place, constants.R_OK | constants.W_OK | constants.X_OK).catch((cause) => {
      throw fileError(cause, place, 'write');
    });
    return [];
  } catch (cause) {
    if (cause instanceof PortolanError) return [cause];
    throw cause;
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The archive itself, and what containerd makes of it: the blobs once more, and their files unpacked. */
async function spaceOf(folder: string, missingBytes: number, unpackedBytes: number): Promise<SpaceNeed[]> {
  const containerd = join(dirname(folder), 'containerd');
  const archive = { path: folder, freeBytes: await freeBytes(folder), neededBytes: missingBytes };
  const facts = await stat(containerd).catch(() => undefined);
  if (facts === undefined) return [archive];
  const imported = {
    path: containerd,
    freeBytes: await freeBytes(containerd),
    neededBytes: missingBytes + unpackedBytes,
  };
  const own = await stat(folder).catch(() => stat(dirname(folder)));
  return own.dev === facts.dev
    ? [{ ...archive, neededBytes: archive.neededBytes + imported.neededBytes }]
    : [archive, imported];
}
