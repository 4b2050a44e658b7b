import type { Digest } from '../../core/digest.ts';
import { runAll } from '../../core/run-all.ts';
import { formatRegistryAddress, type RegistryAddress } from '../../formats/oci/registry-address.ts';
import type { BlobStream, ImageTarget } from '../../ports/image-target.ts';
import type { AdapterError } from '../errors.ts';
import { type ClientSettings, createRegistryClient } from '../registry/client.ts';
import { asOneError } from './all-problems.ts';
import { pushAttachments } from './attachment-push.ts';
import { addLocation, type BlobLocations, placeBlobs } from './blob-placement.ts';
import { LARGE_PART_BYTES } from './blob-upload.ts';
import { createBlobUploads } from './blob-uploads.ts';
import { createDocuments, type Documents } from './documents.ts';
import { createManifestPush, indexRefused } from './manifest-push.ts';
import type { RegistryAccess } from './registry-access.ts';
import { checkRegistry } from './registry-check.ts';
import { removeImages } from './registry-removal.ts';
import { surveyRegistry, tagDigest } from './registry-survey.ts';
import { type PlannedImage, planTarget, type TargetPlan } from './target-plan.ts';

const PARALLEL_IMAGES = 4;

export interface RegistryTargetSettings
  extends Pick<
    ClientSettings,
    | 'credentials'
    | 'retry'
    | 'maxRetryAfterMs'
    | 'proxy'
    | 'connectTimeoutMs'
    | 'headersTimeoutMs'
    | 'bodyTimeoutMs'
    | 'documentTimeoutMs'
  > {
  /** As `parseRegistryAddress` reads it from `registry.example:5000/mirror` or `http://registry.example:5000`. */
  readonly address: RegistryAddress;
  /** Absolute path of certificate authorities in PEM, trusted beside the system's. */
  readonly caFile?: string;
  /** An image that lies in the registry in another form than in the bundle. */
  readonly onWarning?: (warning: RegistryTargetWarning) => void;
}

/** The registry refused the index of an image, and has one without the platforms that the bundle does not carry. */
export interface RegistryTargetWarning {
  readonly kind: 'index-narrowed';
  readonly reference: string;
  /** Where it is. */
  readonly name: string;
  readonly expected: Digest;
  readonly found: Digest;
  /** One sentence. */
  readonly message: string;
}

export interface RegistryTarget extends ImageTarget {
  /** Ends idle connections. */
  close(): Promise<void>;
}

/**
 * An OCI registry (distribution specification v1.1) as a place for images: each under its own path, without its host.
 * Blobs come first, then manifests, then what hangs on them, then the tags: a name leads to what is whole.
 */
export function createRegistryTarget(settings: RegistryTargetSettings): RegistryTarget {
  const { address, caFile, onWarning, ...clientSettings } = settings;
  const { host } = address;
  const client = createRegistryClient({
    ...clientSettings,
    registries: { [host]: { plainHttp: address.plainHttp, ...(caFile === undefined ? {} : { caFile }) } },
    plainHttpHint: () =>
      `If that is meant, write the address with http:// in front: registry=http://${formatRegistryAddress(address)}`,
  });
  const access: RegistryAccess = { client, host, limits: { bodyBytes: LARGE_PART_BYTES, parts: 'unproven' } };
  /** Where the last survey saw blobs. Another image's repository is where a blob is mounted from. */
  const seen: BlobLocations = new Map();
  const always = new AbortController().signal;

  return {
    name: `registry=${address.plainHttp ? 'http://' : ''}${formatRegistryAddress(address)}`,
    checksDigests: true,
    space: async () => [],
    check: ({ signal = always, images = [] } = {}) =>
      checkRegistry(
        access,
        address,
        images.map(({ reference }) => reference),
        signal,
      ),
    survey(images, { signal = always } = {}) {
      seen.clear();
      return surveyRegistry(access, planTarget(images, address), seen, signal);
    },
    async write(images, blobs, { signal = always } = {}) {
      signal.throwIfAborted();
      const plan = planTarget(images, address);
      const documents = createDocuments(access);
      await sendBlobs(access, plan, blobs, documents, seen, signal);
      await nameImages(access, plan, documents, seen, onWarning, signal);
    },
    remove: (images, { signal = always } = {}) => removeImages(access, images, address, signal),
    close: () => client.close(),
  };
}

async function sendBlobs(
  access: RegistryAccess,
  plan: TargetPlan,
  blobs: AsyncIterable<BlobStream>,
  documents: Documents,
  hints: BlobLocations,
  signal: AbortSignal,
): Promise<void> {
  const uploads = createBlobUploads(access, signal);
  const uploaded: BlobLocations = new Map();
  try {
    for await (const blob of blobs) {
      const [repository] = plan.repositories.get(blob.digest) ?? [];
      // What no image needs has no place here.
      if (repository === undefined) throw new Error(`the blob ${blob.digest} belongs to none of the images`);
      if (plan.manifests.has(blob.digest)) {
        await documents.keep(blob, signal);
      } else {
        await uploads.add(repository, blob);
        addLocation(uploaded, blob.digest, repository);
      }
    }
    await uploads.settle();
    await placeBlobs(access, plan, { uploaded, hints }, uploads, signal);
  } catch (failure) {
    await uploads.stop(failure);
    throw failure;
  }
}

async function nameImages(
  access: RegistryAccess,
  plan: TargetPlan,
  documents: Documents,
  hints: BlobLocations,
  onWarning: RegistryTargetSettings['onWarning'],
  signal: AbortSignal,
): Promise<void> {
  const refused: AdapterError[] = [];
  const repositoriesOf = (digest: Digest) => [...(plan.repositories.get(digest) ?? []), ...(hints.get(digest) ?? [])];
  const name = async (planned: PlannedImage): Promise<void> => {
    const { image, tag } = planned;
    const push = createManifestPush(access, planned, documents, repositoriesOf, signal);
    const root = await push.tree(image.digest, image.mediaType);
    await pushAttachments(access, planned, push, signal);
    if (root.isNarrowed && planned.isPinned) {
      refused.push(indexRefused(access.host, planned));
      return;
    }
    if (root.isNarrowed) onWarning?.(indexNarrowed(access.host, planned, root.digest));
    if (tag === undefined) return;
    // A registry may forbid to move a tag, and one that is right need not be moved.
    if ((await tagDigest(access, planned.repository, tag, signal)) === root.digest) return;
    await push.put(tag, root.bytes, root.mediaType);
  };
  await runAll(
    plan.images.map((planned) => () => name(planned)),
    PARALLEL_IMAGES,
    { signal },
  );
  const problem = asOneError(refused);
  if (problem !== undefined) throw problem;
}

function indexNarrowed(host: string, { image, name }: PlannedImage, found: Digest): RegistryTargetWarning {
  return {
    kind: 'index-narrowed',
    reference: image.reference,
    name,
    expected: image.digest,
    found,
    message:
      `${host} refuses the index of ${image.reference}, which names platforms that the bundle does not carry. ` +
      `${name} leads to ${found} instead of ${image.digest}: pulls by tag work; pulls by that digest, and signatures of it, do not. ` +
      'Set `validation: { manifests: { indexes: { platforms: none } } }` in the configuration of the registry (distribution 3) and import again.',
  };
}
