import type { Digest } from '../../core/digest.ts';
import type { BundleLock } from '../../formats/bundle/lock-types.ts';
import type { BlobStore, LocalBlob } from '../../ports/blobs.ts';
import type { ChartRenderer } from '../../ports/charts.ts';
import type { AcquiredImage, ImageSource } from '../../ports/images.ts';
import type { Progress } from '../../ports/progress.ts';
import type { ProjectFiles } from '../../ports/project-files.ts';

/** What a person chose on the command line. */
export interface Selection {
  /** `--feature NAME=on|off`. Features that are not named take their default. */
  readonly features?: Readonly<Record<string, boolean>>;
  /** `--provider NAME`. */
  readonly provider?: string;
  /** `--values FILE`, absolute paths; merged last. */
  readonly valuesFiles?: readonly string[];
  /** `--platform linux/amd64`; replaces those of bundle.yaml when there is one. */
  readonly platforms?: readonly string[];
}

/** Where bundle.yaml says that images come from. Paths are absolute. */
export interface ImageSourceSettings {
  readonly layouts: readonly string[];
  readonly registries: ReadonlyMap<string, { readonly plainHttp: boolean; readonly caFile?: string }>;
}

export interface LockDependencies {
  readonly files: ProjectFiles;
  readonly store: BlobStore;
  readonly renderer: ChartRenderer;
  /** Layouts first, then registries. */
  readonly imageSource: (settings: ImageSourceSettings) => ImageSource;
  readonly progress: Progress;
}

export interface LockOptions {
  readonly signal?: AbortSignal;
}

/** Everything that a bundle is made of, each blob in a local file. */
export interface PreparedBundle {
  readonly lock: BundleLock;
  readonly images: readonly AcquiredImage[];
  /** Charts, values, migrations, configuration, files, and the blobs of images. */
  readonly blobs: ReadonlyMap<Digest, LocalBlob>;
}
