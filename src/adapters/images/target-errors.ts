import type { Digest } from '../../core/digest.ts';
import { AdapterError } from '../errors.ts';

/**
 * A blob that the target was thought to hold is not there (any more): a container engine may have collected it as garbage
 * between the survey and the import. The caller surveys again and sends what is missing, once.
 */
export function targetIncomplete(target: string, digest: Digest, cause?: unknown): AdapterError {
  return new AdapterError('TARGET_INCOMPLETE', `${target} lacks a blob that was neither there nor sent`, {
    ...(cause === undefined ? {} : { cause }),
    at: { digest },
    hint: 'Run the command again: what is missing is sent then. A bundle made with --since needs the images that it builds on.',
  });
}
