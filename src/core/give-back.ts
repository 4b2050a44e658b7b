/**
 * Frees memory at once that nobody looks at any more: left to the garbage collector, large buffers cost a multiple of what is in use.
 * Only where the bytes are all of their memory: the rest of it may be somebody else's.
 */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && byteLength > 0) buffer.transfer(0);
}
