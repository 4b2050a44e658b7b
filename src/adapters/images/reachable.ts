import type { Digest } from '../../core/digest.ts';
import { decodeManifest, isManifestType, MAX_INDEX_DEPTH } from '../../formats/oci/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';

/**
 * Every blob that descriptors lead to, themselves included, whether it is there or not.
 *
 * @param read a manifest, checked; `undefined` where it is not there (other platforms): it leads nowhere then
 * @throws FormatError MANIFEST_… when a manifest cannot be decoded; what `read` raises
 */
export async function reachableFrom(
  descriptors: readonly Descriptor[],
  read: (manifest: Descriptor) => Promise<Uint8Array | undefined>,
): Promise<Set<Digest>> {
  const found = new Set<Digest>();
  const visit = async (descriptor: Descriptor, depth: number): Promise<void> => {
    if (found.has(descriptor.digest)) return;
    found.add(descriptor.digest);
    // Deeper than any image is: its parts are kept by nobody, and nothing but them is lost.
    if (!isManifestType(descriptor.mediaType) || depth > MAX_INDEX_DEPTH + 1) return;
    const bytes = await read(descriptor);
    if (bytes === undefined) return;
    const document = decodeManifest(bytes, { declaredType: descriptor.mediaType, digest: descriptor.digest });
    const children = document.kind === 'index' ? document.manifests : [document.config, ...document.layers];
    for (const child of children) await visit(child, depth + 1);
  };
  for (const descriptor of descriptors) await visit(descriptor, 0);
  return found;
}
