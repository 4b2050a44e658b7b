import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, digestOf, isDigest } from '../../core/digest.ts';
import { decodeManifest } from './manifest.ts';

/**
 * An image index without the entries whose manifests are not carried, for registries that refuse an index that names what
 * they do not hold (distribution does by default, with MANIFEST_BLOB_UNKNOWN; so do Nexus, Gitea and zot). All else stays,
 * the order too. Its digest is another one; an annotation names the index that it was made from.
 */
const ANNOTATION_NARROWED_FROM = 'vnd.portolan.narrowed-from';

export interface NarrowedIndex {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
}

/**
 * `keep` says what becomes of an entry: what it is now (itself, or the narrowed form of an index inside), or `undefined`
 * when it goes. Deterministic. Raises what {@link decodeManifest} raises.
 */
export function narrowIndex(
  bytes: Uint8Array,
  keep: (digest: Digest) => { readonly digest: Digest; readonly sizeBytes: number } | undefined,
): NarrowedIndex {
  const original = digestOf(bytes);
  decodeManifest(bytes, { digest: original });
  const document = JSON.parse(new TextDecoder().decode(bytes)) as {
    manifests: { digest: Digest; size: number }[];
    annotations?: Record<string, string>;
  };
  const manifests = document.manifests.flatMap((entry) => {
    const kept = keep(entry.digest);
    return kept === undefined ? [] : [{ ...entry, digest: kept.digest, size: kept.sizeBytes }];
  });
  const annotations = { ...document.annotations, [ANNOTATION_NARROWED_FROM]: original };
  const narrowed = new TextEncoder().encode(canonicalJson({ ...document, manifests, annotations }));
  return { bytes: narrowed, digest: digestOf(narrowed) };
}

/** The index that a narrowed one was made from. Whoever wrote the index says so: check what it names as well. */
export function narrowedFrom(bytes: Uint8Array): Digest | undefined {
  const document = decodeManifest(bytes);
  const original = document.annotations[ANNOTATION_NARROWED_FROM];
  return document.kind === 'index' && isDigest(original) ? original : undefined;
}
