import type { Digest } from '../core/digest.ts';
import type { PortolanError } from '../core/errors.ts';
import type { ImageRole } from '../formats/bundle/contents.ts';

/** Where the images of a bundle go: containerd, k3s' images folder, a registry, a folder. */
export interface ImageTarget {
  /** As a person writes it behind `--images`: `containerd`, `k3s-images`, `registry=HOST/PATH`, `folder=DIR`. */
  readonly name: string;
  /**
   * True when the target itself refuses a blob that is not what its digest says, before any name can lead to it.
   * Where it is false, the caller hashes each blob on its way, and a wrong one ends the stream with an error.
   */
  readonly checksDigests: boolean;
  /** The only platform that this target has a use for, such as `linux/arm64`; any where it is absent. */
  readonly platform?: string;
  /** Whether the target can be reached and written to; every problem at once. Changes nothing. */
  check(options?: CheckOptions): Promise<readonly PortolanError[]>;
  /** What is there already. Looks at the live target, never at what was noted down before. */
  survey(images: readonly TargetImage[], options?: TargetOptions): Promise<TargetSurvey>;
  /** Free and needed space, for each file system that would be written to. Empty where it cannot be known (a registry). */
  space(missingBytes: number, unpackedBytes: number): Promise<readonly SpaceNeed[]>;
  /**
   * Takes the missing blobs, in whatever order they come, and gives the images their names. Each blob's bytes must be read
   * to their end before the next one is asked for. Nothing is named before everything it names is there; a run that is
   * killed leaves at most blobs that the next run uses or the target clears by itself.
   *
   * @throws AdapterError TARGET_INCOMPLETE when a blob that an image needs is neither there nor sent (it may have gone since
   *   the survey: survey again, write again, once)
   */
  write(images: readonly TargetImage[], blobs: AsyncIterable<BlobStream>, options?: TargetOptions): Promise<void>;
  /** Takes the names (and pins) of images away; what nothing else needs goes with them. Returns what was removed. */
  remove(
    images: readonly { readonly reference: string; readonly digest: Digest }[],
    options?: TargetOptions,
  ): Promise<readonly string[]>;
}

export interface TargetOptions {
  readonly signal?: AbortSignal;
}

export interface CheckOptions extends TargetOptions {
  /** What is going to be written: in a registry rights depend on names. */
  readonly images?: readonly { readonly reference: string }[];
}

export interface TargetImage {
  /** Normalised, as charts write it: `registry.example/cms/web:1.4.0`. */
  readonly reference: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** Those that the bundle carries, such as `linux/amd64`. An index may name others, whose blobs are not there. */
  readonly platforms: readonly string[];
  /** Every blob that the bundle carries for it, root and attachments included. */
  readonly blobs: readonly TargetBlob[];
  /** Manifests of SBOMs, signatures, attestations: part of `blobs`. */
  readonly attachments: readonly Digest[];
}

export interface TargetBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly role: ImageRole;
}

export interface BlobStream extends TargetBlob {
  /** Parts of any size, end to end. A part is good until the next one is asked for: its memory then serves again. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface TargetSurvey {
  /** Blobs that are there, whole. */
  readonly blobs: ReadonlySet<Digest>;
  /** References that lead to the right digest, are complete and (where the target has that) pinned. */
  readonly images: ReadonlySet<string>;
  /** Blobs that this target has no use for (a container engine and the attachments of an image): they need not be sent. */
  readonly unwanted?: ReadonlySet<Digest>;
}

export interface SpaceNeed {
  /** A folder on the file system. */
  readonly path: string;
  readonly freeBytes: number;
  readonly neededBytes: number;
}
