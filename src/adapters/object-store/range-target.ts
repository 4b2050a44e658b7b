import type { ByteRange } from '../../ports/object-store.ts';

/** Where the bytes of a range go: the caller's memory, where there is one. */
export function rangeTarget({ offsetBytes, lengthBytes }: ByteRange, into: Uint8Array | undefined): Uint8Array {
  const isSound = Number.isSafeInteger(offsetBytes) && offsetBytes >= 0 && Number.isSafeInteger(lengthBytes);
  if (!isSound || lengthBytes < 0 || (into !== undefined && into.length < lengthBytes)) {
    throw new RangeError('a range of bytes that does not fit where it is to be read to');
  }
  return into === undefined ? new Uint8Array(lengthBytes) : into.subarray(0, lengthBytes);
}
