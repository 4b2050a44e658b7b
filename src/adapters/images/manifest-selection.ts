import type { Digest } from '../../core/digest.ts';
import { buildkitSubject } from '../../formats/oci/attachment.ts';
import {
  decodeConfigPlatform,
  decodeManifest,
  type ImageManifestDocument,
  isIndexType,
  isManifestType,
  MAX_CONFIG_BYTES,
  MAX_INDEX_DEPTH,
  MAX_MANIFEST_BYTES,
} from '../../formats/oci/manifest.ts';
import { choosePlatform, formatPlatform, normalisePlatform, parsePlatform } from '../../formats/oci/platform.ts';
import type { Descriptor, Platform } from '../../formats/oci/types.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import { AdapterError } from '../errors.ts';

/** How a source hands over verified content. Both calls raise when the bytes are not what their digest says. */
export interface BlobReader {
  /**
   * A small document, whole in memory. `size` is known when a descriptor led here. A root that is not there means that
   * the source lacks the image; anything else that is not there is a part that was lost.
   */
  document(
    wanted: { readonly digest: Digest; readonly size?: number },
    kind: 'root' | 'manifest' | 'blob',
    maxBytes: number,
  ): Promise<{ readonly bytes: Uint8Array; readonly blob: LocalBlob }>;
  /** Any blob, as a local file. */
  blob(descriptor: Descriptor): Promise<LocalBlob>;
}

interface SelectedManifest {
  readonly descriptor: Descriptor;
  readonly platform: Platform;
  readonly document: ImageManifestDocument;
}

/** What of an image is carried for the platforms that were asked for. */
export interface Selection {
  readonly root: Descriptor;
  readonly manifests: readonly SelectedManifest[];
  /** Indexes inside the root that lead to the manifests. */
  readonly indexes: readonly Descriptor[];
  /** BuildKit's attestations about the manifests. */
  readonly attestations: readonly { readonly descriptor: Descriptor; readonly subject: Digest }[];
}

/** More entries than any image has, in all its indexes together. */
const MAX_LEAVES = 512;
const UNKNOWN = 'unknown';

interface Leaf {
  readonly descriptor: Descriptor;
  readonly platform: Platform;
  readonly path: readonly Descriptor[];
  readonly document?: ImageManifestDocument;
}

/**
 * Reads the root and chooses a manifest for each platform; no platforms means all of them. Raises AdapterError
 * PLATFORM_MISSING, which lists what there is, and FormatError for documents that are not valid.
 */
export async function selectManifests(
  reader: BlobReader,
  wanted: { readonly digest: Digest; readonly reference: string; readonly platforms: readonly string[] },
): Promise<Selection> {
  const { bytes } = await reader.document({ digest: wanted.digest }, 'root', MAX_MANIFEST_BYTES);
  const document = decodeManifest(bytes, { digest: wanted.digest });
  const root: Descriptor = { mediaType: document.mediaType, digest: wanted.digest, size: bytes.byteLength };
  const leaves: Leaf[] = [];
  const attestations: { descriptor: Descriptor; subject: Digest }[] = [];
  if (document.kind === 'image') {
    leaves.push({ descriptor: root, platform: await platformOfConfig(reader, document), path: [], document });
  } else {
    await collect(reader, document.manifests, [], leaves, attestations);
  }
  const chosen = choose(leaves, wanted);
  const manifests: SelectedManifest[] = [];
  for (const leaf of chosen) manifests.push(await complete(reader, leaf));
  const chosenDigests = new Set(manifests.map((manifest) => manifest.descriptor.digest));
  return {
    root,
    manifests,
    indexes: chosen.flatMap((leaf) => leaf.path),
    attestations: attestations.filter((entry) => chosenDigests.has(entry.subject)),
  };
}

async function collect(
  reader: BlobReader,
  entries: readonly Descriptor[],
  path: readonly Descriptor[],
  leaves: Leaf[],
  attestations: { descriptor: Descriptor; subject: Digest }[],
): Promise<void> {
  for (const descriptor of entries) {
    if (leaves.length + attestations.length >= MAX_LEAVES || path.length >= MAX_INDEX_DEPTH) {
      throw new AdapterError('MANIFEST_LIMIT', 'The image index has too many entries or too many levels', {
        expected: `at most ${MAX_LEAVES} entries and ${MAX_INDEX_DEPTH} levels`,
        at: { digest: descriptor.digest },
      });
    }
    const subject = buildkitSubject(descriptor);
    if (subject !== undefined) {
      attestations.push({ descriptor, subject });
      continue;
    }
    if (!isManifestType(descriptor.mediaType)) continue; // Not an image: an index may list other things.
    const known = descriptor.platform;
    if (known && known.os !== UNKNOWN && !isIndexType(descriptor.mediaType)) {
      leaves.push({ descriptor, platform: normalisePlatform(known), path });
      continue;
    }
    const { bytes } = await reader.document(descriptor, 'manifest', MAX_MANIFEST_BYTES);
    const document = decodeManifest(bytes, { declaredType: descriptor.mediaType, digest: descriptor.digest });
    if (document.kind === 'index') {
      await collect(reader, document.manifests, [...path, descriptor], leaves, attestations);
    } else if (known?.os !== UNKNOWN && isImageConfig(document)) {
      leaves.push({ descriptor, platform: await platformOfConfig(reader, document), path, document });
    }
  }
}

function choose(
  leaves: readonly Leaf[],
  wanted: { readonly digest: Digest; readonly reference: string; readonly platforms: readonly string[] },
): Leaf[] {
  const chosen = new Set<Leaf>(wanted.platforms.length === 0 ? leaves : []);
  const missing: string[] = [];
  for (const text of wanted.platforms) {
    const leaf = choosePlatform(parsePlatform(text), leaves);
    if (leaf) chosen.add(leaf);
    else missing.push(text);
  }
  if (missing.length === 0 && chosen.size > 0) return [...chosen];
  const available = [...new Set(leaves.map((leaf) => formatPlatform(leaf.platform)))].sort().join(', ') || 'none';
  throw new AdapterError(
    'PLATFORM_MISSING',
    `${wanted.reference} does not exist for ${missing.join(', ') || 'any platform'}`,
    {
      expected: missing.join(', '),
      found: available,
      at: { digest: wanted.digest },
      hint: `It exists for: ${available}. Ask for one of these, or push the image for the platform that is missing.`,
    },
  );
}

async function complete(reader: BlobReader, leaf: Leaf): Promise<SelectedManifest> {
  const { descriptor, platform } = leaf;
  if (leaf.document) return { descriptor, platform, document: leaf.document };
  const { bytes } = await reader.document(descriptor, 'manifest', MAX_MANIFEST_BYTES);
  const document = decodeManifest(bytes, { declaredType: descriptor.mediaType, digest: descriptor.digest });
  if (document.kind === 'image') return { descriptor, platform, document };
  throw new AdapterError('PLATFORM_MISSING', 'An index stands where the image of a platform was announced', {
    at: { digest: descriptor.digest },
  });
}

/** The platform of an image that no index describes. */
async function platformOfConfig(reader: BlobReader, document: ImageManifestDocument): Promise<Platform> {
  const { bytes } = await reader.document(document.config, 'blob', MAX_CONFIG_BYTES);
  return decodeConfigPlatform(bytes, { digest: document.config.digest });
}

function isImageConfig(document: ImageManifestDocument): boolean {
  return /(?:oci\.image\.config|docker\.container\.image)\.v1\+json$/.test(document.config.mediaType);
}
