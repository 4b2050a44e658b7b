/**
 * The manifest of a bundle: an OCI image manifest with an artifact type (OCI image specification v1.1, "Guidelines for
 * Artifact Usage"). Layer 0 is the sealed lists, every other layer a sealed piece. It is all that a courier can read, and
 * what the signature covers. docs/format-bundle.md, "Manifest".
 */
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, digestOf, isDigest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import type { Descriptor } from '../oci/types.ts';
import { BUNDLE_ARTIFACT_TYPE, LISTS_MEDIA_TYPE, PIECE_MEDIA_TYPE } from './media-types.ts';

export const MANIFEST_MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
/** About fifty thousand pieces: 1.5 TiB at the default size. Registries take manifests of 4 MiB, so about 400 GiB there. */
export const MANIFEST_MAX_BYTES = 16 * 1024 * 1024;

/** OCI image specification v1.1, "Guidance for an Empty Descriptor". */
export const EMPTY_BLOB = new TextEncoder().encode('{}');
const EMPTY_DESCRIPTOR: Descriptor = {
  mediaType: 'application/vnd.oci.empty.v1+json',
  digest: digestOf(EMPTY_BLOB),
  size: EMPTY_BLOB.length,
};

const TITLE = 'org.opencontainers.image.title';
const VERSION = 'org.opencontainers.image.version';

const digest = z.custom<Digest>(isDigest, 'a digest');
const layer = z.object({ mediaType: z.string(), digest, size: z.number().int().positive() });
const manifestSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MANIFEST_MEDIA_TYPE),
  artifactType: z.literal(BUNDLE_ARTIFACT_TYPE),
  config: layer,
  layers: z.array(layer).min(1),
  annotations: z.object({ [TITLE]: z.string().min(1), [VERSION]: z.string().min(1) }),
});

/** What a courier sees of a bundle. */
export interface BundleManifest {
  readonly name: string;
  readonly version: string;
  readonly lists: Descriptor;
  /** In the order of the pieces. */
  readonly pieces: readonly Descriptor[];
}

export function encodeManifest(manifest: BundleManifest): Uint8Array {
  return new TextEncoder().encode(
    canonicalJson({
      schemaVersion: 2,
      mediaType: MANIFEST_MEDIA_TYPE,
      artifactType: BUNDLE_ARTIFACT_TYPE,
      config: EMPTY_DESCRIPTOR,
      layers: [manifest.lists, ...manifest.pieces],
      annotations: { [TITLE]: manifest.name, [VERSION]: manifest.version },
    }),
  );
}

/** @throws FormatError BUNDLE_MANIFEST_INVALID */
export function decodeManifest(bytes: Uint8Array): BundleManifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError('BUNDLE_MANIFEST_INVALID', 'the manifest of the bundle is not JSON', { cause });
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new FormatError('BUNDLE_MANIFEST_INVALID', `not the manifest of a bundle: ${issue?.message}`, {
      at: { key: issue?.path.join('.') ?? '' },
    });
  }
  const { layers, annotations } = parsed.data;
  const [lists, ...pieces] = layers;
  if (lists?.mediaType !== LISTS_MEDIA_TYPE) throw unexpectedLayer(0, LISTS_MEDIA_TYPE, lists?.mediaType);
  const seen = new Set<Digest>([lists.digest]);
  pieces.forEach((piece, index) => {
    if (piece.mediaType !== PIECE_MEDIA_TYPE) throw unexpectedLayer(index + 1, PIECE_MEDIA_TYPE, piece.mediaType);
    if (seen.has(piece.digest)) {
      throw new FormatError('BUNDLE_MANIFEST_INVALID', 'the manifest names one blob twice', {
        at: { digest: piece.digest },
      });
    }
    seen.add(piece.digest);
  });
  return { name: annotations[TITLE], version: annotations[VERSION], lists, pieces };
}

/** What any manifest says it is, unchecked; `undefined` where it says nothing or is no JSON object. */
export function artifactTypeOf(bytes: Uint8Array): string | undefined {
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes)) as { artifactType?: unknown } | null;
    return typeof value?.artifactType === 'string' ? value.artifactType : undefined;
  } catch {
    return undefined;
  }
}

function unexpectedLayer(index: number, expected: string, found: string | undefined): FormatError {
  return new FormatError('BUNDLE_MANIFEST_INVALID', 'a layer of the manifest is not what a bundle has there', {
    expected,
    found: found ?? 'nothing',
    at: { key: `layers.${index}.mediaType` },
    hint: 'The bundle may have been written by a newer Portolan.',
  });
}

/** The tag of a bundle on its medium: NAME-VERSION, with `+` of SemVer as `_`, since OCI tags have no plus sign. */
export function tagOf(name: string, version: string): string {
  return `${name}-${version}`.replaceAll('+', '_');
}
