import { type Digest, digestOf } from '../../core/digest.ts';
import { runAll } from '../../core/run-all.ts';
import { decodeManifest, isIndexType, MANIFEST_ACCEPT } from '../../formats/oci/manifest.ts';
import { narrowedFrom } from '../../formats/oci/narrowed-index.ts';
import type { TargetImage, TargetSurvey } from '../../ports/image-target.ts';
import { addLocation, type BlobLocations, PARALLEL_QUESTIONS } from './blob-placement.ts';
import { readDocument } from './documents.ts';
import { ask, isWhole, type RegistryAccess } from './registry-access.ts';
import type { PlannedImage, TargetPlan } from './target-plan.ts';

/** Asks the registry for every blob in every repository that needs it, and where the tags lead. Fills `locations`. */
export async function surveyRegistry(
  access: RegistryAccess,
  plan: TargetPlan,
  locations: BlobLocations,
  signal: AbortSignal,
): Promise<TargetSurvey> {
  const questions = [...plan.repositories].flatMap(([digest, repositories]) =>
    repositories.map((repository) => ({ digest, repository })),
  );
  const blobs = new Set<Digest>();
  await runAll(
    questions.map(({ digest, repository }) => async () => {
      const kind = plan.manifests.has(digest) ? 'manifests' : 'blobs';
      const request = { what: `${kind}/${digest}`, headers: { accept: MANIFEST_ACCEPT }, allow: [404] };
      const reply = await ask(access, repository, { method: 'HEAD', ...request }, signal);
      if (!isWhole(reply, plan.blobs.get(digest)?.sizeBytes ?? 0)) return;
      addLocation(locations, digest, repository);
      blobs.add(digest);
    }),
    PARALLEL_QUESTIONS,
    { signal },
  );
  const images = new Set<string>();
  const isThere = (digest: Digest, repository: string) => locations.get(digest)?.has(repository) === true;
  await runAll(
    plan.images.map((planned) => async () => {
      const { image, repository } = planned;
      const missing = image.blobs.filter(({ digest }) => !isThere(digest, repository));
      const found = await leadsTo(access, planned, signal);
      const isComplete = missing.every(({ digest }) => found === 'narrowed' && isIndexOf(image, digest));
      // Where the registry took a narrowed index, the whole one is not there, and will not be.
      if (found !== undefined && isComplete) images.add(image.reference);
    }),
    PARALLEL_QUESTIONS,
    { signal },
  );
  return { blobs, images };
}

/** Where a tag says that it leads; `undefined` when there is none, or the registry does not say. */
export async function tagDigest(
  access: RegistryAccess,
  repository: string,
  tag: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const request = { what: `manifests/${tag}`, headers: { accept: MANIFEST_ACCEPT }, allow: [404] };
  const reply = await ask(access, repository, { method: 'HEAD', ...request }, signal);
  return reply.status === 404 ? undefined : (reply.headers['docker-content-digest'] as string | undefined);
}

/** Whether a name leads to an image: to its root, or to what was made from its root for a registry that refuses that. */
export async function leadsTo(
  access: RegistryAccess,
  {
    image,
    repository,
    tag,
    isPinned,
  }: Pick<PlannedImage, 'repository' | 'tag' | 'isPinned'> & {
    readonly image: Pick<TargetImage, 'digest'> & { readonly blobs?: TargetImage['blobs'] };
  },
  signal: AbortSignal,
): Promise<'root' | 'narrowed' | undefined> {
  const what = `manifests/${tag ?? image.digest}`;
  const request = { what, headers: { accept: MANIFEST_ACCEPT }, allow: [404] };
  const reply = await ask(access, repository, { method: 'HEAD', ...request }, signal);
  if (reply.status === 404) return undefined;
  // The header says that it is another one; that it is this one is proved by the bytes alone, which are few.
  const said = reply.headers['docker-content-digest'];
  if (said === image.digest) return 'root';
  const bytes = await readDocument(access, repository, what, signal);
  if (bytes === undefined) return undefined;
  if (digestOf(bytes) === image.digest) return 'root';
  if (isPinned || !isNarrowed(bytes, image)) return undefined;
  return 'narrowed';
}

function isNarrowed(
  bytes: Uint8Array,
  image: { readonly digest: Digest; readonly blobs?: TargetImage['blobs'] },
): boolean {
  try {
    if (narrowedFrom(bytes) !== image.digest) return false;
    if (image.blobs === undefined) return true;
    const document = decodeManifest(bytes);
    const entries = document.kind === 'index' ? document.manifests : [];
    const carried = new Map(image.blobs.map(({ digest, role }) => [digest, role]));
    // An index inside may have been narrowed itself, and its manifests are not named here.
    if (entries.some(({ mediaType, digest }) => isIndexType(mediaType) && !carried.has(digest))) return true;
    const named = new Set(entries.map(({ digest }) => digest));
    return [...carried].every(([digest, role]) => role !== 'image-manifest' || named.has(digest));
  } catch {
    return false; // Not an image: somebody else's thing under that tag.
  }
}

/** The root, or an index inside it, which counts among the attachments until it is read. */
function isIndexOf(image: TargetImage, digest: Digest): boolean {
  return image.blobs.some((blob) => blob.digest === digest && blob.role === 'image-index');
}
