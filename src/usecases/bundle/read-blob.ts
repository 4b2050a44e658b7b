import { type Digest, digestOf } from '../../core/digest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { Medium } from '../../ports/medium.ts';
import type { SealedRun, SealingEngine } from '../../ports/sealing.ts';
import { UseCaseError } from '../errors.ts';
import type { OpenedLists } from './open-lists.ts';
import type { ResolvedBundle } from './resolve-bundle.ts';

/** Where a blob lies on the medium: runs of sealed pieces, in the order of its bytes. */
export function sealedRunsOf(medium: Medium, bundle: ResolvedBundle, lists: OpenedLists, digest: Digest): SealedRun[] {
  const extents = lists.extents.get(digest) ?? [];
  return extents.map(([piece, offsetBytes, lengthBytes]) => {
    const layer = bundle.manifest.pieces[piece] as Descriptor;
    return {
      path: medium.blobPath(layer.digest),
      expected: { digest: layer.digest, sizeBytes: layer.size },
      plaintextBytes: lists.placement.pieceSizeBytes,
      offsetBytes,
      lengthBytes,
    };
  });
}

/**
 * Opens a small blob of a bundle into memory and checks it against its true digest.
 *
 * @throws UseCaseError BLOB_NOT_TRUE, BLOB_TOO_LARGE; what the engine throws
 */
export async function readBlob(
  { medium, engine }: { readonly medium: Medium; readonly engine: SealingEngine },
  bundle: ResolvedBundle,
  lists: OpenedLists,
  request: { readonly digest: Digest; readonly maxBytes: number; readonly identities: readonly string[] },
  options: { readonly signal?: AbortSignal } = {},
): Promise<Uint8Array> {
  const { digest, maxBytes, identities } = request;
  const sizeBytes = lists.sizes.get(digest) ?? 0;
  if (sizeBytes > maxBytes) {
    throw new UseCaseError('BLOB_TOO_LARGE', 'A blob of the bundle is larger than such a blob ever is', {
      expected: `at most ${maxBytes} bytes`,
      found: `${sizeBytes} bytes`,
      at: { digest },
      hint: 'The bundle was packed by something else: do not use it, and ask the publisher.',
    });
  }
  const bytes = await engine.readSealed(sealedRunsOf(medium, bundle, lists, digest), identities, options);
  const found = digestOf(bytes);
  if (found !== digest) throw blobNotTrue(digest, found);
  return bytes;
}

export function blobNotTrue(expected: Digest, found: Digest): UseCaseError {
  return new UseCaseError('BLOB_NOT_TRUE', 'A blob inside the bundle is not what its digest says', {
    expected,
    found,
    at: { digest: expected },
    hint: 'The bundle was packed wrongly: do not use it, and ask the publisher for a new one.',
  });
}
