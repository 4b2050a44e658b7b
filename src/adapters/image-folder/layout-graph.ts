import { realpath } from 'node:fs/promises';
import type { Digest } from '../../core/digest.ts';
import { MAX_MANIFEST_BYTES } from '../../formats/oci/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { AdapterError } from '../errors.ts';
import { reachableFrom } from '../images/reachable.ts';
import { readLayoutBlob } from '../oci-layout/layout-files.ts';

/**
 * Every blob that entries of index.json lead to, themselves included.
 *
 * @throws AdapterError BLOB_…, LAYOUT_UNSAFE; FormatError MANIFEST_… when a manifest cannot be read
 */
export async function reachableInLayout(folder: string, entries: readonly Descriptor[]): Promise<Set<Digest>> {
  const base = await realpath(folder);
  return reachableFrom(entries, (manifest) =>
    readLayoutBlob(base, manifest, MAX_MANIFEST_BYTES).then(
      ({ bytes }) => bytes,
      (cause) => {
        if (cause instanceof AdapterError && cause.code === 'BLOB_MISSING') return undefined;
        throw cause;
      },
    ),
  );
}
