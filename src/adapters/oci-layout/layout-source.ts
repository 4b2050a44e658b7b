import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Digest } from '../../core/digest.ts';
import { createLimiter } from '../../core/limits.ts';
import { FormatError } from '../../formats/errors.ts';
import { subjectOfTag } from '../../formats/oci/attachment.ts';
import {
  ANNOTATION_REF_NAME,
  decodeLayoutIndex,
  decodeLayoutMarker,
  referenceOfEntry,
} from '../../formats/oci/layout.ts';
import {
  decodeManifest,
  isManifestType,
  MAX_MANIFEST_BYTES,
  type ManifestDocument,
} from '../../formats/oci/manifest.ts';
import { formatReference, parseReference } from '../../formats/oci/reference.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import type { ImageSource } from '../../ports/images.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import { walkImage } from '../images/image-walk.ts';
import { type BlobReader, selectManifests } from '../images/manifest-selection.ts';
import { hasBlob, locateLayoutBlob, readLayoutBlob, readLayoutFile } from './layout-files.ts';

export interface LayoutSourceOptions {
  /**
   * `hash` (the default) reads every layer once and compares its digest. `size` compares lengths alone, for a caller that
   * hashes every blob itself on the way, as sealing does. Manifests and configurations are always hashed.
   */
  readonly layerCheck?: 'hash' | 'size';
}

interface OpenLayout {
  /** Without symbolic links. */
  readonly base: string;
  readonly entries: readonly Descriptor[];
  /** Manifests of the layout by what they hang on; read on first use. */
  attachments(): Promise<ReadonlyMap<Digest, readonly Digest[]>>;
}

const MAX_MARKER_BYTES = 4096;
const PARALLEL_READS = 2;

/**
 * Images of an OCI image layout, in place: nothing is copied. An image is found by its full reference in index.json's
 * annotations, by a digest in the reference, or by its pin. `undefined` when the layout has no such image.
 */
export function createLayoutSource(folder: string, options: LayoutSourceOptions = {}): ImageSource {
  let layout: Promise<OpenLayout> | undefined;
  const limit = createLimiter(PARALLEL_READS);
  /** Images share layers: each is checked once. */
  const checked = new Map<Digest, Promise<LocalBlob>>();
  return {
    async acquire(request, acquireOptions = {}) {
      layout ??= openLayout(folder);
      const opened = await layout;
      const reference = parseReference(request.reference);
      const digest = await findRoot(opened, formatReference(reference), request.pinned?.digest ?? reference.digest);
      if (digest === undefined) return undefined;
      const reader: BlobReader = {
        document: async (wanted, _kind, maxBytes) => {
          acquireOptions.signal?.throwIfAborted();
          return readLayoutBlob(opened.base, wanted, maxBytes);
        },
        blob: async (descriptor) => {
          const before = await checked.get(descriptor.digest)?.catch(() => undefined);
          if (before?.sizeBytes === descriptor.size) return before;
          const hash = options.layerCheck !== 'size';
          const work = limit(() => locateLayoutBlob(opened.base, descriptor, { ...acquireOptions, hash }));
          checked.set(descriptor.digest, work);
          return work;
        },
      };
      const wanted = { digest, reference: formatReference(reference), platforms: request.platforms };
      const selection = await selectManifests(reader, wanted);
      let attachments = request.pinned?.attachments;
      if (attachments === undefined) {
        const hanging = await opened.attachments();
        const subjects = [digest, ...selection.manifests.map((manifest) => manifest.descriptor.digest)];
        const inside = selection.attestations.map((entry) => entry.descriptor.digest);
        attachments = [...inside, ...subjects.flatMap((subject) => hanging.get(subject) ?? [])];
      }
      return walkImage(reader, wanted.reference, selection, attachments);
    },
  };
}

async function openLayout(folder: string): Promise<OpenLayout> {
  const base = await realpath(folder).catch((cause) => {
    throw fileError(cause, resolve(folder), 'read');
  });
  decodeLayoutMarker(await readLayoutFile(base, 'oci-layout', MAX_MARKER_BYTES));
  const entries = decodeLayoutIndex(await readLayoutFile(base, 'index.json', MAX_MANIFEST_BYTES));
  let attachments: Promise<ReadonlyMap<Digest, readonly Digest[]>> | undefined;
  return {
    base,
    entries,
    attachments: () => {
      attachments ??= readAttachments(base, entries);
      return attachments;
    },
  };
}

async function findRoot(
  layout: OpenLayout,
  reference: string,
  digest: Digest | undefined,
): Promise<Digest | undefined> {
  // Content has one name only: whoever holds the digest holds the image, whatever it is called there.
  if (digest !== undefined) return (await hasBlob(layout.base, digest)) ? digest : undefined;
  const found = new Set(
    layout.entries.filter((entry) => referenceOfEntry(entry) === reference).map((entry) => entry.digest),
  );
  if (found.size <= 1) return [...found][0];
  throw new AdapterError('LAYOUT_AMBIGUOUS', `The layout names ${found.size} different images ${reference}`, {
    found: [...found].join(', '),
    at: { file: layout.base },
    hint: 'Name the one that you want by its digest, or remove the others from index.json.',
  });
}

/** Reads each manifest of index.json once, for its `subject`, and each tag, for the habits of cosign and the tag schema. */
async function readAttachments(
  base: string,
  entries: readonly Descriptor[],
): Promise<ReadonlyMap<Digest, readonly Digest[]>> {
  const hanging = new Map<Digest, Digest[]>();
  const add = (subject: Digest, attachment: Digest): void => {
    hanging.set(subject, [...(hanging.get(subject) ?? []), attachment]);
  };
  for (const entry of entries) {
    if (!isManifestType(entry.mediaType) || !(await hasBlob(base, entry.digest))) continue;
    const { bytes } = await readLayoutBlob(base, entry, MAX_MANIFEST_BYTES);
    const document = tryDecode(bytes, entry);
    if (!document) continue;
    const tag = /[^:/]+$/.exec(entry.annotations?.[ANNOTATION_REF_NAME] ?? '')?.[0] ?? '';
    const subject = document.subject?.digest ?? subjectOfTag(tag);
    if (subject === undefined) continue;
    if (document.kind === 'image') add(subject, entry.digest);
    else for (const child of document.manifests) add(subject, child.digest);
  }
  return hanging;
}

/** Other images of the layout may be of a kind that we refuse: that is no matter of the one that is asked for. */
function tryDecode(bytes: Uint8Array, entry: Descriptor): ManifestDocument | undefined {
  try {
    return decodeManifest(bytes, { declaredType: entry.mediaType, digest: entry.digest });
  } catch (failure) {
    if (failure instanceof FormatError) return undefined;
    throw failure;
  }
}
