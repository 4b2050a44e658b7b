import type { Digest } from '../../core/digest.ts';
import { MAX_HEADER_BYTES, splitFile, viewHeader } from '../../formats/age/header.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { decodeSbomIndex, SBOM_INDEX_MAX_BYTES, type SbomImage } from '../../formats/bundle/sbom-index.ts';
import type { Medium } from '../../ports/medium.ts';
import type { SealingEngine } from '../../ports/sealing.ts';
import { openLists } from './open-lists.ts';
import { readBlob } from './read-blob.ts';
import { readSignatures } from './read-signatures.ts';
import { resolveBundle } from './resolve-bundle.ts';

/** What anybody who holds the medium sees. */
export interface CourierView {
  readonly tag: string;
  readonly name: string;
  readonly version: string;
  readonly manifestDigest: Digest;
  readonly pieces: number;
  readonly sizeBytes: number;
  /** Kinds of the recipients' stanzas, one for each recipient: they do not tell who. */
  readonly recipients: readonly string[];
  /** Key hints that the signatures claim, unchecked. */
  readonly signers: readonly string[];
}

/** What the holder of a key sees besides. */
export interface HolderView {
  readonly root: Digest;
  readonly contents: Contents;
  readonly sbom: readonly SbomImage[];
  readonly contentBytes: number;
}

export interface InspectReport {
  readonly courier: CourierView;
  readonly holder?: HolderView;
}

/** Tells about a bundle; `verify` is what checks it. With an identity the sealed lists are opened. */
export async function inspectBundle(
  request: { readonly tag?: string; readonly identities: readonly string[] },
  dependencies: { readonly medium: Medium; readonly engine: SealingEngine },
  options: { readonly signal?: AbortSignal } = {},
): Promise<InspectReport> {
  const { medium } = dependencies;
  const { identities } = request;
  const bundle = await resolveBundle(medium, request.tag);
  const { manifest } = bundle;
  // The lists may be large, and nothing vouches for them yet: their header tells who may open them.
  const listsStart = await medium.readBlobStart(manifest.lists.digest, MAX_HEADER_BYTES);
  const signatures = await readSignatures(medium, bundle, []);
  const courier: CourierView = {
    tag: bundle.tag,
    name: manifest.name,
    version: manifest.version,
    manifestDigest: bundle.descriptor.digest,
    pieces: manifest.pieces.length,
    sizeBytes: [manifest.lists, ...manifest.pieces].reduce((sum, { size }) => sum + size, 0),
    recipients: (await viewHeader(splitFile(listsStart).header)).stanzaTypes,
    signers: [...new Set(signatures.flatMap(({ keyHint }) => (keyHint === undefined ? [] : [keyHint])))],
  };
  if (identities.length === 0) return { courier };
  const lists = await openLists(medium, bundle, identities);
  const sbomRequest = { digest: lists.contents.sbomIndex, maxBytes: SBOM_INDEX_MAX_BYTES, identities };
  const sbomBytes = await readBlob(dependencies, bundle, lists, sbomRequest, options);
  return {
    courier,
    holder: {
      root: lists.root,
      contents: lists.contents,
      sbom: decodeSbomIndex(sbomBytes).images,
      contentBytes: lists.contents.blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    },
  };
}
