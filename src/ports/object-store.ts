import type { Digest } from '../core/digest.ts';

/** What a listing says of an object. */
export interface ObjectEntry {
  /** Segments of `[A-Za-z0-9._-]+` joined by `/`, at most 512 bytes; none starts with a dot, such names are the stores' own. */
  readonly key: string;
  readonly sizeBytes: number;
  /** When it was created, by the storage's clock. */
  readonly modified: Date;
}

/**
 * Immutable objects under keys: a folder, a bucket, memory. Nothing is overwritten: an object appears whole under its key
 * or not at all. One suite (test/support/object-store-suite.ts) holds for every store.
 *
 * All methods reject with AdapterError STORE_UNREACHABLE, STORE_UNTRUSTED, STORE_TIMEOUT, STORE_DENIED, STORE_MISSING (no such
 * bucket), STORE_CREDENTIALS_MISSING, STORE_FULL, STORE_BUSY, STORE_FAILED, OBJECT_KEY_INVALID for what is no key, and with
 * `signal.reason` after an abort. Of a folder that is not there, all reading methods say that it holds nothing.
 */
export interface ObjectStore {
  /** For messages, without secrets: a path, or `s3://bucket/prefix at host:9000`. */
  readonly place: string;
  /**
   * Creates an object; `exists` when the key is taken, whatever lies there: nothing is changed then. Durable once resolved. Where
   * versions are kept, a key may stay taken after its object was removed.
   */
  put(key: string, bytes: Uint8Array, options?: StoreOptions): Promise<'created' | 'exists'>;
  /**
   * The whole object. With `expected`, the version with that digest, where the storage keeps several: also one that an overwrite
   * or a removal hid.
   *
   * @throws AdapterError OBJECT_MISSING; OBJECT_TOO_LARGE beyond `maxBytes`; OBJECT_DAMAGED when no version has the digest
   */
  get(key: string, options: GetOptions): Promise<Uint8Array>;
  /**
   * `lengthBytes` bytes from an offset, into `into` from its start where it is given. Of which version, `version` says, else the
   * newest. Of no bytes, nothing is asked.
   *
   * @throws AdapterError OBJECT_MISSING; OBJECT_DAMAGED when it ends before
   */
  getRange(key: string, range: ByteRange, options?: RangeOptions): Promise<Uint8Array>;
  /** `undefined` when there is none. */
  stat(key: string, options?: StoreOptions): Promise<ObjectEntry | undefined>;
  /** All objects whose keys start with `prefix` (whole segments, ending in `/`, or empty), ordered by key in bytes. Newest versions. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectEntry>;
  /** Every version of an object, newest first, where the storage keeps versions; else the one. For reading what an overwrite hid. */
  versions(key: string, options?: StoreOptions): Promise<readonly ObjectVersion[]>;
  /** Removes objects (on a versioned bucket: their newest view). Those that are not there are no error. */
  remove(keys: readonly string[], options?: StoreOptions): Promise<void>;
  /** The storage's clock. */
  now(options?: StoreOptions): Promise<Date>;
  /** Ends connections. */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly signal?: AbortSignal;
}

export interface ListOptions extends StoreOptions {
  /** Only keys after this one. */
  readonly after?: string;
}

export interface GetOptions extends StoreOptions {
  readonly maxBytes: number;
  readonly expected?: { readonly digest: Digest; readonly sizeBytes: number };
}

export interface RangeOptions extends StoreOptions {
  /** Of `versions`. */
  readonly version?: string;
  readonly into?: Uint8Array;
}

export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface ObjectVersion extends ObjectEntry {
  readonly version: string;
}
