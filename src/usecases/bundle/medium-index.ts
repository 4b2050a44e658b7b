import { z } from 'zod';
import { type Digest, isDigest } from '../../core/digest.ts';
import { MANIFEST_MAX_BYTES } from '../../formats/bundle/manifest.ts';
import { ANNOTATION_REF_NAME } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { Medium } from '../../ports/medium.ts';
import { taggedEntries } from './resolve-bundle.ts';

const reference = z.object({ digest: z.custom<Digest>(isDigest) });
const linksSchema = z.object({
  config: reference,
  layers: z.array(reference),
  subject: reference.optional(),
});

/** What a manifest of the medium names: enough to know which blobs are in use, and on what a referrer hangs. */
export async function linksOf(medium: Medium, digest: Digest): Promise<z.infer<typeof linksSchema>> {
  const bytes = await medium.readBlob(digest, MANIFEST_MAX_BYTES);
  return linksSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
}

/** The signatures that hang on a manifest, from index.json. */
export async function referrersOf(medium: Medium, subject: Digest): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for (const entry of await medium.readIndex()) {
    if (entry.annotations?.[ANNOTATION_REF_NAME] !== undefined) continue;
    const links = await linksOf(medium, entry.digest).catch(() => undefined);
    if (links?.subject?.digest === subject) found.push(entry);
  }
  return found;
}

/** index.json without the bundle of this tag and without what hangs on it. */
export async function withoutTag(medium: Medium, tag: string): Promise<Descriptor[]> {
  const index = await medium.readIndex();
  const gone = new Set<Digest>(
    taggedEntries(index)
      .filter((entry) => entry.tag === tag)
      .map(({ descriptor }) => descriptor.digest),
  );
  const kept: Descriptor[] = [];
  for (const entry of index) {
    if (gone.has(entry.digest)) continue;
    // A referrer that cannot be read hangs on nothing that could be told: it goes when its blob is gone.
    const links = await linksOf(medium, entry.digest).catch(() => undefined);
    if (links === undefined || (links.subject !== undefined && gone.has(links.subject.digest))) continue;
    kept.push(entry);
  }
  return kept;
}

/** Removes blobs that no manifest of index.json names. Called with the lock held, after index.json was replaced. */
export async function sweepMedium(medium: Medium): Promise<void> {
  const keep = new Set<Digest>();
  for (const entry of await medium.readIndex()) {
    keep.add(entry.digest);
    const { config, layers } = await linksOf(medium, entry.digest);
    keep.add(config.digest);
    for (const layer of layers) keep.add(layer.digest);
  }
  await medium.removeOtherBlobs(keep);
}
