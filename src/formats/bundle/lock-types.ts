import type { Digest } from '../../core/digest.ts';
import type { DatabaseDefinition, ImageValue } from './definition-types.ts';

/** bundle.lock.json, media type application/vnd.portolan.bundle.lock.v1+json. Every reference of bundle.yaml, by digest. */
export interface BundleLock {
  readonly mediaType: 'application/vnd.portolan.bundle.lock.v1+json';
  readonly name: string;
  /** SemVer 2. */
  readonly version: string;
  /** Grows with each release; import refuses one below the highest applied. */
  readonly sequence: number;
  /** Names of the targets that the bundle is meant for. */
  readonly audience: readonly string[];
  /** Such as `linux/amd64`. */
  readonly platforms: readonly string[];
  /** The provider that was chosen; absent while the bundle is for any. */
  readonly provider?: string;
  /** Files of `--values`, relative to the folder of bundle.yaml. Absent when there are none. */
  readonly valuesFiles?: readonly string[];
  readonly features: Readonly<Record<string, boolean>>;
  /** Key hints (base64 of SHA-256 of the SPKI in DER) of the publishers that may sign. Empty: whoever signs at build. */
  readonly signers: readonly string[];
  readonly pieceSizeBytes: number;
  readonly charts: readonly LockedChart[];
  readonly images: readonly LockedImage[];
  readonly modules: readonly LockedModule[];
  readonly configuration: readonly LockedConfiguration[];
  readonly files: readonly LockedFile[];
  /** Absent unless there are modules. */
  readonly database?: DatabaseDefinition;
  /** Absent when receipts are not sealed. */
  readonly receipt?: { readonly recipients: readonly string[] };
}

interface Pinned {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** The chart as one reproducible .tgz, and its merged values as canonical JSON. */
export interface LockedChart extends Pinned {
  readonly name: string;
  readonly release: string;
  readonly namespace: string;
  readonly stage: 'data' | 'app';
  /** From Chart.yaml. */
  readonly version: string;
  /** Path in bundle.yaml. */
  readonly source: string;
  readonly values: Pinned;
  /** Absent when there are none. */
  readonly imageValues?: readonly ImageValue[];
}

export interface LockedImage {
  /** As charts write it, normalised. */
  readonly reference: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly platforms: readonly string[];
  /** Digests of attachments' manifests. */
  readonly attachments: readonly Digest[];
  /** Where it was found. `list` for the explicit list of bundle.yaml. */
  readonly found: readonly ({ readonly chart: string; readonly template: string; readonly path: string } | 'list')[];
}

export interface LockedModule {
  readonly name: string;
  /** Path in bundle.yaml. */
  readonly source: string;
  readonly requires: readonly string[];
  /** In numeric order. `name` is the file's name. */
  readonly files: readonly ({ readonly name: string } & Pinned)[];
}

export interface LockedConfiguration extends Pinned {
  /** Path inside the bundle. */
  readonly path: string;
  /** Path in bundle.yaml. */
  readonly source: string;
  readonly kind: 'json' | 'values';
  readonly provider?: string;
}

export interface LockedFile extends Pinned {
  /** Path inside the bundle. */
  readonly path: string;
  /** Path in bundle.yaml. */
  readonly source: string;
  /** Unix permission bits, such as 0o755. */
  readonly mode: number;
}
