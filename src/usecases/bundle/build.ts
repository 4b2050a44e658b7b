import type { Digest } from '../../core/digest.ts';
import { sealBytes } from '../../formats/age/sealed-bytes.ts';
import { encodeContents, rootDigestOf } from '../../formats/bundle/contents.ts';
import { encodeLists } from '../../formats/bundle/lists.ts';
import type { BundleLock } from '../../formats/bundle/lock-types.ts';
import { EMPTY_BLOB, encodeManifest, MANIFEST_MEDIA_TYPE, tagOf } from '../../formats/bundle/manifest.ts';
import { BUNDLE_ARTIFACT_TYPE, LISTS_MEDIA_TYPE, PLACEMENT_MEDIA_TYPE } from '../../formats/bundle/media-types.ts';
import { MEDIUM_README, MEDIUM_README_NAME } from '../../formats/bundle/medium-readme.ts';
import { extentsOf } from '../../formats/bundle/packing.ts';
import { ANNOTATION_REF_NAME } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import type { AcquiredImage } from '../../ports/images.ts';
import { UseCaseError } from '../errors.ts';
import { composeContents, rankOf } from './compose-contents.ts';
import { sweepMedium, withoutTag } from './medium-index.ts';
import { type SealDependencies, sealPieces } from './seal-pieces.ts';
import { type Signer, settleSignatures, writeSignature } from './write-signature.ts';

export interface BuildRequest {
  readonly lock: BundleLock;
  readonly images: readonly AcquiredImage[];
  readonly blobs: ReadonlyMap<Digest, LocalBlob>;
  /** The SBOM index, in a file. */
  readonly sbomIndex: LocalBlob;
  /** All classic or all post-quantum; checked by the caller's parser. */
  readonly recipients: readonly string[];
  readonly signer: Signer;
  readonly fresh: boolean;
}

export interface BuildReport {
  readonly tag: string;
  readonly root: Digest;
  readonly manifestDigest: Digest;
  readonly keyHint: string;
  readonly pieces: { readonly sealed: number; readonly reused: number; readonly sizeBytes: number };
  readonly contentBytes: number;
  readonly blobs: number;
  readonly images: number;
}

/**
 * Writes a bundle to a medium. Pieces, lists, manifest and signature are durable before index.json is replaced, and only
 * then is what nobody names any more removed: interrupted at any moment, the medium is as it was before, or complete.
 *
 * @throws UseCaseError SIGNER_NOT_NAMED, MEDIUM_TOO_SMALL, SOURCE_DAMAGED; what the medium and the engine throw
 */
export async function buildBundle(
  request: BuildRequest,
  dependencies: SealDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<BuildReport> {
  const { lock, images, recipients, signer } = request;
  const { medium } = dependencies;
  const signers = lock.signers.length > 0 ? lock.signers : [signer.keyHint];
  if (!signers.includes(signer.keyHint)) {
    throw new UseCaseError('SIGNER_NOT_NAMED', 'The signing key is not one that bundle.yaml names under signers', {
      expected: signers.join(', '),
      found: signer.keyHint,
      hint: 'Sign with a key that is named there, or add its public key to signers and lock again.',
    });
  }
  const { contents, sources } = composeContents(lock, images, request.blobs, request.sbomIndex, signers);
  const encodedContents = encodeContents(contents);
  const root = rootDigestOf(encodedContents);

  await using _lock = await medium.lock();
  const packed = contents.blobs.map(({ digest, sizeBytes, roles }) => ({ digest, sizeBytes, rank: rankOf(roles) }));
  const sealRequest = { blobs: packed, sources, recipients, pieceSizeBytes: lock.pieceSizeBytes, fresh: request.fresh };
  const { pieces, sealed, reused } = await sealPieces(sealRequest, dependencies, options);
  const extents = extentsOf(pieces);
  const lists = await sealBytes(
    await encodeLists(contents, {
      mediaType: PLACEMENT_MEDIA_TYPE,
      root,
      pieceSizeBytes: lock.pieceSizeBytes,
      pieces: pieces.length,
      blobs: contents.blobs.map(({ digest }) => ({ digest, extents: extents.get(digest) ?? [] })),
    }),
    recipients,
  );
  options.signal?.throwIfAborted();
  const listsDescriptor: Descriptor = {
    mediaType: LISTS_MEDIA_TYPE,
    digest: await medium.putBlob(lists),
    size: lists.length,
  };
  const manifestBytes = encodeManifest({
    name: lock.name,
    version: lock.version,
    lists: listsDescriptor,
    pieces: pieces.map(({ descriptor }) => descriptor),
  });
  await medium.putBlob(EMPTY_BLOB);
  const manifest: Descriptor = {
    mediaType: MANIFEST_MEDIA_TYPE,
    artifactType: BUNDLE_ARTIFACT_TYPE,
    digest: await medium.putBlob(manifestBytes),
    size: manifestBytes.length,
  };
  const tag = tagOf(lock.name, lock.version);
  const kept = await withoutTag(medium, tag);
  const signature = await writeSignature(medium, { tag, manifest, manifestBytes, signer });
  await medium.writeFile(MEDIUM_README_NAME, new TextEncoder().encode(MEDIUM_README));
  options.signal?.throwIfAborted();
  await medium.commitIndex([...kept, { ...manifest, annotations: { [ANNOTATION_REF_NAME]: tag } }, signature.referrer]);
  await settleSignatures(medium, tag, [signature]);
  await sweepMedium(medium);

  return {
    tag,
    root,
    manifestDigest: manifest.digest,
    keyHint: signer.keyHint,
    pieces: { sealed, reused, sizeBytes: pieces.reduce((sum, { descriptor }) => sum + descriptor.size, 0) },
    contentBytes: contents.blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    blobs: contents.blobs.length,
    images: images.length,
  };
}
