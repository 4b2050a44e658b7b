/**
 * The SBOM index of a bundle (docs/format-sbom-index.md): canonical JSON, deterministic, one for all images.
 * It says where every image comes from and what is installed in it. Packages carry Package URLs, so that a scanner or a
 * converter to CycloneDX or SPDX needs nothing else. SBOMs that publishers attached are carried as they are; the index
 * names them.
 */
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, isDigest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import { LAYER_REASONS } from '../packages/layer-packages.ts';
import { PACKAGE_TYPES } from '../packages/package.ts';

const SBOM_INDEX_MEDIA_TYPE = 'application/vnd.portolan.bundle.sbom-index.v1+json';
/** What readers take. About a million packages. */
export const SBOM_INDEX_MAX_BYTES = 256 * 1024 * 1024;

const digest = z.custom<Digest>(isDigest, 'a digest: sha256: and 64 lower-case hexadecimal digits');
const text = z.string().min(1);
const size = z.number().int().nonnegative();

const packageSchema = z.strictObject({
  type: z.enum(PACKAGE_TYPES),
  name: text,
  version: text,
  architecture: text.exactOptional(),
  license: text.exactOptional(),
  /** Name of the source package. */
  source: text.exactOptional(),
  purl: z.string().startsWith('pkg:'),
});

const layerSchema = z.strictObject({
  digest,
  size,
  mediaType: text,
  /** Whether the layer was looked into for packages. */
  packages: z.enum(['read', 'partial', 'not-read']),
  /** Why not wholly. Empty when `packages` is `read`. */
  reasons: z.array(z.enum(LAYER_REASONS)),
});

const platformSchema = z.strictObject({
  platform: text,
  manifest: digest,
  layers: z.array(layerSchema),
  /** org.opencontainers.image.base.name and .digest, as the manifest carries them. */
  base: z.strictObject({ name: text.exactOptional(), digest: text.exactOptional() }).exactOptional(),
  distribution: z.strictObject({ id: text, versionId: text.exactOptional() }).exactOptional(),
  packages: z.array(packageSchema),
});

const imageSchema = z.strictObject({
  reference: text,
  root: z.strictObject({ digest, size, mediaType: text }),
  platforms: z.array(platformSchema),
  /** SBOMs, signatures and attestations that the bundle carries for the image. */
  attachments: z.array(z.strictObject({ subject: digest, digest, artifactType: text })),
});

const indexSchema = z.strictObject({ mediaType: z.literal(SBOM_INDEX_MEDIA_TYPE), images: z.array(imageSchema) });

export type SbomPackage = z.infer<typeof packageSchema>;
export type SbomLayer = z.infer<typeof layerSchema>;
export type SbomPlatform = z.infer<typeof platformSchema>;
export type SbomImage = z.infer<typeof imageSchema>;
export type SbomIndex = z.infer<typeof indexSchema>;

/**
 * Sorts what has no order of its own; layers keep theirs. The same images give the same bytes.
 * @throws FormatError SBOM_INDEX_TOO_LARGE
 */
export function encodeSbomIndex(
  images: readonly SbomImage[],
  options: { readonly maxBytes?: number } = {},
): Uint8Array {
  const { maxBytes = SBOM_INDEX_MAX_BYTES } = options;
  const sorted = images
    .map((image) => ({
      ...image,
      platforms: image.platforms
        .map((platform) => ({ ...platform, packages: sortedPackages(platform.packages) }))
        .sort(by(({ platform, manifest }) => `${platform}\n${manifest}`)),
      attachments: unique(
        image.attachments.toSorted(by((item) => `${item.subject}\n${item.artifactType}\n${item.digest}`)),
      ),
    }))
    .sort(by(({ reference, root }) => `${reference}\n${root.digest}`));
  // Image by image: the text of all could be longer than a string can be.
  const encoder = new TextEncoder();
  const parts = [encoder.encode('{"images":[')];
  const end = encoder.encode(`],"mediaType":${canonicalJson(SBOM_INDEX_MEDIA_TYPE)}}`);
  let sizeBytes = (parts[0]?.length ?? 0) + end.length;
  for (const [index, image] of sorted.entries()) {
    const part = encoder.encode(`${index === 0 ? '' : ','}${canonicalJson(image)}`);
    sizeBytes += part.length;
    if (sizeBytes > maxBytes) throw tooLarge(image.reference, maxBytes);
    parts.push(part);
  }
  return Buffer.concat([...parts, end]);
}

function tooLarge(reference: string, maxBytes: number): FormatError {
  return new FormatError('SBOM_INDEX_TOO_LARGE', `too many packages are installed in the images, up to ${reference}`, {
    expected: `an SBOM index of at most ${maxBytes} bytes`,
    hint: 'Look into that image: no real system has so many packages. Or split the bundle.',
  });
}

/** @throws FormatError SBOM_INDEX_INVALID */
export function decodeSbomIndex(bytes: Uint8Array): SbomIndex {
  if (bytes.length > SBOM_INDEX_MAX_BYTES) throw invalid(`it is larger than ${SBOM_INDEX_MAX_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalid('it is not JSON');
  }
  const parsed = indexSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(issue?.message ?? 'it does not follow its schema', issue?.path.join('.'));
}

/** The same package in several places of an image stands once. */
function sortedPackages(packages: readonly SbomPackage[]): SbomPackage[] {
  return unique(packages.toSorted(by((item) => `${item.type}\n${item.name}\n${item.version}\n${canonicalJson(item)}`)));
}

/** Of a sorted list: leaves out what equals its neighbour. */
function unique<T>(items: readonly T[]): T[] {
  const texts = items.map((item) => canonicalJson(item));
  return items.filter((_, index) => index === 0 || texts[index] !== texts[index - 1]);
}

/** By UTF-16 code unit: a locale's order would differ from machine to machine. */
function by<T>(keyOf: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => {
    const [keyA, keyB] = [keyOf(a), keyOf(b)];
    return keyA < keyB ? -1 : keyA > keyB ? 1 : 0;
  };
}

function invalid(message: string, key?: string): FormatError {
  return new FormatError('SBOM_INDEX_INVALID', `the SBOM index cannot be used: ${message}`, {
    at: { file: 'the SBOM index', ...(key === undefined ? {} : { key }) },
  });
}
