import type { SbomImage, SbomLayer, SbomPackage, SbomPlatform } from '../../formats/bundle/sbom-index.ts';
import { formatPlatform } from '../../formats/oci/platform.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { type LayerPackages, overlayLayers } from '../../formats/packages/layer-packages.ts';
import type { Distribution } from '../../formats/packages/os-release.ts';
import type { InstalledPackage } from '../../formats/packages/package.ts';
import { packageUrl } from '../../formats/packages/purl.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import type { AcquiredImage, ImageManifest } from '../../ports/images.ts';
import { AdapterError } from '../errors.ts';
import type { ScanCache } from './scan-cache.ts';
import { scanLayer, unreadableMediaType } from './scan-layer.ts';

const BASE_NAME = 'org.opencontainers.image.base.name';
const BASE_DIGEST = 'org.opencontainers.image.base.digest';

/**
 * The image's entry in the SBOM index: for each platform its layers, its base and what is installed. Layers that the cache
 * knows are not read again, so that only a layer's first scan costs time (it has to be decompressed once).
 * @throws AdapterError BLOB_MISSING, FILE_UNREADABLE; the signal's reason
 */
export async function scanImage(
  image: AcquiredImage,
  cache: ScanCache,
  options: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void } = {},
): Promise<SbomImage> {
  const blobs = new Map(image.blobs.map((blob) => [blob.digest, blob]));
  const platforms: SbomPlatform[] = [];
  for (const manifest of image.manifests) {
    const scanned: LayerPackages[] = [];
    for (const layer of manifest.layers) {
      const blob = blobs.get(layer.digest);
      if (blob === undefined) throw missing(layer, image.reference);
      scanned.push(await scanCached(blob, layer, cache, options));
    }
    platforms.push(describe(manifest, scanned));
  }
  const { digest, size, mediaType } = image.root;
  return {
    reference: image.reference,
    root: { digest, size, mediaType },
    platforms,
    attachments: image.attachments.map(({ subject, descriptor, artifactType }) => ({
      subject,
      digest: descriptor.digest,
      artifactType,
    })),
  };
}

async function scanCached(
  blob: LocalBlob,
  layer: Descriptor,
  cache: ScanCache,
  options: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void },
): Promise<LayerPackages> {
  options.signal?.throwIfAborted();
  // The cache knows layers by their bytes alone: what the media type decides stays out of it, in both directions.
  const cacheable = unreadableMediaType(layer.mediaType) === undefined;
  const known = cacheable ? await cache.find(layer.digest) : undefined;
  const scanned = known ?? (await scanLayer(blob, layer.mediaType, options));
  if (cacheable && known === undefined) await cache.store(layer.digest, scanned);
  options.onBytes?.(blob.sizeBytes);
  return scanned;
}

function describe(manifest: ImageManifest, scanned: readonly LayerPackages[]): SbomPlatform {
  const { distribution, packages } = overlayLayers(scanned);
  const base = {
    ...(manifest.annotations[BASE_NAME] ? { name: manifest.annotations[BASE_NAME] } : {}),
    ...(manifest.annotations[BASE_DIGEST] ? { digest: manifest.annotations[BASE_DIGEST] } : {}),
  };
  return {
    platform: formatPlatform(manifest.platform),
    manifest: manifest.descriptor.digest,
    layers: manifest.layers.map((layer, index) => layerEntry(layer, scanned[index])),
    ...(Object.keys(base).length === 0 ? {} : { base }),
    ...(distribution === undefined ? {} : { distribution }),
    packages: packages.map((found) => packageEntry(found, distribution)),
  };
}

function layerEntry(layer: Descriptor, scanned: LayerPackages | undefined): SbomLayer {
  const { digest, size, mediaType } = layer;
  return { digest, size, mediaType, packages: scanned?.status ?? 'not-read', reasons: [...(scanned?.reasons ?? [])] };
}

function packageEntry(found: InstalledPackage, distribution: Distribution | undefined): SbomPackage {
  return { ...found, purl: packageUrl(found, distribution) };
}

function missing(layer: Descriptor, reference: string): AdapterError {
  return new AdapterError('BLOB_MISSING', `a layer of ${reference} is not there`, { at: { digest: layer.digest } });
}
