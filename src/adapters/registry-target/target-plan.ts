import type { Digest } from '../../core/digest.ts';
import { formatReference, parseReference } from '../../formats/oci/reference.ts';
import { findCollisions, mirroredImage, type RegistryAddress } from '../../formats/oci/registry-address.ts';
import type { TargetBlob, TargetImage } from '../../ports/image-target.ts';
import { AdapterError } from '../errors.ts';
import { asOneError } from './all-problems.ts';

/** An image and its place in the registry. */
export interface PlannedImage {
  readonly image: TargetImage;
  readonly repository: string;
  /** Where the reference has one. */
  readonly tag?: string;
  /** The reference names a digest: whoever pulls it accepts nothing else. */
  readonly isPinned: boolean;
  /** As whoever pulls it from here writes it. */
  readonly name: string;
}

export interface TargetPlan {
  readonly images: readonly PlannedImage[];
  /** The repositories that need a blob; manifests too. */
  readonly repositories: ReadonlyMap<Digest, readonly string[]>;
  /** What registries keep as manifests, as far as it is known before they are read. */
  readonly manifests: ReadonlySet<Digest>;
  readonly blobs: ReadonlyMap<Digest, TargetBlob>;
}

/** Where everything goes. Raises AdapterError REFERENCE_COLLISION with every name that two images would have. */
export function planTarget(images: readonly TargetImage[], address: RegistryAddress): TargetPlan {
  refuseCollisions(images, address);
  const repositories = new Map<Digest, string[]>();
  const manifests = new Set<Digest>();
  const blobs = new Map<Digest, TargetBlob>();
  const planned = images.map((image): PlannedImage => {
    const { repository, tag } = mirroredImage(image.reference, address);
    const isPinned = parseReference(image.reference).digest !== undefined;
    for (const blob of image.blobs) {
      blobs.set(blob.digest, blob);
      const known = repositories.get(blob.digest) ?? [];
      if (!known.includes(repository)) repositories.set(blob.digest, [...known, repository]);
      if (blob.role === 'image-index' || blob.role === 'image-manifest') manifests.add(blob.digest);
    }
    for (const digest of [image.digest, ...image.attachments]) manifests.add(digest);
    const name = formatReference(mirroredImage(image.reference, address));
    return { image, repository, isPinned, name, ...(tag === undefined ? {} : { tag }) };
  });
  return { images: planned, repositories, manifests, blobs };
}

function refuseCollisions(images: readonly TargetImage[], address: RegistryAddress): void {
  const problem = asOneError(
    findCollisions(images, address).map(
      ({ name, references }) =>
        new AdapterError('REFERENCE_COLLISION', `Several images would lie under ${name}`, {
          found: references.join(', '),
          hint: 'A registry keeps an image under its path alone: give one of them another path or tag where the bundle is made.',
        }),
    ),
  );
  if (problem !== undefined) throw problem;
}
