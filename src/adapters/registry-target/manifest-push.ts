import { type Digest, digestOf } from '../../core/digest.ts';
import { decodeManifest, type ManifestDocument } from '../../formats/oci/manifest.ts';
import { narrowIndex } from '../../formats/oci/narrowed-index.ts';
import { AdapterError } from '../errors.ts';
import { targetIncomplete } from '../images/target-errors.ts';
import type { RegistryReply } from '../registry/client.ts';
import { answeredStatus } from '../registry/failure.ts';
import type { Documents } from './documents.ts';
import { ask, type RegistryAccess } from './registry-access.ts';
import type { PlannedImage } from './target-plan.ts';

/** A manifest as the registry has it now. */
export interface PushedManifest {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** The registry refused the index that names platforms which are not carried, and took one without them. */
  readonly isNarrowed: boolean;
}

/** What an index that names missing manifests is refused with: MANIFEST_BLOB_UNKNOWN, BLOB_UNKNOWN, MANIFEST_INVALID, … */
const INDEX_REFUSALS = [400, 404, 409, 412, 422];

export interface ManifestPush {
  /** Pushes a manifest by digest, and before it all that it names and the bundle carries. */
  tree(digest: Digest, declaredType?: string): Promise<PushedManifest>;
  /** Pushes one manifest under a digest or a tag. */
  put(what: Digest | string, bytes: Uint8Array, mediaType: string): Promise<RegistryReply>;
  read(digest: Digest): Promise<Uint8Array>;
}

export function createManifestPush(
  access: RegistryAccess,
  { image, repository }: PlannedImage,
  documents: Documents,
  repositoriesOf: (digest: Digest) => readonly string[],
  signal: AbortSignal,
): ManifestPush {
  const carried = new Set(image.blobs.map(({ digest }) => digest));
  const pushed = new Map<Digest, PushedManifest>();

  const put: ManifestPush['put'] = (what, bytes, mediaType) =>
    ask(
      access,
      repository,
      {
        method: 'PUT',
        what: `manifests/${what}`,
        digest: digestOf(bytes),
        headers: { 'content-type': mediaType },
        body: { parts: [bytes], sizeBytes: bytes.byteLength },
      },
      signal,
    );

  const read = async (digest: Digest): Promise<Uint8Array> => {
    const bytes = await documents.read(digest, [repository, ...repositoriesOf(digest)], signal);
    if (bytes === undefined) throw targetIncomplete(access.host, digest);
    return bytes;
  };

  const pushIndex = async (
    digest: Digest,
    bytes: Uint8Array,
    document: Extract<ManifestDocument, { kind: 'index' }>,
  ): Promise<PushedManifest> => {
    const inside = new Map<Digest, PushedManifest>();
    for (const entry of document.manifests) {
      if (carried.has(entry.digest)) inside.set(entry.digest, await tree(entry.digest, entry.mediaType));
    }
    const isWhole = document.manifests.every((entry) => inside.get(entry.digest)?.isNarrowed === false);
    try {
      await put(digest, bytes, document.mediaType);
      return { digest, bytes, mediaType: document.mediaType, isNarrowed: false };
    } catch (failure) {
      if (isWhole || !INDEX_REFUSALS.includes(answeredStatus(failure) ?? 0)) throw failure;
    }
    const narrowed = narrowIndex(bytes, (entry) => {
      const kept = inside.get(entry);
      return kept && { digest: kept.digest, sizeBytes: kept.bytes.byteLength };
    });
    await put(narrowed.digest, narrowed.bytes, document.mediaType);
    return { ...narrowed, mediaType: document.mediaType, isNarrowed: true };
  };

  const tree: ManifestPush['tree'] = async (digest, declaredType) => {
    const known = pushed.get(digest);
    if (known !== undefined) return known;
    const bytes = await read(digest);
    const document = decodeManifest(bytes, { digest, ...(declaredType === undefined ? {} : { declaredType }) });
    let result: PushedManifest;
    if (document.kind === 'index') {
      result = await pushIndex(digest, bytes, document);
    } else {
      await put(digest, bytes, document.mediaType);
      result = { digest, bytes, mediaType: document.mediaType, isNarrowed: false };
    }
    pushed.set(digest, result);
    return result;
  };

  return { tree, put, read };
}

/** For an image whose reference accepts one digest alone, of which the registry refuses the index. */
export function indexRefused(host: string, { image, name }: PlannedImage): AdapterError {
  return new AdapterError(
    'INDEX_REFUSED',
    `${host} refuses the index of ${image.reference}, which is named by its digest`,
    {
      expected: 'a registry that takes an index of which it holds some platforms',
      found: `no ${name}`,
      at: { url: `${host}/v2/${name.slice(host.length + 1).split(/[:@]/)[0]}/manifests/${image.digest}` },
      hint: 'Set `validation: { manifests: { indexes: { platforms: none } } }` in the configuration of the registry (distribution 3), name the image by its tag, or build the bundle with all platforms of the index.',
    },
  );
}
