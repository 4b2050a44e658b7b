import type { Digest } from '../../core/digest.ts';
import { decodeLock, encodeLock, LOCK_LIMIT_BYTES } from '../../formats/bundle/lock.ts';
import { type LockChange, lockChanges } from '../../formats/bundle/lock-changes.ts';
import type { BundleLock } from '../../formats/bundle/lock-types.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import type { AcquiredImage } from '../../ports/images.ts';
import { decodeText, type Project, readProject } from './lock-definition.ts';
import { requireImages } from './lock-image-uses.ts';
import { acquireAll, findImages, lockedImage } from './lock-images.ts';
import { collectInputs, imageSettings } from './lock-inputs.ts';
import type { LockDependencies, LockOptions, PreparedBundle, Selection } from './lock-types.ts';

/**
 * Resolves everything that bundle.yaml names: packs the charts, merges the values, renders, finds the images, fetches them
 * and hashes the rest. Writes nothing but blobs into the store; `saveLock` writes the lock.
 *
 * @param definitionPath - bundle.yaml, or its folder.
 * @throws FormatError, AdapterError, UseCaseError SELECTION_UNKNOWN, IMAGE_WITHOUT_SOURCE, IMAGES_MISSING.
 */
export async function lockBundle(
  definitionPath: string,
  selection: Selection,
  dependencies: LockDependencies,
  options: LockOptions = {},
): Promise<PreparedBundle> {
  const project = await readProject(definitionPath, dependencies.files);
  const inputs = await collectInputs(project, selection, dependencies, options);
  const wanted = await findImages(project, inputs, dependencies, options);
  requireImages(
    project,
    inputs,
    wanted.map(({ reference }) => reference),
  );
  const { platforms } = inputs.selected;
  const images = await acquireAll(
    wanted.map(({ reference, found }) => ({ reference, found, platforms })),
    dependencies.imageSource(imageSettings(project)),
    dependencies,
    options,
  );
  const lock: BundleLock = {
    ...inputs.lock,
    images: images.map((image, index) => lockedImage(image, wanted[index]?.found ?? [])),
  };
  return { lock, images, blobs: withImageBlobs(inputs.blobs, images) };
}

export function withImageBlobs(
  local: ReadonlyMap<Digest, LocalBlob>,
  images: readonly AcquiredImage[],
): ReadonlyMap<Digest, LocalBlob> {
  const blobs = new Map(local);
  for (const image of images) {
    for (const { digest, sizeBytes, path } of image.blobs)
      if (!blobs.has(digest)) blobs.set(digest, { digest, sizeBytes, path });
  }
  return blobs;
}

export interface SavedLock {
  readonly path: string;
  /** Against the lock that was there; `undefined` when there was none. */
  readonly changes: readonly LockChange[] | undefined;
}

/** Writes bundle.lock.json beside bundle.yaml, durably; a lock that is the same is not touched. */
export async function saveLock(
  definitionPath: string,
  lock: BundleLock,
  { files }: Pick<LockDependencies, 'files'>,
): Promise<SavedLock> {
  const project = await readProject(definitionPath, files);
  const before = await readLock(project, files);
  const encoded = encodeLock(lock);
  if (before === undefined || encodeLock(before) !== encoded) await files.write(project.lockFile, encoded);
  return { path: project.lockFile, changes: before === undefined ? undefined : lockChanges(before, lock) };
}

/** The lock beside a definition, if there is one. @throws FormatError LOCK_INVALID. */
export async function readLock(
  { lockFile }: Pick<Project, 'lockFile'>,
  files: LockDependencies['files'],
): Promise<BundleLock | undefined> {
  if ((await files.kind(lockFile)) === 'absent') return undefined;
  return decodeLock(decodeText(await files.read(lockFile, LOCK_LIMIT_BYTES), lockFile, 'LOCK_INVALID'), lockFile);
}
