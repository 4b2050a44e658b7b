import type { KeyPath } from './definition-yaml.ts';

/** A map of values, as helm takes it. */
export type Values = Readonly<Record<string, unknown>>;

/** `features.shop` (wanted: true) or `!features.shop` (wanted: false). */
export interface Condition {
  readonly feature: string;
  readonly wanted: boolean;
}

/** Where an entry stands in bundle.yaml, and when it is carried. */
interface Entry {
  readonly key: KeyPath;
  readonly when?: Condition;
}

export interface FeatureDefinition {
  readonly default: boolean;
  readonly on: Values;
  readonly off: Values;
}

/** A values file by its path, or values written in bundle.yaml itself. */
export type ValuesLayer = { readonly file: string; readonly key: KeyPath } | { readonly inline: Values };

/** What of a reference a chart keeps in one value. */
export type ImagePart = 'reference' | 'registry' | 'repository' | 'tag' | 'digest';

/** A value of a chart that names an image, so that import can point it to another registry. */
export interface ImageValue {
  /** See value-path.ts. */
  readonly path: string;
  /** A reference of the bundle, normalised. */
  readonly image: string;
  readonly part: ImagePart;
}

/** How the Pod that migrates reaches the database, inside the cluster. */
export interface DatabaseDefinition {
  readonly namespace: string;
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly user: string;
  /** A Secret of the namespace, and its key. */
  readonly password: { readonly secret: string; readonly key: string };
  readonly sslMode: SslMode;
  /** The image that migrates, normalised. Default: the one image whose repository ends in `/portolan`. */
  readonly image?: string;
}

/** As libpq's `sslmode` names them. */
export const SSL_MODES = ['disable', 'prefer', 'require', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

export interface ChartDefinition extends Entry {
  readonly name: string;
  readonly path: string;
  readonly release: string;
  readonly namespace: string;
  readonly stage: 'data' | 'app';
  readonly values: readonly ValuesLayer[];
  readonly parts: readonly { readonly path: string; readonly when: Condition; readonly key: KeyPath }[];
  readonly imageValues: readonly (ImageValue & Entry)[];
}

export interface ImageDefinition extends Entry {
  readonly reference: string;
}

/** Where image references stand in a custom resource. */
export interface ImagePath {
  readonly kind: string;
  readonly apiVersion?: string;
  /** Keys joined by dots, lists as `[]`. */
  readonly path: string;
}

export interface RegistryDefinition {
  readonly plainHttp: boolean;
  readonly caFile?: string;
}

export interface ModuleDefinition extends Entry {
  readonly name: string;
  readonly path: string;
  readonly requires: readonly string[];
}

export interface ConfigurationDefinition extends Entry {
  readonly source: string;
  /** Path inside the bundle. */
  readonly path: string;
}

export interface FileDefinition extends Entry {
  readonly path: string;
  readonly source: string;
  /** Unix permission bits. */
  readonly mode: number;
}

/** bundle.yaml, checked. All paths are relative to its folder. */
export interface Definition {
  readonly name: string;
  readonly version: string;
  readonly sequence: number;
  readonly audience: readonly string[];
  readonly platforms: readonly string[];
  readonly pieceSizeBytes: number;
  readonly signers: readonly { readonly path: string; readonly key: KeyPath }[];
  readonly provider?: string;
  readonly providers: ReadonlyMap<
    string,
    { readonly values: readonly { readonly file: string; readonly key: KeyPath }[] }
  >;
  readonly kubernetes: { readonly version?: string; readonly apiVersions: readonly string[] };
  readonly features: ReadonlyMap<string, FeatureDefinition>;
  readonly charts: readonly ChartDefinition[];
  readonly images: {
    readonly list: readonly ImageDefinition[];
    readonly layouts: readonly string[];
    readonly paths: readonly ImagePath[];
    readonly allowFloating: boolean;
  };
  readonly registries: ReadonlyMap<string, RegistryDefinition>;
  readonly modules: readonly ModuleDefinition[];
  readonly database?: DatabaseDefinition;
  readonly configuration: readonly ConfigurationDefinition[];
  readonly files: readonly FileDefinition[];
  readonly receipt: { readonly recipients: readonly string[] };
}
