import type { Digest } from '../../core/digest.ts';
import { runAll } from '../../core/run-all.ts';
import type { BlobStream, TargetBlob } from '../../ports/image-target.ts';
import { targetIncomplete } from '../images/target-errors.ts';
import { openBlob } from '../registry/blob-stream.ts';
import type { BlobUploads } from './blob-uploads.ts';
import { holdsBlob, mountBlob, type RegistryAccess } from './registry-access.ts';
import type { TargetPlan } from './target-plan.ts';

/** Small requests at once. */
export const PARALLEL_QUESTIONS = 16;

/** Repositories by what they hold. */
export type BlobLocations = Map<Digest, Set<string>>;

export function addLocation(locations: BlobLocations, digest: Digest, repository: string): void {
  locations.set(digest, (locations.get(digest) ?? new Set()).add(repository));
}

/**
 * Sees to it that every repository has each blob that it needs: what the registry holds elsewhere is mounted, and where
 * the registry does not do that, read from there and sent. Raises AdapterError TARGET_INCOMPLETE for a blob that nobody has.
 *
 * @param uploaded what was sent in this run
 * @param hints where blobs were seen before; they may be gone
 */
export async function placeBlobs(
  access: RegistryAccess,
  plan: TargetPlan,
  { uploaded, hints }: { readonly uploaded: BlobLocations; readonly hints: BlobLocations },
  uploads: BlobUploads,
  signal: AbortSignal,
): Promise<void> {
  const copies: { readonly blob: TargetBlob; readonly from: string; readonly to: string }[] = [];

  const place = async (blob: TargetBlob, repositories: readonly string[]): Promise<void> => {
    const sent = [...(uploaded.get(blob.digest) ?? [])];
    // What was sent a moment ago is there, and a mount is cheaper than a question and a mount.
    const holders = sent.length > 0 ? sent : await holdersOf(blob, repositories);
    const sources = new Set([...holders, ...(hints.get(blob.digest) ?? [])]);
    for (const to of repositories) {
      if (holders.includes(to) || (await isMounted(blob, sources, to))) continue;
      const [from] = holders.length > 0 ? holders : await holdersOf(blob, [...sources]);
      if (from === undefined) throw targetIncomplete(access.host, blob.digest);
      copies.push({ blob, from, to });
    }
  };
  const holdersOf = async (blob: TargetBlob, repositories: readonly string[]): Promise<string[]> => {
    const found: string[] = [];
    for (const repository of repositories) {
      if (await holdsBlob(access, repository, blob, signal)) found.push(repository);
    }
    return found;
  };
  const isMounted = async ({ digest }: TargetBlob, sources: Iterable<string>, to: string): Promise<boolean> => {
    for (const from of sources) if (from !== to && (await mountBlob(access, to, from, digest, signal))) return true;
    return false;
  };

  const wanted = [...plan.repositories].filter(([digest]) => !plan.manifests.has(digest));
  await runAll(
    wanted.map(
      ([digest, repositories]) =>
        () =>
          place(plan.blobs.get(digest) as TargetBlob, repositories),
    ),
    PARALLEL_QUESTIONS,
    { signal },
  );
  for (const { blob, from, to } of copies) await uploads.add(to, streamFrom(access, blob, from, signal));
  await uploads.settle();
}

function streamFrom({ client, host }: RegistryAccess, blob: TargetBlob, from: string, signal: AbortSignal): BlobStream {
  const bytes = async function* () {
    const descriptor = { digest: blob.digest, size: blob.sizeBytes, mediaType: '' };
    yield* await openBlob(client, { host, repository: from }, descriptor, 0, signal);
  };
  return { ...blob, bytes: bytes() };
}
