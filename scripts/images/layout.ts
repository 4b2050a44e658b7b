/**
 * An OCI image layout that several builds share. A build stages its blobs aside and commits them with its tag in one
 * step: index.json is replaced by a rename, and blobs that only the replaced tag used are removed after it.
 */
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeFileDurable } from '../../src/adapters/files/durable.ts';
import { canonicalJson } from '../../src/core/canonical-json.ts';
import { type Digest, digestOf, hexOf } from '../../src/core/digest.ts';
import type { Descriptor } from '../../src/formats/oci/types.ts';
import { withLock } from './lock.ts';
import { withWorkFolder } from './work-folder.ts';

export const INDEX_MEDIA_TYPE = 'application/vnd.oci.image.index.v1+json';
export const MANIFEST_MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const REFERENCE_ANNOTATION = 'org.opencontainers.image.ref.name';

export interface StagedBlobs {
  /** Where files may be written before they are blobs; on the layout's file system. */
  readonly folder: string;
  /** Takes a file in `folder` as a blob. */
  take(path: string, digest: Digest): Promise<void>;
  /** A small document as a blob. */
  put(document: unknown): Promise<{ readonly digest: Digest; readonly size: number }>;
}

/** Calls `build` with a place for blobs, then makes `reference` name the descriptor that it returns. */
export async function updateLayout(
  layoutFolder: string,
  reference: string,
  build: (staged: StagedBlobs) => Promise<Descriptor>,
): Promise<Descriptor> {
  await mkdir(join(layoutFolder, 'blobs', 'sha256'), { recursive: true });
  return withWorkFolder(layoutFolder, async (folder) => {
    const taken = new Map<Digest, string>();
    const descriptor = await build({
      folder,
      async take(path, digest) {
        taken.set(digest, path);
      },
      async put(document) {
        const text = canonicalJson(document);
        const digest = digestOf(text);
        const path = join(folder, hexOf(digest));
        await writeFileDurable(path, text);
        taken.set(digest, path);
        return { digest, size: Buffer.byteLength(text) };
      },
    });
    await withLock(join(layoutFolder, '.lock'), async () => {
      for (const [digest, path] of taken) await rename(path, blobPath(layoutFolder, digest));
      await syncFolder(join(layoutFolder, 'blobs', 'sha256'));
      await commit(layoutFolder, reference, descriptor);
    });
    return descriptor;
  });
}

async function commit(layoutFolder: string, reference: string, descriptor: Descriptor): Promise<void> {
  const former = await readIndex(layoutFolder);
  const isReplaced = (item: Descriptor) => item.annotations?.[REFERENCE_ANNOTATION] === reference;
  const manifests = [
    ...former.filter((item) => !isReplaced(item)),
    { ...descriptor, annotations: { ...descriptor.annotations, [REFERENCE_ANNOTATION]: reference } },
  ].sort((a, b) =>
    (a.annotations?.[REFERENCE_ANNOTATION] ?? '') < (b.annotations?.[REFERENCE_ANNOTATION] ?? '') ? -1 : 1,
  );
  await writeFileDurable(join(layoutFolder, 'oci-layout'), canonicalJson({ imageLayoutVersion: '1.0.0' }));
  await writeFileDurable(
    join(layoutFolder, 'index.json'),
    canonicalJson({ schemaVersion: 2, mediaType: INDEX_MEDIA_TYPE, manifests }),
  );
  const kept = new Set<Digest>();
  for (const item of manifests) await collect(layoutFolder, item, kept);
  const dropped = new Set<Digest>();
  for (const item of former.filter(isReplaced)) await collect(layoutFolder, item, dropped);
  for (const digest of dropped) if (!kept.has(digest)) await rm(blobPath(layoutFolder, digest), { force: true });
}

async function readIndex(layoutFolder: string): Promise<Descriptor[]> {
  try {
    return (JSON.parse(await readFile(join(layoutFolder, 'index.json'), 'utf8')) as { manifests: Descriptor[] })
      .manifests;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
}

/** Adds the digests of everything that a descriptor of this layout reaches. */
async function collect(layoutFolder: string, descriptor: Descriptor, into: Set<Digest>): Promise<void> {
  if (into.has(descriptor.digest)) return;
  into.add(descriptor.digest);
  if (descriptor.mediaType !== INDEX_MEDIA_TYPE && descriptor.mediaType !== MANIFEST_MEDIA_TYPE) return;
  let document: { readonly manifests?: Descriptor[]; readonly layers?: Descriptor[]; readonly config?: Descriptor };
  try {
    document = JSON.parse(await readFile(blobPath(layoutFolder, descriptor.digest), 'utf8'));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw cause;
  }
  const children = [
    ...(document.manifests ?? []),
    ...(document.layers ?? []),
    ...(document.config ? [document.config] : []),
  ];
  for (const child of children) await collect(layoutFolder, child, into);
}

function blobPath(layoutFolder: string, digest: Digest): string {
  return join(layoutFolder, 'blobs', 'sha256', hexOf(digest));
}
