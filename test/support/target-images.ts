import { gzipSync } from 'node:zlib';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { encodeTar } from '../../src/formats/archive/tar.ts';
import { decodeManifest, MEDIA_TYPES } from '../../src/formats/oci/manifest.ts';
import { formatPlatform } from '../../src/formats/oci/platform.ts';
import type { Descriptor, Platform } from '../../src/formats/oci/types.ts';
import type { BlobStream, TargetBlob, TargetImage } from '../../src/ports/image-target.ts';
import type { ImageContent } from './image-content.ts';

/** Images that a container engine really unpacks: their layers are archives, and their configurations name them. */

export interface RealLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
}

/** The platform of this machine, and one that it is not. */
export const HERE: Platform = { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' };
export const ELSEWHERE: Platform = { os: 'linux', architecture: 's390x' };

/** A layer with one file for each name. */
export async function realLayer(
  content: ImageContent,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<RealLayer> {
  const entries = Object.entries(files).map(([path, value]) => {
    const bytes = Buffer.from(value);
    return { path, sizeBytes: bytes.length, executable: true, open: () => [bytes] };
  });
  const parts: Uint8Array[] = [];
  for await (const part of encodeTar(entries)) parts.push(part);
  const archive = Buffer.concat(parts);
  return { descriptor: content.blob(gzipSync(archive)), diffId: digestOf(archive) };
}

/** An image whose first file runs when it is started. */
export function realImage(
  content: ImageContent,
  layers: readonly RealLayer[],
  options: { readonly platform?: Platform; readonly entrypoint?: readonly string[] } = {},
): Descriptor {
  const platform = options.platform ?? HERE;
  const config = content.blob(
    JSON.stringify({
      ...platform,
      config: { Entrypoint: options.entrypoint ?? ['/run'] },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    }),
    MEDIA_TYPES.ociConfig,
  );
  return content.image({ platform, config, layers: layers.map(({ descriptor }) => descriptor) });
}

/**
 * What the contents list of a bundle says about an image. What the content does not hold (other platforms) is left out, as
 * `bundle build` does.
 */
export function targetImage(
  content: ImageContent,
  reference: string,
  root: Descriptor,
  attachments: readonly Descriptor[] = [],
): TargetImage {
  const blobs = new Map<Digest, TargetBlob>();
  const platforms: string[] = [];
  const add = ({ digest, size }: Descriptor, role: TargetBlob['role']) => {
    if (!blobs.has(digest)) blobs.set(digest, { digest, sizeBytes: size, role });
  };
  const visit = (descriptor: Descriptor) => {
    const bytes = content.blobs.get(descriptor.digest);
    if (bytes === undefined) return;
    const document = decodeManifest(bytes);
    if (document.kind === 'index') {
      add(descriptor, 'image-index');
      document.manifests.forEach(visit);
      return;
    }
    add(descriptor, 'image-manifest');
    add(document.config, 'image-config');
    for (const layer of document.layers) add(layer, 'image-layer');
    const { os, architecture } = JSON.parse(Buffer.from(content.blobs.get(document.config.digest) ?? []).toString());
    platforms.push(formatPlatform({ os, architecture }));
  };
  visit(root);
  for (const attachment of attachments) {
    const document = decodeManifest(content.blobs.get(attachment.digest) ?? new Uint8Array());
    add(attachment, 'image-attachment');
    if (document.kind === 'image') {
      for (const part of [document.config, ...document.layers]) add(part, 'image-attachment');
    }
  }
  return {
    reference,
    digest: root.digest,
    mediaType: root.mediaType,
    sizeBytes: root.size,
    platforms: platforms.sort(),
    blobs: [...blobs.values()],
    attachments: attachments.map(({ digest }) => digest),
  };
}

/** An SBOM that hangs on an image, as a referrer. */
export function attachmentOf(content: ImageContent, subject: Descriptor): Descriptor {
  const config = content.blob('{}', MEDIA_TYPES.ociEmpty);
  const layer = content.blob(`an inventory of ${subject.digest}`, 'application/spdx+json');
  return content.document(
    {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      artifactType: 'application/spdx+json',
      config,
      layers: [layer],
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
    },
    MEDIA_TYPES.ociManifest,
  );
}

/** Every blob of the images, each once, in an order of its own. */
export function blobsOf(images: readonly TargetImage[], without: ReadonlySet<Digest> = new Set()): TargetBlob[] {
  const all = new Map(images.flatMap((image) => image.blobs).map((blob) => [blob.digest, blob]));
  return [...all.values()].filter(({ digest }) => !without.has(digest)).sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

const PART_BYTES = 3000;

export interface StreamOptions {
  /** Changes the bytes of one blob. */
  readonly damage?: { readonly digest: Digest; readonly change: (bytes: Buffer) => Buffer };
  /** Raised after the damaged blob's bytes, as a reader does that hashes them on the way. */
  readonly refuse?: Error;
  /** Called before each part of each blob. */
  readonly onPart?: (blob: TargetBlob, part: number) => void | Promise<void>;
  /** Blobs that were asked for. */
  readonly sent?: Digest[];
}

/** The blobs as a bundle gives them: one after the other, each in parts, all of these in the same memory. */
export async function* streamOf(
  content: ImageContent,
  blobs: readonly TargetBlob[],
  options: StreamOptions = {},
): AsyncGenerator<BlobStream> {
  for (const blob of blobs) {
    options.sent?.push(blob.digest);
    yield { ...blob, bytes: partsOf(content, blob, options) };
  }
}

async function* partsOf(content: ImageContent, blob: TargetBlob, options: StreamOptions): AsyncGenerator<Uint8Array> {
  let bytes: Buffer = Buffer.from(content.blobs.get(blob.digest) ?? []);
  const isDamaged = options.damage?.digest === blob.digest;
  if (isDamaged) bytes = options.damage.change(bytes);
  const memory = new Uint8Array(new SharedArrayBuffer(PART_BYTES));
  for (let part = 0; part * PART_BYTES < bytes.length; part += 1) {
    await options.onPart?.(blob, part);
    const content = bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
    memory.set(content);
    yield memory.subarray(0, content.length);
    memory.fill(0xee);
  }
  if (isDamaged && options.refuse !== undefined) throw options.refuse;
}
