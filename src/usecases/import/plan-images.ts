import type { PortolanError } from '../../core/errors.ts';
import type { ImageTarget, SpaceNeed, TargetBlob, TargetImage } from '../../ports/image-target.ts';
import { UseCaseError } from '../errors.ts';
import { collect } from '../refuse.ts';
import { missingOf } from './target-images.ts';
import type { ImportDependencies, ImportPlan } from './types.ts';

/** What unpacked layers take beside their compressed blobs, by experience. */
const UNPACKED_FACTOR = 2.5;

/** What of the images is missing at the target, and everything that stands against bringing it. */
export async function planImages(
  images: readonly TargetImage[],
  { images: target }: ImportDependencies,
  problems: PortolanError[],
  options: { readonly signal?: AbortSignal },
): Promise<ImportPlan['images']> {
  if (target === undefined) {
    throw new UseCaseError('TARGET_NOT_SAID', 'It is not said where the images go', {
      hint: 'Say --images containerd, k3s-images, registry=HOST or folder=DIR. No k3s was found on this machine.',
    });
  }
  const found = await target.check({ ...options, images });
  problems.push(...found, ...platformProblems(images, target));
  const survey = found.length > 0 ? undefined : await collect(problems, () => target.survey(images, options));
  const missing = missingOf(images, survey ?? { blobs: new Set(), images: new Set() });
  const space = survey === undefined ? undefined : await collect(problems, () => spaceOf(target, missing.blobs));
  for (const { path, freeBytes, neededBytes } of space ?? []) {
    if (freeBytes >= neededBytes) continue;
    problems.push(
      new UseCaseError('TARGET_TOO_SMALL', 'There is too little free space for the images', {
        at: { file: path },
        expected: `${neededBytes} bytes`,
        found: `${freeBytes} bytes`,
        hint: '`portolan bundle gc` takes away images that no release needs any more. Nothing was written.',
      }),
    );
  }
  return {
    target: target.name,
    images: images.length,
    missing: missing.images.map(({ reference }) => reference),
    blobs: missing.blobs.length,
    sizeBytes: missing.sizeBytes,
    space: space ?? [],
  };
}

/** Of images for several nodes some may be for others; an image for none of this target's platform starts nowhere. */
function platformProblems(images: readonly TargetImage[], { name, platform }: ImageTarget): UseCaseError[] {
  if (platform === undefined) return [];
  // A variant (arm64/v8) does not show in what a target names.
  const fits = (carried: string) => carried === platform || carried.startsWith(`${platform}/`);
  const foreign = images.filter(({ platforms }) => platforms.length > 0 && !platforms.some(fits));
  if (foreign.length === 0) return [];
  const platforms = [...new Set(foreign.flatMap((image) => image.platforms))].sort();
  const named = foreign.slice(0, 10).map(({ reference }) => reference);
  return [
    new UseCaseError('PLATFORM_NOT_CARRIED', `The bundle carries no images for the node of ${name}`, {
      expected: platform,
      found: `${platforms.join(', ')}: ${named.join(', ')}`,
      hint: 'Ask the publisher for a bundle with this platform.',
    }),
  ];
}

function spaceOf(target: ImageTarget, missing: readonly TargetBlob[]): Promise<readonly SpaceNeed[]> {
  const bytesOf = (blobs: readonly TargetBlob[]) => blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const layers = missing.filter(({ role }) => role === 'image-layer');
  return target.space(bytesOf(missing), Math.ceil(bytesOf(layers) * UNPACKED_FACTOR));
}
