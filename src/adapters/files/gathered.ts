const GATHER_BYTES = 1024 * 1024;

/**
 * Small parts made large ones: a system call for each would cost more than the copy. Large parts pass as they are. An empty
 * part is not passed on: it says that what came so far must not wait for more. A part that is kept is copied: whoever gave
 * it may use its memory again once asked for the next.
 */
export async function* gathered(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const part of parts) {
    waitingBytes += part.length;
    if (part.length > 0 && waitingBytes < GATHER_BYTES) {
      // Not `slice`, which of a Buffer is no copy.
      waiting.push(new Uint8Array(part));
      continue;
    }
    if (waitingBytes === 0) continue;
    yield waiting.length === 0 ? part : Buffer.concat([...waiting, part], waitingBytes);
    waiting = [];
    waitingBytes = 0;
  }
  if (waitingBytes > 0) yield Buffer.concat(waiting, waitingBytes);
}
