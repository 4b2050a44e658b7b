const GATHER_BYTES = 1024 * 1024;

/**
 * Small parts made large ones: a system call for each would cost more than the copy. Large parts pass as they are. An empty
 * part is not passed on: it says that what came so far must not wait for more.
 */
export async function* gathered(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const part of parts) {
    if (part.length > 0) waiting.push(part);
    waitingBytes += part.length;
    if (waitingBytes === 0 || (waitingBytes < GATHER_BYTES && part.length > 0)) continue;
    yield waiting.length === 1 ? part : Buffer.concat(waiting, waitingBytes);
    waiting = [];
    waitingBytes = 0;
  }
  if (waitingBytes > 0) yield Buffer.concat(waiting, waitingBytes);
}
