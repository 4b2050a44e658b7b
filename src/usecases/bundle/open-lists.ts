import type { Digest } from '../../core/digest.ts';
import { openBytes } from '../../formats/age/sealed-bytes.ts';
import { LISTS_MAX_BYTES } from '../../formats/bundle/contents.ts';
import { decodeLists, type Lists } from '../../formats/bundle/lists.ts';
import { type Extent, type PiecePlan, planPieces } from '../../formats/bundle/placement.ts';
import type { Medium } from '../../ports/medium.ts';
import { UseCaseError } from '../errors.ts';
import type { ResolvedBundle } from './resolve-bundle.ts';

export interface OpenedLists extends Lists {
  readonly plans: readonly PiecePlan[];
  /** By digest, in bytes. */
  readonly sizes: ReadonlyMap<Digest, number>;
  /** By digest, in the order of the blob's bytes. */
  readonly extents: ReadonlyMap<Digest, readonly Extent[]>;
}

/**
 * Reads, opens and checks the sealed lists: canonical, complete, and of the bundle that the manifest names.
 *
 * @throws UseCaseError LISTS_MISMATCH; FormatError LISTS_INVALID, CONTENTS_INVALID, PLACEMENT_INVALID, NO_MATCHING_IDENTITY, AGE_…;
 *   AdapterError BLOB_MISSING, BLOB_DAMAGED
 */
export async function openLists(
  medium: Medium,
  bundle: ResolvedBundle,
  identities: readonly string[],
): Promise<OpenedLists> {
  const { manifest } = bundle;
  // The header and the tags of age come on top.
  const sealed = await medium.readBlob(manifest.lists.digest, LISTS_MAX_BYTES + LISTS_MAX_BYTES / 64);
  const lists = await decodeLists(await openBytes(sealed, identities, { maxBytes: LISTS_MAX_BYTES }));
  const { name, version } = lists.contents;
  if (name !== manifest.name || version !== manifest.version) {
    throw new UseCaseError('LISTS_MISMATCH', 'The sealed lists belong to another bundle than the manifest', {
      expected: `${manifest.name} ${manifest.version}`,
      found: `${name} ${version}`,
      at: { file: medium.folder, digest: manifest.lists.digest },
      hint: 'The publisher who signed this manifest mixed two bundles: ask for a new one.',
    });
  }
  const sizes = new Map(lists.contents.blobs.map((blob) => [blob.digest, blob.sizeBytes]));
  const extents = new Map(lists.placement.blobs.map((blob) => [blob.digest, blob.extents]));
  return { ...lists, sizes, extents, plans: planPieces(lists.contents, lists.placement, manifest.pieces.length) };
}
