import { z } from 'zod';
import { type Digest, isDigest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import { normalisePlatform } from './platform.ts';
import type { Descriptor, Platform } from './types.ts';

/**
 * Manifests and indexes: JSON documents of at most 4 MiB.
 *
 *     image   { schemaVersion: 2, mediaType?, artifactType?, config, layers: [descriptor], subject?, annotations? }
 *     index   { schemaVersion: 2, mediaType?, artifactType?, manifests: [descriptor], subject?, annotations? }
 *
 * OCI image specification v1.1, manifest.md and image-index.md; Docker's schema 2 manifest and manifest list have the
 * same members. Docker's schema 1 is refused: its digests do not cover what is run.
 */

export const MEDIA_TYPES = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const;

/** `Accept` for whatever {@link decodeManifest} reads. */
export const MANIFEST_ACCEPT = [
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.dockerList,
  MEDIA_TYPES.dockerManifest,
].join(', ');

/** What the distribution specification calls the least that a registry must accept, and more than any real image needs. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** A configuration carries the build's history: rarely above 100 KiB. */
export const MAX_CONFIG_BYTES = 8 * 1024 * 1024;
/** Indexes inside an index. */
export const MAX_INDEX_DEPTH = 3;
const MAX_DESCRIPTORS = 4096;

const MANIFEST_TYPES: readonly string[] = [MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest];
const INDEX_TYPES: readonly string[] = [MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerList];

export interface ImageManifestDocument {
  readonly kind: 'image';
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

interface ImageIndexDocument {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

export type ManifestDocument = ImageManifestDocument | ImageIndexDocument;

const annotations = z.record(z.string(), z.string());
const descriptor = z.object({
  mediaType: z.string().min(1).max(255),
  digest: z.custom<Digest>(isDigest, 'must be sha256: and 64 lower-case hexadecimal digits'),
  size: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  urls: z.array(z.string()).nullish(),
  annotations: annotations.nullish(),
  artifactType: z.string().max(255).nullish(),
  platform: z
    .object({ os: z.string().max(64), architecture: z.string().max(64), variant: z.string().max(64).nullish() })
    .nullish(),
});
const common = {
  schemaVersion: z.literal(2),
  mediaType: z.string().max(255).nullish(),
  artifactType: z.string().max(255).nullish(),
  subject: descriptor.nullish(),
  annotations: annotations.nullish(),
};
const imageDocument = z.object({ ...common, config: descriptor, layers: z.array(descriptor).max(MAX_DESCRIPTORS) });
const indexDocument = z.object({ ...common, manifests: z.array(descriptor).max(MAX_DESCRIPTORS) });
const configDocument = z.object({
  os: z.string().min(1).max(64),
  architecture: z.string().min(1).max(64),
  variant: z.string().max(64).nullish(),
});

/**
 * Decodes a manifest or an index. `declaredType` is what the descriptor or the registry called it; it must agree with the
 * document, so that nobody can be shown an image where another tool sees an index (CVE-2021-41190).
 * Raises FormatError MANIFEST_TOO_LARGE, MANIFEST_UNSUPPORTED, MANIFEST_INVALID or LAYER_FOREIGN.
 */
export function decodeManifest(
  bytes: Uint8Array,
  options: { readonly declaredType?: string; readonly digest?: Digest } = {},
): ManifestDocument {
  const place = options.digest === undefined ? {} : { at: { digest: options.digest } };
  const document = parseDocument(bytes, place);
  const { schemaVersion, mediaType } = document as { schemaVersion?: unknown; mediaType?: unknown };
  if (schemaVersion === 1 || isSchema1(mediaType) || isSchema1(options.declaredType)) {
    throw new FormatError('MANIFEST_UNSUPPORTED', 'The image is in the old format Docker schema 1', {
      ...place,
      expected: `${MEDIA_TYPES.ociManifest} or ${MEDIA_TYPES.dockerManifest}`,
      found: typeof mediaType === 'string' ? mediaType.slice(0, 200) : 'schemaVersion 1',
      hint: 'Pull it and push it again with a current tool, which writes schema 2.',
    });
  }
  const hasManifests = 'manifests' in document;
  const hasLayers = 'layers' in document || 'config' in document;
  if (hasManifests === hasLayers) {
    throw new FormatError('MANIFEST_INVALID', 'The document must be either an image manifest or an index', {
      ...place,
      expected: 'either `manifests`, or `config` and `layers`',
      found: hasManifests ? 'both' : 'neither',
    });
  }
  return hasManifests
    ? decodeIndex(document, options.declaredType, place)
    : decodeImage(document, options.declaredType, place);
}

/** Whether a media type names an image manifest or an index that {@link decodeManifest} reads. */
export function isManifestType(mediaType: string): boolean {
  return MANIFEST_TYPES.includes(mediaType) || INDEX_TYPES.includes(mediaType);
}

export function isIndexType(mediaType: string): boolean {
  return INDEX_TYPES.includes(mediaType);
}

/** The platform that an image's configuration names. Raises FormatError MANIFEST_INVALID or MANIFEST_TOO_LARGE. */
export function decodeConfigPlatform(bytes: Uint8Array, options: { readonly digest?: Digest } = {}): Platform {
  const place = options.digest === undefined ? {} : { at: { digest: options.digest } };
  const parsed = configDocument.safeParse(parseDocument(bytes, place, MAX_CONFIG_BYTES));
  if (!parsed.success) throw schemaError('image configuration', parsed.error, place);
  const { os, architecture, variant } = parsed.data;
  return normalisePlatform({ os, architecture, ...(variant ? { variant } : {}) });
}

/** What kind of thing a manifest carries: its artifactType, else its configuration's type, else its first layer's. */
export function artifactTypeOf(manifest: ManifestDocument): string {
  if (manifest.artifactType !== undefined) return manifest.artifactType;
  if (manifest.kind === 'index') return manifest.mediaType;
  const neutral: readonly string[] = [MEDIA_TYPES.ociConfig, MEDIA_TYPES.ociEmpty, MEDIA_TYPES.dockerConfig];
  if (!neutral.includes(manifest.config.mediaType)) return manifest.config.mediaType;
  return manifest.layers[0]?.mediaType ?? manifest.config.mediaType;
}

interface PlaceDetail {
  readonly at?: { readonly digest: Digest };
}
type RawDescriptor = z.infer<typeof descriptor>;

function parseDocument(bytes: Uint8Array, place: PlaceDetail, limitBytes = MAX_MANIFEST_BYTES): object {
  if (bytes.byteLength > limitBytes) {
    throw new FormatError('MANIFEST_TOO_LARGE', 'A manifest, index or configuration is too large', {
      ...place,
      expected: `at most ${limitBytes} bytes`,
      found: `${bytes.byteLength} bytes`,
    });
  }
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new FormatError('MANIFEST_INVALID', 'A manifest, index or configuration is not JSON in UTF-8', place);
  }
  if (document === null || typeof document !== 'object' || Array.isArray(document)) {
    throw new FormatError('MANIFEST_INVALID', 'A manifest, index or configuration is not a JSON object', place);
  }
  return document;
}

function decodeImage(document: object, declaredType: string | undefined, place: PlaceDetail): ImageManifestDocument {
  const parsed = imageDocument.safeParse(document);
  if (!parsed.success) throw schemaError('image manifest', parsed.error, place);
  const { data } = parsed;
  const mediaType = agreedType(data.mediaType, declaredType, MANIFEST_TYPES, place);
  for (const layer of data.layers) refuseForeign(layer);
  refuseForeign(data.config);
  return {
    kind: 'image',
    mediaType,
    config: toDescriptor(data.config),
    layers: data.layers.map(toDescriptor),
    annotations: data.annotations ?? {},
    ...optional(data),
  };
}

function decodeIndex(document: object, declaredType: string | undefined, place: PlaceDetail): ImageIndexDocument {
  const parsed = indexDocument.safeParse(document);
  if (!parsed.success) throw schemaError('image index', parsed.error, place);
  const { data } = parsed;
  return {
    kind: 'index',
    mediaType: agreedType(data.mediaType, declaredType, INDEX_TYPES, place),
    manifests: data.manifests.map(toDescriptor),
    annotations: data.annotations ?? {},
    ...optional(data),
  };
}

function optional(data: { artifactType?: string | null | undefined; subject?: RawDescriptor | null | undefined }) {
  return {
    ...(data.artifactType ? { artifactType: data.artifactType } : {}),
    ...(data.subject ? { subject: toDescriptor(data.subject) } : {}),
  };
}

/** The document's own type wins where it has one; it may not contradict what the document was announced as. */
function agreedType(
  own: string | null | undefined,
  declared: string | undefined,
  allowed: readonly string[],
  place: PlaceDetail,
): string {
  const mediaType = own ?? declared ?? allowed[0] ?? '';
  const contradiction = own && declared !== undefined && own !== declared;
  if (allowed.includes(mediaType) && !contradiction) return mediaType;
  throw new FormatError(
    contradiction ? 'MANIFEST_INVALID' : 'MANIFEST_UNSUPPORTED',
    contradiction
      ? 'A manifest is announced as another media type than it has'
      : 'The media type is not one of an image',
    { ...place, expected: contradiction ? declared : allowed.join(' or '), found: mediaType },
  );
}

function refuseForeign(layer: RawDescriptor): void {
  if (!/nondistributable|foreign/.test(layer.mediaType) && !layer.urls?.length) return;
  throw new FormatError('LAYER_FOREIGN', 'A layer lies at an outside address and not in the registry', {
    at: { digest: layer.digest },
    found: layer.mediaType,
    hint: 'Use an image whose layers are all distributable.',
  });
}

function isSchema1(mediaType: unknown): boolean {
  return typeof mediaType === 'string' && /docker\.distribution\.manifest\.v1\+/.test(mediaType);
}

function toDescriptor(raw: RawDescriptor): Descriptor {
  const { mediaType, digest, size, platform } = raw;
  return {
    mediaType,
    digest,
    size,
    ...(raw.annotations ? { annotations: raw.annotations } : {}),
    ...(raw.artifactType ? { artifactType: raw.artifactType } : {}),
    ...(platform
      ? {
          platform: {
            os: platform.os,
            architecture: platform.architecture,
            ...(platform.variant ? { variant: platform.variant } : {}),
          },
        }
      : {}),
  };
}

function schemaError(what: string, error: z.ZodError, place: PlaceDetail): FormatError {
  const issue = error.issues[0];
  const key = issue?.path.map(String).join('.') || undefined;
  return new FormatError('MANIFEST_INVALID', `The ${what} is not valid: ${issue?.message ?? 'unknown reason'}`, {
    at: { ...place.at, ...(key === undefined ? {} : { key }) },
  });
}
