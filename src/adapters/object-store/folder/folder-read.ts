import { digestOf } from '../../../core/digest.ts';
import type { GetOptions, StoreOptions } from '../../../ports/object-store.ts';
import { AdapterError } from '../../errors.ts';
import { openPlain, statPlain } from '../../files/plain-file.ts';
import { objectMissing, objectReplaced, objectShort, objectTooLarge } from '../store-errors.ts';
import { notPlain } from './folder-errors.ts';
import { isMissing } from './folder-tree.ts';

const SLICE_BYTES = 4 << 20;

export async function readWhole(place: string, key: string, path: string, options: GetOptions): Promise<Uint8Array> {
  const { expected, maxBytes } = options;
  const facts = await statPlain(path);
  if (facts === undefined || facts.isDirectory()) throw objectMissing(place, key);
  const sizeBytes = facts.size;
  if (expected !== undefined && sizeBytes !== expected.sizeBytes) {
    throw objectReplaced(place, key, { expected: expected.digest, found: undefined });
  }
  if (sizeBytes > maxBytes) throw objectTooLarge(place, key, maxBytes, sizeBytes);
  const bytes = new Uint8Array(sizeBytes);
  const read = await readInto(place, key, path, bytes, 0, options);
  if (read < sizeBytes) throw objectShort(place, key, sizeBytes, read);
  if (expected !== undefined) {
    const found = digestOf(bytes);
    if (found !== expected.digest) throw objectReplaced(place, key, { expected: expected.digest, found });
  }
  return bytes;
}

/** @returns how many bytes there were, at most `into.length` */
export async function readInto(
  place: string,
  key: string,
  path: string,
  into: Uint8Array,
  offsetBytes: number,
  { signal }: StoreOptions,
): Promise<number> {
  const opened = await openPlain(path).catch(async (cause) => {
    if (isMissing(cause)) throw objectMissing(place, key, cause);
    if (!(cause instanceof AdapterError)) throw cause;
    throw (await statPlain(path))?.isDirectory() ? objectMissing(place, key) : notPlain(path);
  });
  await using file = opened.file;
  let filled = 0;
  while (filled < into.length) {
    signal?.throwIfAborted();
    const length = Math.min(SLICE_BYTES, into.length - filled);
    const { bytesRead } = await file.read(into, filled, length, offsetBytes + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
