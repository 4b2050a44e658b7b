import type { ImageValue } from '../../formats/bundle/definition-types.ts';
import { parseValuePath } from '../../formats/bundle/value-path.ts';
import { discoverImages } from '../../formats/helm/discovery.ts';
import { isValuesMap, type ValuesMap } from '../../formats/helm/values.ts';
import { formatReference, parseReference } from '../../formats/oci/reference.ts';
import { UseCaseError } from '../errors.ts';

/**
 * For clusters whose nodes take no mirrors: the values of a chart point to where the images went, as `imageValues` of
 * bundle.yaml says. Whether that was enough shows when the chart is rendered again.
 */

/** A copy of the values in which each image value names `mapReference` of its image. Maps that are missing are made. */
export function rewriteImageValues(
  values: ValuesMap,
  imageValues: readonly ImageValue[],
  mapReference: (reference: string) => string,
): ValuesMap {
  return imageValues.reduce((rewritten, { path, image, part }) => {
    // bundle.yaml and contents.json were checked for it.
    const keys = parseValuePath(path);
    if (keys === undefined) throw new Error(`${path} is no path of a value`);
    return withValue(rewritten, keys, partOf(mapReference(image), part)) as ValuesMap;
  }, values);
}

/** Problems: an image that a chart still takes from elsewhere. `isThere` says whether the target holds a reference. */
export function imagesNotRewritten(
  rendered: string,
  chart: string,
  isThere: (reference: string) => boolean,
): readonly UseCaseError[] {
  const wrong = discoverImages(rendered, chart).filter(({ reference }) => !isThere(normalised(reference)));
  return wrong.map(
    ({ reference, template, path }) =>
      new UseCaseError('IMAGE_NOT_REWRITTEN', `The chart ${chart} still takes ${reference} from elsewhere.`, {
        found: reference,
        at: { file: template === '' ? chart : template, key: path },
        hint: 'Ask the publisher for a bundle whose `imageValues` name the value that this image comes from.',
      }),
  );
}

function withValue(below: unknown, keys: readonly string[], value: string): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  if (Array.isArray(below) && /^\d+$/.test(key) && Number(key) < below.length) {
    return below.map((item, index) => (index === Number(key) ? withValue(item, rest, value) : item));
  }
  // No prototype: a key may have any name.
  const copy: Record<string, unknown> = Object.create(null);
  if (isValuesMap(below)) for (const [name, item] of Object.entries(below)) copy[name] = item;
  copy[key] = withValue(copy[key], rest, value);
  return copy;
}

function partOf(reference: string, part: ImageValue['part']): string {
  const parsed = parseReference(reference);
  switch (part) {
    case 'registry':
      return parsed.host;
    case 'repository':
      return parsed.repository;
    case 'tag':
      return parsed.tag ?? '';
    case 'digest':
      return parsed.digest ?? '';
    default:
      return formatReference(parsed);
  }
}

function normalised(reference: string): string {
  try {
    return formatReference(parseReference(reference));
  } catch {
    // Not a reference: it cannot be there, and the error shows it as it is.
    return reference;
  }
}
