import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import type { ImageTarget, TargetImage, TargetSurvey } from '../../ports/image-target.ts';
import type { Progress } from '../../ports/progress.ts';
import { sealedRunsOf } from '../bundle/read-blob.ts';
import { UseCaseError } from '../errors.ts';
import { type BlobSource, blame, streamBlobs } from './stream-blobs.ts';
import { type MissingImages, missingOf } from './target-images.ts';

export interface ImagesReport {
  readonly sent: number;
  readonly sentBytes: number;
  /** What the target holds now. */
  readonly survey: TargetSurvey;
}

/** A stream cannot be read twice, so targets give these up; a second one may help. */
const SEND_AGAIN: ReadonlySet<string> = new Set(['TARGET_INCOMPLETE', 'UPLOAD_LOST']);

/**
 * Brings the images that the target lacks, and of them only the blobs that it lacks, straight from the pieces.
 *
 * @throws UseCaseError IMAGES_NOT_THERE when the target does not hold them afterwards; what target and stream throw
 */
export async function importImages(
  images: readonly TargetImage[],
  target: ImageTarget,
  source: BlobSource,
  progress: Progress,
  options: { readonly signal?: AbortSignal } = {},
): Promise<ImagesReport> {
  const before = await target.survey(images, options);
  const missing = missingOf(images, before);
  if (missing.images.length === 0) return { sent: 0, sentBytes: 0, survey: before };
  try {
    await send(missing, target, source, progress, options);
  } catch (error) {
    if (!(error instanceof PortolanError) || !SEND_AGAIN.has(error.code)) throw error;
    // Cleared away after it was seen, or lost on its way: what is missing now is sent, once more.
    options.signal?.throwIfAborted();
    await send(missingOf(images, await target.survey(images, options)), target, source, progress, options);
  }
  const survey = await target.survey(images, options);
  const lacking = images.filter(({ reference }) => !survey.images.has(reference));
  if (lacking.length > 0) throw imagesNotThere(target.name, lacking);
  return { sent: missing.images.length, sentBytes: missing.sizeBytes, survey };
}

async function send(
  missing: MissingImages,
  target: ImageTarget,
  source: BlobSource,
  progress: Progress,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  const task = progress.task(`Images to ${target.name}`, missing.sizeBytes);
  const stream = streamBlobs(missing.blobs, source, {
    ...options,
    hash: !target.checksDigests,
    checkPadding: true,
    reuseMemory: true,
    onBytes: (bytes) => task.advance(bytes),
  });
  try {
    await target.write(missing.images, stream, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    // Where the target refused a blob, the piece that held it tells whether the medium is damaged or the packer was wrong.
    const digest = error instanceof PortolanError ? (error.at?.digest as Digest | undefined) : undefined;
    if (digest !== undefined && missing.blobs.some((blob) => blob.digest === digest)) {
      await blame(sealedRunsOf(source.medium, source.bundle, source.lists, digest), source, options.signal);
    }
    throw error;
  }
  task.done();
}

function imagesNotThere(target: string, lacking: readonly TargetImage[]): UseCaseError {
  return new UseCaseError('IMAGES_NOT_THERE', `${target} took the images, and does not have all of them`, {
    found: `without ${lacking.map(({ reference }) => reference).join(', ')}`,
    hint: 'Something removed them meanwhile: look for a full disk or a clean-up on that side, then run the import again.',
  });
}
