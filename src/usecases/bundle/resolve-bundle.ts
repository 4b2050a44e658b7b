import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import {
  artifactTypeOf,
  type BundleManifest,
  decodeManifest,
  MANIFEST_MAX_BYTES,
  tagOf,
} from '../../formats/bundle/manifest.ts';
import { BUNDLE_ARTIFACT_TYPE } from '../../formats/bundle/media-types.ts';
import { ANNOTATION_REF_NAME } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { SIGNATURE_MEDIA_TYPE } from '../../formats/sigstore/signature-bundle.ts';
import type { Medium } from '../../ports/medium.ts';
import { UseCaseError } from '../errors.ts';

export interface ResolvedBundle {
  readonly tag: string;
  readonly descriptor: Descriptor;
  readonly manifestBytes: Uint8Array;
  readonly manifest: BundleManifest;
}

export interface BundleEntry {
  readonly tag: string;
  readonly descriptor: Descriptor;
}

/**
 * The bundles of index.json. Movers drop the tag or the artifact type of an entry, or write a full reference in the place of
 * the tag: then the manifest decides whether it is a bundle, and how it is called. A tag that stands there is kept as it
 * is: whoever reads the manifest holds it against the name and version that are signed.
 */
export async function bundleEntries(medium: Medium): Promise<BundleEntry[]> {
  const entries: BundleEntry[] = [];
  for (const descriptor of await medium.readIndex()) {
    const { artifactType, annotations } = descriptor;
    if (artifactType === SIGNATURE_MEDIA_TYPE) continue;
    const written = tagIn(annotations?.[ANNOTATION_REF_NAME]);
    if (artifactType === BUNDLE_ARTIFACT_TYPE && written !== undefined) {
      entries.push({ tag: written, descriptor });
      continue;
    }
    const signed = await signedTag(medium, descriptor.digest);
    // What cannot be read may still be told by its tag: reading it says what is wrong.
    const tag = written ?? signed.tag;
    if (tag !== undefined && !signed.isOther) entries.push({ tag, descriptor });
  }
  return withoutAliases(medium, entries);
}

/** One bundle under several tags is called by the tag that is signed, where it is among them. */
async function withoutAliases(medium: Medium, entries: readonly BundleEntry[]): Promise<BundleEntry[]> {
  const kept: BundleEntry[] = [];
  for (const entry of entries) {
    const same = entries.filter(({ descriptor }) => descriptor.digest === entry.descriptor.digest);
    const { tag } = same.length > 1 ? await signedTag(medium, entry.descriptor.digest) : entry;
    if (entry.tag === tag || !same.some((other) => other.tag === tag)) kept.push(entry);
  }
  return kept;
}

/** The tag in `name-version` or in `host:5000/repository:name-version`. */
function tagIn(name: string | undefined): string | undefined {
  const last = name?.slice(name.lastIndexOf('/') + 1);
  if (last === undefined || last === name) return name;
  const colon = last.lastIndexOf(':');
  return colon === -1 || last.includes('@') ? undefined : last.slice(colon + 1);
}

/** `isOther`: the manifest is sound, and of something else. */
async function signedTag(
  medium: Medium,
  digest: Digest,
): Promise<{ readonly tag?: string; readonly isOther: boolean }> {
  try {
    const bytes = await medium.readBlob(digest, MANIFEST_MAX_BYTES);
    const type = artifactTypeOf(bytes);
    if (type !== undefined && type !== BUNDLE_ARTIFACT_TYPE) return { isOther: true };
    const { name, version } = decodeManifest(bytes);
    return { tag: tagOf(name, version), isOther: false };
  } catch (error) {
    if (!(error instanceof PortolanError)) throw error;
    return { isOther: false };
  }
}

/**
 * Finds a bundle on a medium; without a tag there must be one only. The manifest is checked against its digest, and the
 * tag against the name and version that are signed: a courier who renames a tag is found out.
 *
 * @throws UseCaseError BUNDLE_NOT_FOUND, TAG_MISMATCH; AdapterError BLOB_MISSING, BLOB_DAMAGED; FormatError BUNDLE_MANIFEST_INVALID
 */
export async function resolveBundle(medium: Medium, tag?: string): Promise<ResolvedBundle> {
  const entries = await bundleEntries(medium);
  const names = entries.map((entry) => entry.tag).join(', ');
  const matching = tag === undefined ? entries : entries.filter((entry) => entry.tag === tag);
  const [entry] = matching;
  if (entry === undefined) {
    throw new UseCaseError(
      'BUNDLE_NOT_FOUND',
      `${medium.folder} holds no bundle${tag === undefined ? '' : ` ${tag}`}`,
      {
        at: { file: medium.folder },
        found: names === '' ? 'no bundles' : names,
        hint: 'Run `portolan bundle list` to see what is there.',
      },
    );
  }
  if (matching.length > 1) {
    throw new UseCaseError('BUNDLE_NOT_FOUND', `${medium.folder} holds more than one bundle: say which`, {
      at: { file: medium.folder },
      found: names,
      hint: `Write ${medium.folder}:${entry.tag}, for instance.`,
    });
  }
  return {
    tag: entry.tag,
    ...(await readManifest(medium, entry.descriptor.digest, entry.tag)),
    descriptor: entry.descriptor,
  };
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
      hint: 'Somebody renamed or swapped a tag on the medium. Copy the bundle again, under the tag that is expected; ask who had it.',
    });
  }
  return { manifestBytes, manifest };
}
