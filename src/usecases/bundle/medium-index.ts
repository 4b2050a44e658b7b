import { z } from 'zod';
import { type Digest, isDigest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { MANIFEST_MAX_BYTES } from '../../formats/bundle/manifest.ts';
import { BUNDLE_ARTIFACT_TYPE } from '../../formats/bundle/media-types.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { SIGNATURE_MEDIA_TYPE } from '../../formats/sigstore/signature-bundle.ts';
import type { Medium } from '../../ports/medium.ts';
import { bundleEntries } from './resolve-bundle.ts';

const reference = z.object({ digest: z.custom<Digest>(isDigest) });
const linksSchema = z.object({
  artifactType: z.string().optional(),
  config: reference,
  layers: z.array(reference),
  subject: reference.optional(),
});

type Links = z.infer<typeof linksSchema>;

/** What a manifest of the medium names: enough to know which blobs are in use. `undefined` when it cannot be read. */
async function linksOf(medium: Medium, digest: Digest): Promise<Links | undefined> {
  try {
    const bytes = await medium.readBlob(digest, MANIFEST_MAX_BYTES);
    return linksSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch (error) {
    if (error instanceof PortolanError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A signature on the medium: its manifest, and the blob that is the signature. */
export interface SignatureReferrer {
  readonly digest: Digest;
  readonly layer: Digest;
}

/** The signatures that hang on a manifest, from index.json. Movers change the type of an entry: its manifest tells. */
export async function signatureReferrers(medium: Medium, subject: Digest): Promise<SignatureReferrer[]> {
  const found: SignatureReferrer[] = [];
  for (const { artifactType, digest } of await medium.readIndex()) {
    if (artifactType === BUNDLE_ARTIFACT_TYPE) continue;
    const links = await linksOf(medium, digest);
    const [layer] = links?.layers ?? [];
    if (links?.artifactType !== SIGNATURE_MEDIA_TYPE || links.subject?.digest !== subject || layer === undefined)
      continue;
    found.push({ digest, layer: layer.digest });
  }
  return found;
}

/** index.json without the bundles of these tags and without what hangs on them. */
export async function withoutTag(medium: Medium, ...tags: readonly string[]): Promise<Descriptor[]> {
  const bundles = new Map((await bundleEntries(medium)).map((entry) => [entry.descriptor.digest, entry.tag]));
  const kept: Descriptor[] = [];
  for (const entry of await medium.readIndex()) {
    const tagged = bundles.get(entry.digest);
    if (tagged !== undefined) {
      // A bundle that cannot be read stays: copying one file again may mend it.
      if (!tags.includes(tagged)) kept.push(entry);
      continue;
    }
    const subject = (await linksOf(medium, entry.digest))?.subject?.digest;
    // What hangs on nothing that could be told, or on what goes, goes as well.
    if (subject !== undefined && !tags.includes(bundles.get(subject) ?? '')) kept.push(entry);
  }
  return kept;
}

/**
 * Removes blobs that no manifest of index.json names, nor `others`. While a manifest cannot be read nothing is removed: its
 * pieces are not ours to judge. Called with the lock held.
 */
export async function sweepMedium(medium: Medium, others: Iterable<Digest> = []): Promise<void> {
  const keep = new Set<Digest>(others);
  for (const { digest } of await medium.readIndex()) {
    const links = await linksOf(medium, digest);
    if (links === undefined) return;
    for (const one of [digest, links.config.digest, ...links.layers.map((layer) => layer.digest)]) keep.add(one);
  }
  await medium.removeOtherBlobs(keep);
}
