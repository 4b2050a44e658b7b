/** What the credentials at hand may do with a bucket, found by trying it in ways that change nothing. */
export interface StorageRights {
  /** For messages. */
  readonly place: string;
  /** Of the repository in the bucket; empty for the whole of it. */
  readonly prefix: string;
  /**
   * Tries one thing. Rejects with what `ObjectStore` rejects with when the storage cannot be asked at all.
   */
  attempt(trial: StorageTrial, options?: RightsOptions): Promise<Verdict>;
  /** Puts an object over whatever lies there. Only for names that mean nothing. */
  overwrite(key: string, bytes: Uint8Array, options?: RightsOptions): Promise<void>;
  /** What the storage says of the bucket; `undefined` where it does not say it to these credentials. */
  bucketSettings(options?: RightsOptions): Promise<BucketSettings>;
}

export interface RightsOptions {
  readonly signal?: AbortSignal;
}

/** Keys are below the repository's prefix; those of `outside` are below nothing. */
export type StorageTrial =
  | { readonly action: 'list' | 'list versions'; readonly place: 'prefix' | 'bucket' }
  /** `get version`, `delete version`, `set legal hold`: of a version that does not exist. */
  | { readonly action: ObjectAction; readonly key: string; readonly outside?: boolean }
  /** In earnest, of a version that means nothing: it is locked until then. */
  | { readonly action: 'set retention'; readonly key: string; readonly version: string; readonly until: Date }
  /** With a document that no storage takes. */
  | { readonly action: BucketAction };

export type ObjectAction =
  | 'get'
  | 'get version'
  /** Bytes that do not fit their checksum, where nothing lies: never stored. */
  | 'put'
  | 'delete'
  | 'delete version'
  | 'set legal hold';

export type BucketAction = 'set versioning' | 'set object lock' | 'set life cycle' | 'set bucket policy';

export interface Verdict {
  readonly may: 'allowed' | 'refused' | 'unclear';
  /** The storage's own word, such as `AccessDenied`. */
  readonly said: string;
}

export interface BucketSettings {
  readonly versioning: 'enabled' | 'suspended' | 'off' | undefined;
  /** `off`: no lock by default. */
  readonly lock: DefaultLock | 'off' | undefined;
}

export interface DefaultLock {
  readonly mode: string;
  readonly days: number;
}
