import { createHash } from 'node:crypto';
import { type Digest, digestFromHex } from '../../core/digest.ts';
import type { ObjectStore, StoreOptions } from '../../ports/object-store.ts';
import { isCode } from './objects.ts';

const PIECE_BYTES = 4 * 1024 * 1024;

export interface DigestRequest {
  readonly key: string;
  readonly sizeBytes: number;
  readonly digest: Digest;
}

/**
 * Reads an object in pieces, in constant memory: `good`, `missing`, `damaged`, or the version that is good where the storage
 * keeps versions and the newest is another.
 */
export async function checkDigest(
  store: ObjectStore,
  { key, sizeBytes, digest }: DigestRequest,
  options: StoreOptions & { readonly onBytes?: (bytes: number) => void } = {},
): Promise<'good' | 'missing' | 'damaged' | { readonly goodVersion: string }> {
  const { onBytes, ...storeOptions } = options;
  const read = async (version: string | undefined) => {
    const hash = createHash('sha256');
    const into = new Uint8Array(Math.min(PIECE_BYTES, Math.max(1, sizeBytes)));
    for (let offsetBytes = 0; offsetBytes < sizeBytes; offsetBytes += PIECE_BYTES) {
      const lengthBytes = Math.min(PIECE_BYTES, sizeBytes - offsetBytes);
      const range = { ...storeOptions, into, ...(version === undefined ? {} : { version }) };
      const bytes = await store.getRange(key, { offsetBytes, lengthBytes }, range);
      hash.update(bytes.subarray(0, lengthBytes));
      onBytes?.(lengthBytes);
    }
    return digestFromHex(hash.digest('hex')) === digest;
  };
  let isMissing = false;
  try {
    if (await read(undefined)) return 'good';
  } catch (error) {
    if (!isCode(error, 'OBJECT_MISSING', 'OBJECT_DAMAGED')) throw error;
    isMissing = error.code === 'OBJECT_MISSING';
  }
  for (const found of await versionsOf(store, key, storeOptions)) {
    if (found.sizeBytes !== sizeBytes) continue;
    const isGood = await read(found.version).catch((error) => {
      if (isCode(error, 'OBJECT_MISSING', 'OBJECT_DAMAGED')) return false;
      throw error;
    });
    if (isGood) return { goodVersion: found.version };
  }
  return isMissing ? 'missing' : 'damaged';
}

async function versionsOf(store: ObjectStore, key: string, options: StoreOptions) {
  try {
    const versions = await store.versions(key, options);
    // The only version was just read.
    return versions.length > 1 ? versions : [];
  } catch (error) {
    if (isCode(error, 'OBJECT_MISSING')) return [];
    throw error;
  }
}
