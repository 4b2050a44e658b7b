import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, digestOf, hexOf } from '../../src/core/digest.ts';
import { ANNOTATION_REF_NAME, encodeLayoutIndex, LAYOUT_MARKER } from '../../src/formats/oci/layout.ts';
import { MEDIA_TYPES } from '../../src/formats/oci/manifest.ts';
import type { Descriptor, Platform } from '../../src/formats/oci/types.ts';

export const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** Images in memory, to be served by a registry or written as a layout. */
export interface ImageContent {
  readonly blobs: Map<Digest, Uint8Array>;
  /** Manifests and indexes: their media types. Registries keep them apart from other blobs. */
  readonly manifestTypes: Map<Digest, string>;
  /** Tag → manifest. */
  readonly tags: Map<string, Descriptor>;
  blob(bytes: Uint8Array | string, mediaType?: string): Descriptor;
  document(document: unknown, mediaType: string): Descriptor;
  image(options?: ImageOptions): Descriptor;
  index(manifests: readonly Descriptor[], extra?: Record<string, unknown>): Descriptor;
  tag(tag: string, descriptor: Descriptor): void;
}

interface ImageOptions {
  readonly platform?: Platform;
  readonly layers?: readonly Descriptor[];
  readonly config?: Descriptor;
  readonly mediaType?: string;
  readonly extra?: Record<string, unknown>;
}

export function createContent(): ImageContent {
  const content: ImageContent = {
    blobs: new Map(),
    manifestTypes: new Map(),
    tags: new Map(),
    blob(bytes, mediaType = LAYER_TYPE) {
      const data = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
      const digest = digestOf(data);
      content.blobs.set(digest, data);
      return { mediaType, digest, size: data.byteLength };
    },
    document(document, mediaType) {
      const descriptor = content.blob(JSON.stringify(document), mediaType);
      content.manifestTypes.set(descriptor.digest, mediaType);
      return descriptor;
    },
    image(options = {}) {
      const platform = options.platform ?? { os: 'linux', architecture: 'amd64' };
      const mediaType = options.mediaType ?? MEDIA_TYPES.ociManifest;
      const config = options.config ?? content.blob(JSON.stringify({ ...platform, rootfs: {} }), MEDIA_TYPES.ociConfig);
      const layers = options.layers ?? [content.blob(pseudoRandom(`layer of ${JSON.stringify(platform)}`, 10_000))];
      const descriptor = content.document({ schemaVersion: 2, mediaType, config, layers, ...options.extra }, mediaType);
      return { ...descriptor, platform };
    },
    index: (manifests, extra = {}) =>
      content.document(
        { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests, ...extra },
        MEDIA_TYPES.ociIndex,
      ),
    tag: (tag, descriptor) => void content.tags.set(tag, descriptor),
  };
  return content;
}

/** Bytes that look random and are the same in each run. */
export function pseudoRandom(seed: string, sizeBytes: number): Uint8Array {
  const out = Buffer.alloc(sizeBytes);
  for (let at = 0, counter = 0; at < sizeBytes; at += 64, counter += 1) {
    createHash('sha512').update(`${seed}/${counter}`).digest().copy(out, at);
  }
  return out;
}

/** Writes the content as an OCI layout; each tag becomes `nameOf(tag)`. Other manifests stand in index.json without a name. */
export async function writeLayout(
  folder: string,
  content: ImageContent,
  nameOf: (tag: string) => string,
): Promise<void> {
  await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true });
  await writeFile(join(folder, 'oci-layout'), LAYOUT_MARKER);
  for (const [digest, bytes] of content.blobs) await writeFile(join(folder, 'blobs', 'sha256', hexOf(digest)), bytes);
  const named = [...content.tags].map(([tag, descriptor]) => ({
    ...descriptor,
    annotations: { [ANNOTATION_REF_NAME]: nameOf(tag) },
  }));
  const tagged = new Set(named.map(({ digest }) => digest));
  const others = [...content.manifestTypes]
    .filter(([digest]) => !tagged.has(digest) && content.blobs.has(digest))
    .map(([digest, mediaType]) => ({ mediaType, digest, size: content.blobs.get(digest)?.byteLength ?? 0 }));
  await writeFile(join(folder, 'index.json'), encodeLayoutIndex([...named, ...others]));
}
