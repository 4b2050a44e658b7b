import type { Digest } from '../../core/digest.ts';
import { subjectsOfPayload } from '../../formats/oci/attachment.ts';
import {
  artifactTypeOf,
  decodeManifest,
  MAX_MANIFEST_BYTES,
  type ManifestDocument,
} from '../../formats/oci/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import type { AcquiredImage, ImageAttachment } from '../../ports/images.ts';
import { AdapterError } from '../errors.ts';
import type { BlobReader, Selection } from './manifest-selection.ts';

/** Attachments of one image. cosign writes one a signing, CI systems a handful a build. */
export const MAX_ATTACHMENTS = 256;
/** All blobs of all attachments of one image. SBOMs of large images have some 20 MiB each. */
const MAX_ATTACHMENT_BYTES = 1024 * 1024 * 1024;
const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024;

/**
 * Collects every blob of what was selected, and of the attachments with the given digests. A pinned image and one that
 * was just discovered both come through here, so that they cannot differ.
 */
export async function walkImage(
  reader: BlobReader,
  reference: string,
  selection: Selection,
  attachmentDigests: readonly Digest[],
): Promise<AcquiredImage> {
  const blobs = new Map<Digest, LocalBlob & { mediaType: string }>();
  const pending = new Map<Digest, Descriptor>();
  const keep = (blob: LocalBlob, mediaType: string): void => {
    if (!blobs.has(blob.digest)) blobs.set(blob.digest, { ...blob, mediaType });
  };
  const keepManifest = async (descriptor: Descriptor): Promise<void> => {
    keep((await reader.document(descriptor, 'manifest', MAX_MANIFEST_BYTES)).blob, descriptor.mediaType);
  };
  for (const descriptor of [selection.root, ...selection.indexes]) await keepManifest(descriptor);
  for (const { descriptor, document } of selection.manifests) {
    await keepManifest(descriptor);
    for (const part of [document.config, ...document.layers]) pending.set(part.digest, part);
  }
  const attachments = await readAttachments(reader, attachmentDigests, keep);
  for (const part of attachments.flatMap((attachment) => attachment.parts)) {
    if (!pending.has(part.digest)) pending.set(part.digest, part);
  }
  await Promise.all(
    [...pending.values()]
      .filter((descriptor) => !blobs.has(descriptor.digest))
      .map(async (descriptor) => keep(await reader.blob(descriptor), descriptor.mediaType)),
  );
  const known = [selection.root.digest, ...selection.manifests.map(({ descriptor }) => descriptor.digest)];
  const listed: ImageAttachment[] = [];
  for (const { descriptor, document } of attachments) {
    const subject = await subjectOf(reader, selection, known, descriptor, document);
    listed.push({ subject, descriptor, artifactType: artifactTypeOf(document) });
  }
  return {
    reference,
    root: selection.root,
    manifests: selection.manifests.map(({ descriptor, platform, document }) => ({
      descriptor,
      platform,
      config: document.config,
      layers: document.layers,
      annotations: document.annotations,
    })),
    attachments: listed,
    blobs: [...blobs.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1)),
  };
}

interface ReadAttachment {
  readonly descriptor: Descriptor;
  readonly document: ManifestDocument;
  readonly parts: readonly Descriptor[];
}

async function readAttachments(
  reader: BlobReader,
  digests: readonly Digest[],
  keep: (blob: LocalBlob, mediaType: string) => void,
): Promise<ReadAttachment[]> {
  const unique = [...new Set(digests)].sort();
  if (unique.length > MAX_ATTACHMENTS) throw tooMuch(`${MAX_ATTACHMENTS} attachments`, `${unique.length}`);
  const attachments: ReadAttachment[] = [];
  let totalBytes = 0;
  for (const digest of unique) {
    const { bytes, blob } = await reader.document({ digest }, 'manifest', MAX_MANIFEST_BYTES);
    const document = decodeManifest(bytes, { digest });
    if (document.kind === 'index') {
      throw new AdapterError('ATTACHMENT_LIMIT', 'An attachment is an index of further attachments', {
        expected: 'an image manifest',
        found: document.mediaType,
        at: { digest },
      });
    }
    keep(blob, document.mediaType);
    const parts = [document.config, ...document.layers];
    totalBytes += parts.reduce((sum, part) => sum + part.size, 0);
    if (totalBytes > MAX_ATTACHMENT_BYTES) throw tooMuch(`${MAX_ATTACHMENT_BYTES} bytes of attachments`, 'more');
    const descriptor = { mediaType: document.mediaType, digest, size: bytes.byteLength };
    attachments.push({ descriptor, document, parts });
  }
  return attachments;
}

/**
 * What an attachment is about, from the attachment itself: its `subject`, the annotation beside it in the index, or what a
 * payload under cosign's tags says. What names nothing of this image (cosign's .sbom) hangs on the root.
 */
async function subjectOf(
  reader: BlobReader,
  selection: Selection,
  known: readonly Digest[],
  descriptor: Descriptor,
  document: ManifestDocument,
): Promise<Digest> {
  if (document.subject && known.includes(document.subject.digest)) return document.subject.digest;
  const beside = selection.attestations.find((entry) => entry.descriptor.digest === descriptor.digest);
  if (beside) return beside.subject;
  const payload = document.kind === 'image' ? document.layers[0] : undefined;
  if (payload && payload.size <= MAX_PAYLOAD_BYTES) {
    const { bytes } = await reader.document(payload, 'blob', MAX_PAYLOAD_BYTES);
    const named = subjectsOfPayload(bytes).find((digest) => known.includes(digest));
    if (named) return named;
  }
  return selection.root.digest;
}

function tooMuch(expected: string, found: string): AdapterError {
  return new AdapterError('ATTACHMENT_LIMIT', 'Too much hangs on the image', {
    expected: `at most ${expected}`,
    found,
    hint: 'Remove old signatures and attestations from the repository, or pin the ones that you want.',
  });
}
