import type { Digest } from '../../core/digest.ts';
import { type BundleManifest, decodeManifest, MANIFEST_MAX_BYTES, tagOf } from '../../formats/bundle/manifest.ts';
import { BUNDLE_ARTIFACT_TYPE } from '../../formats/bundle/media-types.ts';
import { ANNOTATION_REF_NAME } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { Medium } from '../../ports/medium.ts';
import { UseCaseError } from '../errors.ts';

export interface ResolvedBundle {
  readonly tag: string;
  readonly descriptor: Descriptor;
  readonly manifestBytes: Uint8Array;
  readonly manifest: BundleManifest;
}

export function isBundle(entry: Descriptor): boolean {
  return entry.artifactType === BUNDLE_ARTIFACT_TYPE || entry.artifactType === undefined;
}

/** The bundles' entries of index.json. Movers that rewrite index.json may drop the artifact type: the manifest decides. */
export function taggedEntries(index: readonly Descriptor[]): { tag: string; descriptor: Descriptor }[] {
  return index.flatMap((descriptor) => {
    const tag = descriptor.annotations?.[ANNOTATION_REF_NAME];
    return tag !== undefined && isBundle(descriptor) ? [{ tag, descriptor }] : [];
  });
}

/**
 * Finds a bundle on a medium; without a tag there must be one only. The manifest is checked against its digest, and the
 * tag against the name and version that are signed: a courier who renames a tag is found out.
 *
 * @throws UseCaseError BUNDLE_NOT_FOUND, TAG_MISMATCH; AdapterError BLOB_MISSING, BLOB_DAMAGED; FormatError BUNDLE_MANIFEST_INVALID
 */
export async function resolveBundle(medium: Medium, tag?: string): Promise<ResolvedBundle> {
  const entries = taggedEntries(await medium.readIndex());
  const names = entries.map((entry) => entry.tag).join(', ');
  const matching = tag === undefined ? entries : entries.filter((entry) => entry.tag === tag);
  const [entry] = matching;
  if (entry === undefined) {
    throw new UseCaseError('BUNDLE_NOT_FOUND', `${medium.folder} holds no bundle${tag === undefined ? '' : ` ${tag}`}`, {
      at: { file: medium.folder },
      found: names === '' ? 'no bundles' : names,
      hint: 'Run `portolan bundle list` to see what is there.',
    });
  }
  if (matching.length > 1) {
    throw new UseCaseError('BUNDLE_NOT_FOUND', `${medium.folder} holds more than one bundle: say which`, {
      at: { file: medium.folder },
      found: names,
      hint: `Write ${medium.folder}:${entry.tag}, for instance.`,
    });
  }
  return { tag: entry.tag, ...(await readManifest(medium, entry.descriptor.digest, entry.tag)), descriptor: entry.descriptor };
}

/** Reads and checks one bundle's manifest. */
export async function readManifest(
  medium: Medium,
  digest: Digest,
  tag: string,
): Promise<{ manifestBytes: Uint8Array; manifest: BundleManifest }> {
  const manifestBytes = await medium.readBlob(digest, MANIFEST_MAX_BYTES);
  const manifest = decodeManifest(manifestBytes);
  const expected = tagOf(manifest.name, manifest.version);
  if (tag !== expected) {
    throw new UseCaseError('TAG_MISMATCH', `The tag ${tag} stands on another bundle`, {
      expected,
      found: tag,
      at: { file: medium.folder, digest },
      hint: 'Somebody renamed or swapped a tag on the medium. Get the bundle again, and ask who had the medium.',
    });
  }
  return { manifestBytes, manifest };
}
