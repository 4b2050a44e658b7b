import type { Digest } from '../core/digest.ts';
import type { Descriptor, Platform } from '../formats/oci/types.ts';
import type { LocalBlob } from './blobs.ts';

/** One platform's manifest of an image. */
export interface ImageManifest {
  readonly descriptor: Descriptor;
  readonly platform: Platform;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  /** `org.opencontainers.image.base.name` and `.digest`, where the manifest carries them. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** An SBOM, signature or attestation that hangs on an image: a referrer, a cosign tag, or an attestation manifest of BuildKit. */
export interface ImageAttachment {
  readonly subject: Digest;
  readonly descriptor: Descriptor;
  readonly artifactType: string;
}

/** An image with every blob that a bundle carries for it, all of them present locally. */
export interface AcquiredImage {
  /** As charts write it, normalised: `registry.example/cms/web:1.4.0`. */
  readonly reference: string;
  /** The index or manifest that the reference resolved to, byte for byte. */
  readonly root: Descriptor;
  readonly manifests: readonly ImageManifest[];
  readonly attachments: readonly ImageAttachment[];
  /** root, manifests, configs, layers, attachments with their blobs; sorted by digest, no duplicates. */
  readonly blobs: readonly (LocalBlob & { readonly mediaType: string })[];
}

export interface AcquireRequest {
  readonly reference: string;
  /** Fetch exactly this; the tag is not asked for. With every blob in the store no network is used. */
  readonly pinned?: { readonly digest: Digest; readonly attachments: readonly Digest[] };
  /** Such as `linux/amd64`. An index is filtered by these; its own bytes stay as they are. */
  readonly platforms: readonly string[];
}

/** Where images come from: registries, OCI layouts. Asked in order; `undefined` means "not mine, ask the next". */
export interface ImageSource {
  acquire(
    request: AcquireRequest,
    options?: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void },
  ): Promise<AcquiredImage | undefined>;
}
