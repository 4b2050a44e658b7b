import type { Digest } from '../core/digest.ts';

/** Bytes known by their digest that lie in a local file, so that a worker can read them at any offset. */
export interface LocalBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Absolute path. The file holds exactly `sizeBytes` bytes. */
  readonly path: string;
}

/**
 * A store of immutable blobs by digest. `commit`-style writes only: what is in the store was hashed on its way in,
 * written under a temporary name, synced and renamed.
 */
export interface BlobStore {
  /** The blob, if it is present with the right size; `undefined` otherwise. Does not read the content. */
  find(digest: Digest, sizeBytes?: number): Promise<LocalBlob | undefined>;
  /** Writes a small blob and returns it. */
  putBytes(bytes: Uint8Array): Promise<LocalBlob>;
  /**
   * Writes a stream and returns it. Rejects when digest or size are not `expected`; nothing is left under the final name.
   * `openFrom(offset)` is called again with a larger offset after a partial read, so that a transfer can resume.
   */
  putStream(
    expected: { readonly digest: Digest; readonly sizeBytes: number },
    openFrom: (offsetBytes: number, signal?: AbortSignal) => Promise<AsyncIterable<Uint8Array>>,
    options?: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void },
  ): Promise<LocalBlob>;
}
