import { canonicalJson } from '../../core/canonical-json.ts';
import { FormatError } from '../errors.ts';
import { decodeManifest, MEDIA_TYPES } from './manifest.ts';
import { normaliseReference } from './reference.ts';
import type { Descriptor } from './types.ts';

/**
 * The two JSON files of an OCI image layout (OCI image specification v1.1, image-layout.md):
 *
 *     oci-layout    {"imageLayoutVersion":"1.0.0"}
 *     index.json    an image index; each descriptor's annotation names it
 *     blobs/sha256/<64 hexadecimal digits>
 */

/** OCI's annotation: by habit a tag alone, or a full reference. */
export const ANNOTATION_REF_NAME = 'org.opencontainers.image.ref.name';
/** containerd's annotation: always a full reference. */
export const ANNOTATION_CONTAINERD_NAME = 'io.containerd.image.name';

const LAYOUT_VERSION = '1.0.0';

/** The content of `oci-layout`. */
export const LAYOUT_MARKER = canonicalJson({ imageLayoutVersion: LAYOUT_VERSION });

/** Checks the content of `oci-layout`. Raises FormatError LAYOUT_INVALID. */
export function decodeLayoutMarker(bytes: Uint8Array): void {
  let version: unknown;
  try {
    version = (JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as { imageLayoutVersion?: unknown })
      ?.imageLayoutVersion;
  } catch {
    throw new FormatError('LAYOUT_INVALID', 'oci-layout is not JSON');
  }
  if (version === LAYOUT_VERSION) return;
  throw new FormatError('LAYOUT_INVALID', 'oci-layout names a version that is not known', {
    expected: LAYOUT_VERSION,
    found: typeof version === 'string' ? version.slice(0, 40) : typeof version,
  });
}

/** The content of `index.json`, deterministic. Order is kept. */
export function encodeLayoutIndex(manifests: readonly Descriptor[]): string {
  return canonicalJson({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests });
}

/** The descriptors of `index.json`. Raises FormatError LAYOUT_INVALID, MANIFEST_INVALID or MANIFEST_TOO_LARGE. */
export function decodeLayoutIndex(bytes: Uint8Array): readonly Descriptor[] {
  const document = decodeManifest(bytes);
  if (document.kind === 'index') return document.manifests;
  throw new FormatError('LAYOUT_INVALID', 'index.json is an image manifest, not an index');
}

/**
 * The full, normalised reference that an entry of index.json carries, or `undefined`: a tag alone names no repository,
 * and taking it for one of docker.io's would give a chart the wrong image.
 */
export function referenceOfEntry(entry: Descriptor): string | undefined {
  const name = entry.annotations?.[ANNOTATION_CONTAINERD_NAME] ?? entry.annotations?.[ANNOTATION_REF_NAME];
  if (name === undefined || !/[/:@]/.test(name)) return undefined;
  try {
    return normaliseReference(name);
  } catch {
    return undefined; // Other tools put other things there; such an entry has no name for us.
  }
}
