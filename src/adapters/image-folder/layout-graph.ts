import { realpath } from 'node:fs/promises';
import type { Digest } from '../../core/digest.ts';
import { decodeManifest, isManifestType, MAX_INDEX_DEPTH, MAX_MANIFEST_BYTES } from '../../formats/oci/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { AdapterError } from '../errors.ts';
import { readLayoutBlob } from '../oci-layout/layout-files.ts';

/**
 * Every blob that entries of index.json lead to, themselves included. What is not there (other platforms) leads nowhere.
 *
 * @throws AdapterError BLOB_…, LAYOUT_UNSAFE; FormatError MANIFEST_… when a manifest cannot be read
 */
export async function reachableFrom(folder: string, entries: readonly Descriptor[]): Promise<Set<Digest>> {
  const base = await realpath(folder);
  const found = new Set<Digest>();
  const visit = async (descriptor: Descriptor, depth: number): Promise<void> => {
    if (found.has(descriptor.digest)) return;
    found.add(descriptor.digest);
    // Deeper than any image is: its parts are kept by nobody, and nothing but them is lost.
    if (!isManifestType(descriptor.mediaType) || depth > MAX_INDEX_DEPTH + 1) return;
    const bytes = await readLayoutBlob(base, descriptor, MAX_MANIFEST_BYTES).then(
      (read) => read.bytes,
      (cause) => {
        if (cause instanceof AdapterError && cause.code === 'BLOB_MISSING') return undefined;
        throw cause;
      },
    );
    if (bytes === undefined) return;
    const document = decodeManifest(bytes, { declaredType: descriptor.mediaType, digest: descriptor.digest });
    const children = document.kind === 'index' ? document.manifests : [document.config, ...document.layers];
    for (const child of children) await visit(child, depth + 1);
  };
  for (const entry of entries) await visit(entry, 0);
  return found;
}
