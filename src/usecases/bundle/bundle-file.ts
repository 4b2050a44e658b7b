import type { Descriptor } from '../../formats/oci/types.ts';
import type { Medium } from '../../ports/medium.ts';
import type { EngineOptions, SealingEngine } from '../../ports/sealing.ts';
import { UseCaseError } from '../errors.ts';

/**
 * A file of a bundle must be there, a plain file, of the length that the manifest gives.
 *
 * @returns its path.
 * @throws UseCaseError FILE_OF_BUNDLE_MISSING, FILE_OF_BUNDLE_DAMAGED
 */
export async function assertBundleFile(medium: Medium, layer: Descriptor): Promise<string> {
  const path = medium.blobPath(layer.digest);
  const facts = await medium.statBlob(layer.digest);
  if (facts === undefined) throw badFile('FILE_OF_BUNDLE_MISSING', 'is missing', path, layer);
  if (facts.sizeBytes !== layer.size) {
    throw badFile('FILE_OF_BUNDLE_DAMAGED', 'has the wrong length', path, layer, layer.size, facts.sizeBytes);
  }
  return path;
}

/** Hashes a file of a bundle whole, besides. @throws as `assertBundleFile`, and what the engine throws */
export async function checkBundleFile(
  medium: Medium,
  engine: SealingEngine,
  layer: Descriptor,
  options: EngineOptions = {},
): Promise<void> {
  const path = await assertBundleFile(medium, layer);
  const found = await engine.digest({ path, sizeBytes: layer.size }, options);
  if (found !== layer.digest) {
    throw badFile('FILE_OF_BUNDLE_DAMAGED', 'has other content than the bundle says', path, layer, layer.digest, found);
  }
}

function badFile(
  code: 'FILE_OF_BUNDLE_MISSING' | 'FILE_OF_BUNDLE_DAMAGED',
  what: string,
  file: string,
  { digest }: Descriptor,
  expected?: string | number,
  found?: string | number,
): UseCaseError {
  return new UseCaseError(code, `A file of the bundle ${what}`, {
    at: { file, digest },
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    hint: 'Copy this file again from where the bundle came from, under the same name.',
  });
}
