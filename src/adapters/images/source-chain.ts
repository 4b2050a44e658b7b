import { normaliseReference } from '../../formats/oci/reference.ts';
import type { ImageSource } from '../../ports/images.ts';
import { AdapterError } from '../errors.ts';

export interface NamedSource {
  /** As a person would call it: `registries`, `the layout ./images`. */
  readonly name: string;
  readonly source: ImageSource;
}

/** Asks each source in order. Raises AdapterError IMAGE_NOT_FOUND, which lists who was asked, when none has the image. */
export function createSourceChain(sources: readonly NamedSource[]): ImageSource {
  return {
    async acquire(request, options) {
      let cause: unknown;
      for (const { source } of sources) {
        try {
          const image = await source.acquire(request, options);
          if (image) return image;
        } catch (failure) {
          if (!(failure instanceof AdapterError && failure.code === 'IMAGE_NOT_FOUND')) throw failure;
          cause = failure;
        }
      }
      const asked = sources.map(({ name }) => name).join(', ') || 'no source';
      const why = cause instanceof AdapterError ? ` (${cause.message})` : '';
      throw new AdapterError('IMAGE_NOT_FOUND', `No source has ${normaliseReference(request.reference)}${why}`, {
        cause,
        found: `asked: ${asked}`,
        hint: 'Check the spelling of the reference and its tag, and which layouts and registries are asked.',
        ...(cause instanceof AdapterError && cause.at ? { at: cause.at } : {}),
      });
    },
  };
}
