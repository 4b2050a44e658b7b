import type { Digest } from '../../core/digest.ts';
import { MANIFEST_ACCEPT } from '../../formats/oci/manifest.ts';
import { formatReference, parseReference } from '../../formats/oci/reference.ts';
import { mirroredImage, type RegistryAddress } from '../../formats/oci/registry-address.ts';
import type { RegistryAccess } from './registry-access.ts';
import { leadsTo } from './registry-survey.ts';

/**
 * Takes tags away that lead to the given images; other tags of theirs stay. What has no name any more is the registry's
 * own garbage collection's to remove: a digest may be in use under a name that is not ours. Returns the names that went.
 * Raises AdapterError REGISTRY_READ_ONLY where the registry does not allow it.
 */
export async function removeImages(
  access: RegistryAccess,
  images: readonly { readonly reference: string; readonly digest: Digest }[],
  address: RegistryAddress,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { client, host } = access;
  const removed: string[] = [];
  for (const { reference, digest } of images) {
    const { repository, tag } = mirroredImage(reference, address);
    if (tag === undefined) continue;
    const isPinned = parseReference(reference).digest !== undefined;
    const planned = { image: { digest }, repository, tag, isPinned };
    if ((await leadsTo(access, planned, signal)) === undefined) continue;
    const reply = await client.exchange(
      {
        host,
        repository,
        access: 'delete',
        method: 'DELETE',
        what: `manifests/${tag}`,
        headers: { accept: MANIFEST_ACCEPT },
        allow: [404],
      },
      { retried: true, signal },
    );
    if (reply.status !== 404) removed.push(formatReference({ host, repository, tag }));
  }
  return removed;
}
