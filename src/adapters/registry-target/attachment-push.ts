import { canonicalJson } from '../../core/canonical-json.ts';
import type { Digest } from '../../core/digest.ts';
import { cosignTagOf, referrersTag } from '../../formats/oci/attachment.ts';
import { artifactTypeOf, decodeManifest, type ImageManifestDocument, MEDIA_TYPES } from '../../formats/oci/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { readDocument } from './documents.ts';
import type { ManifestPush } from './manifest-push.ts';
import type { RegistryAccess } from './registry-access.ts';
import type { PlannedImage } from './target-plan.ts';

/** A payload of cosign's that names its subject. */
const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024;

/**
 * What hangs on an image, so that the tools that look for it find it: by the referrers API, by an index under the tag
 * `sha256-<hex>` where the registry lacks that (distribution specification v1.1, "Pushing Manifests with Subject"), and
 * under cosign's tags. Attestations inside the image's index are there already.
 */
export async function pushAttachments(
  access: RegistryAccess,
  { image, repository }: PlannedImage,
  push: ManifestPush,
  signal: AbortSignal,
): Promise<void> {
  const unlisted = new Map<Digest, Descriptor[]>();
  for (const digest of image.attachments) {
    const bytes = await push.read(digest);
    const document = decodeManifest(bytes, { digest });
    const reply = await push.put(digest, bytes, document.mediaType);
    if (document.subject !== undefined) {
      // The header says that the registry lists it by itself.
      if (reply.headers['oci-subject'] !== undefined) continue;
      const listed = unlisted.get(document.subject.digest) ?? [];
      unlisted.set(document.subject.digest, [
        ...listed,
        {
          mediaType: document.mediaType,
          digest,
          size: bytes.byteLength,
          artifactType: artifactTypeOf(document),
          ...(Object.keys(document.annotations).length === 0 ? {} : { annotations: document.annotations }),
        },
      ]);
    } else if (document.kind === 'image') {
      await pushCosignTag(document, bytes);
    }
  }
  for (const [subject, listed] of unlisted) await list(subject, listed);

  async function list(subject: Digest, listed: readonly Descriptor[]): Promise<void> {
    const tag = referrersTag(subject);
    const before = await readDocument(access, repository, `manifests/${tag}`, signal);
    const index = before && decodeManifest(before);
    const there = index?.kind === 'index' ? index.manifests : [];
    const fresh = listed.filter(({ digest }) => !there.some((entry) => entry.digest === digest));
    if (fresh.length === 0) return;
    const manifests = [...there, ...fresh];
    const bytes = new TextEncoder().encode(
      canonicalJson({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }),
    );
    await push.put(tag, bytes, MEDIA_TYPES.ociIndex);
  }

  async function pushCosignTag(document: ImageManifestDocument, bytes: Uint8Array): Promise<void> {
    const [first] = document.layers;
    if (first === undefined || first.size > MAX_PAYLOAD_BYTES) return;
    const known = image.blobs.map(({ digest }) => digest);
    const payload = await readDocument(access, repository, `blobs/${first.digest}`, signal);
    const tag = payload && cosignTagOf(document, payload, { digest: image.digest, known });
    if (tag === undefined) return;
    const before = await readDocument(access, repository, `manifests/${tag}`, signal);
    const old = before && decodeManifest(before);
    // Signatures that somebody added here are in the same manifest, and are not ours to take away.
    const layers = new Set(document.layers.map(({ digest }) => digest));
    if (old !== undefined && !(old.kind === 'image' && old.layers.every(({ digest }) => layers.has(digest)))) return;
    await push.put(tag, bytes, document.mediaType);
  }
}
