import type { Digest } from '../../core/digest.ts';
import { type Contents, IMAGE_ROLES } from '../../formats/bundle/contents.ts';
import type { TargetBlob, TargetImage, TargetSurvey } from '../../ports/image-target.ts';

/** The images of a bundle, as a target takes them. */
export function targetImagesOf({ images, blobs }: Contents): TargetImage[] {
  const known = new Map<Digest, TargetBlob>();
  for (const { digest, sizeBytes, roles } of blobs) {
    const role = IMAGE_ROLES.find((one) => roles.includes(one));
    if (role !== undefined) known.set(digest, { digest, sizeBytes, role });
  }
  return images.map((image) => ({
    reference: image.reference,
    digest: image.digest,
    mediaType: image.mediaType,
    sizeBytes: known.get(image.digest)?.sizeBytes ?? 0,
    platforms: image.platforms,
    attachments: image.attachments,
    blobs: image.blobs.flatMap((digest) => known.get(digest) ?? []),
  }));
}

export interface MissingImages {
  /** Images that are not complete under their name. */
  readonly images: readonly TargetImage[];
  /** What has to be sent for them, each blob once. */
  readonly blobs: readonly TargetBlob[];
  readonly sizeBytes: number;
}

export function missingOf(images: readonly TargetImage[], survey: TargetSurvey): MissingImages {
  const missing = images.filter(({ reference }) => !survey.images.has(reference));
  const blobs = new Map<Digest, TargetBlob>();
  for (const blob of missing.flatMap((image) => image.blobs)) {
    if (!survey.blobs.has(blob.digest) && survey.unwanted?.has(blob.digest) !== true) blobs.set(blob.digest, blob);
  }
  return {
    images: missing,
    blobs: [...blobs.values()],
    sizeBytes: [...blobs.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}
