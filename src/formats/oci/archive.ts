import { type Digest, hexOf, isDigest } from '../../core/digest.ts';
import type { TarFile } from '../archive/tar.ts';
import { ANNOTATION_CONTAINERD_NAME, ANNOTATION_REF_NAME, encodeLayoutIndex, LAYOUT_MARKER } from './layout.ts';
import { formatReference, parseReference } from './reference.ts';
import type { Descriptor } from './types.ts';

/**
 * An image layout as one tar archive, as containerd imports it (OCI image specification v1.1, image-layout.md):
 *
 *     oci-layout
 *     index.json                               each image by the name that containerd is to give it
 *     blobs/sha256/<64 hexadecimal digits>     each blob once, in any order
 *
 * containerd reads the entries in any order and looks at index.json when the archive has ended.
 */

export interface ArchivedImage {
  /** As charts write it, normalised. */
  readonly reference: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
}

export const ARCHIVE_INDEX = 'index.json';

/**
 * The name by which the kubelet's container runtime looks an image up: a digest wins over a tag, which is left out then
 * (ParseDockerRef of containerd's pkg/reference/docker: "name:tag@digest" is "name@digest").
 */
export function runtimeName(reference: string): string {
  const { host, repository, tag, digest } = parseReference(reference);
  return formatReference(
    digest === undefined ? { host, repository, ...(tag === undefined ? {} : { tag }) } : { host, repository, digest },
  );
}

/** The descriptors of an archive's index.json. */
export function archiveEntries(images: readonly ArchivedImage[]): Descriptor[] {
  const named = new Map(images.map((image) => [runtimeName(image.reference), image]));
  return [...named].map(([name, { mediaType, digest, sizeBytes }]) => ({
    mediaType,
    digest,
    size: sizeBytes,
    annotations: { [ANNOTATION_CONTAINERD_NAME]: name, [ANNOTATION_REF_NAME]: name },
  }));
}

export function archiveMarkerFile(): TarFile {
  return textFile('oci-layout', LAYOUT_MARKER);
}

export function archiveIndexFile(images: readonly ArchivedImage[]): TarFile {
  return textFile(ARCHIVE_INDEX, encodeLayoutIndex(archiveEntries(images)));
}

export function archiveBlobPath(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

/** The digest that an entry of an archive is stored under; `undefined` for what is no blob. */
export function digestOfArchivePath(path: string): Digest | undefined {
  const digest = `sha256:${/^blobs\/sha256\/(.+)$/.exec(path)?.[1] ?? ''}`;
  return isDigest(digest) ? digest : undefined;
}

function textFile(path: string, text: string): TarFile {
  const bytes = Buffer.from(text);
  return { path, sizeBytes: bytes.length, executable: false, open: () => [bytes] };
}
