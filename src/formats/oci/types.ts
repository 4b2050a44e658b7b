import type { Digest } from '../../core/digest.ts';

/** OCI image specification v1.1, "OCI Content Descriptors". */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** In bytes. The specification's own name. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
  readonly platform?: Platform;
}

/** OCI image index, "platform" property. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}
