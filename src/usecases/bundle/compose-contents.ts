import type { Digest } from '../../core/digest.ts';
import type { BlobRole, Contents } from '../../formats/bundle/contents.ts';
import type { BundleLock } from '../../formats/bundle/lock-types.ts';
import { CONTENTS_MEDIA_TYPE } from '../../formats/bundle/media-types.ts';
import { isIndexType } from '../../formats/oci/manifest.ts';
import { formatPlatform } from '../../formats/oci/platform.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import type { AcquiredImage } from '../../ports/images.ts';
import { migratingImages } from './lock-image-uses.ts';

export interface ComposedContents {
  readonly contents: Contents;
  /** Where the bytes of each blob lie. */
  readonly sources: ReadonlyMap<Digest, LocalBlob>;
}

/** Blobs of these roles are text that people edit: they lie first in the shared pieces, apart from what seldom changes. */
const RANKS: Readonly<Partial<Record<BlobRole, number>>> = { 'image-layer': 2, file: 1, 'image-attachment': 1 };

/** The rank of a blob in the packing: the highest of its roles. */
export function rankOf(roles: readonly BlobRole[]): number {
  return Math.max(...roles.map((role) => RANKS[role] ?? 0));
}

/** Puts contents.json together from a lock, the images and the SBOM index. Deterministic; looks at no file. */
export function composeContents(
  lock: BundleLock,
  images: readonly AcquiredImage[],
  blobs: ReadonlyMap<Digest, LocalBlob>,
  sbomIndex: LocalBlob,
  signers: readonly string[],
): ComposedContents {
  const roles = new Map<Digest, Set<BlobRole>>();
  const sources = new Map<Digest, LocalBlob>();
  const add = (digest: Digest, role: BlobRole, from: LocalBlob | undefined = blobs.get(digest)): Digest => {
    if (from === undefined) throw new Error(`no bytes for ${role} ${digest}`);
    sources.set(digest, from);
    roles.set(digest, (roles.get(digest) ?? new Set()).add(role));
    return digest;
  };

  const contents: Omit<Contents, 'blobs'> = {
    mediaType: CONTENTS_MEDIA_TYPE,
    name: lock.name,
    version: lock.version,
    sequence: lock.sequence,
    audience: [...lock.audience],
    platforms: [...lock.platforms],
    ...(lock.provider === undefined ? {} : { provider: lock.provider }),
    features: { ...lock.features },
    signers: [...signers].sort(),
    charts: lock.charts.map(({ name, release, namespace, stage, version, digest, values, imageValues }) => ({
      name,
      release,
      namespace,
      stage,
      version,
      digest: add(digest, 'chart'),
      values: add(values.digest, 'values'),
      ...(imageValues === undefined ? {} : { imageValues: imageValues.map((value) => ({ ...value })) }),
    })),
    images: images.map((image) => {
      const manifests = new Set<Digest>(image.manifests.map(({ descriptor }) => descriptor.digest));
      const configs = new Set<Digest>(image.manifests.map(({ config }) => config.digest));
      const layers = new Set<Digest>(
        image.manifests.flatMap((manifest) => manifest.layers.map(({ digest }) => digest)),
      );
      const indexes = new Set(
        image.blobs.filter(({ mediaType }) => isIndexType(mediaType)).map(({ digest }) => digest),
      );
      const roleOf = (digest: Digest): BlobRole => {
        if (manifests.has(digest)) return 'image-manifest';
        // An index may name further ones.
        if (digest === image.root.digest || indexes.has(digest)) return 'image-index';
        if (layers.has(digest)) return 'image-layer';
        return configs.has(digest) ? 'image-config' : 'image-attachment';
      };
      return {
        reference: image.reference,
        digest: image.root.digest,
        mediaType: image.root.mediaType,
        platforms: image.manifests.map(({ platform }) => formatPlatform(platform)).sort(),
        attachments: [...new Set(image.attachments.map(({ descriptor }) => descriptor.digest))].sort(),
        blobs: image.blobs.map((blob) => add(blob.digest, roleOf(blob.digest), blob)).sort(),
      };
    }),
    modules: lock.modules.map(({ name, requires, files }) => ({
      name,
      requires: [...requires],
      files: files.map((file) => ({ name: file.name, digest: add(file.digest, 'migration') })),
    })),
    configuration: lock.configuration.map(({ path, kind, provider, digest }) => ({
      path,
      kind,
      ...(provider === undefined ? {} : { provider }),
      digest: add(digest, 'configuration'),
    })),
    files: lock.files.map(({ path, mode, digest }) => ({ path, mode, digest: add(digest, 'file') })),
    ...(lock.database === undefined
      ? {}
      : { database: { ...lock.database, image: migratingImage(lock.database, images) } }),
    ...(lock.receipt === undefined ? {} : { receipt: { recipients: [...lock.receipt.recipients] } }),
    sbomIndex: add(sbomIndex.digest, 'sbom-index', sbomIndex),
  };
  const listed = [...roles]
    .map(([digest, of]) => ({ digest, sizeBytes: sources.get(digest)?.sizeBytes ?? 0, roles: [...of].sort() }))
    .sort((a, b) => (a.digest < b.digest ? -1 : 1));
  return { contents: { ...contents, blobs: listed }, sources };
}

function migratingImage(database: NonNullable<BundleLock['database']>, images: readonly AcquiredImage[]): string {
  const references = images.map(({ reference }) => reference);
  const image = database.image ?? migratingImages(references)[0];
  // The lock was checked for it.
  if (image === undefined) throw new Error('no image migrates the database');
  return image;
}
