/** Bytes as they come, in memory or from a stream. */
export type ByteSource = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** No line that we look at comes near; longer ones are cut, so that a file without line breaks needs no memory. */
const MAX_LINE_BYTES = 16 * 1024;
const LINE_FEED = 0x0a;

/** The lines of a text in UTF-8, without their ends. What is not UTF-8 becomes U+FFFD; a line beyond 16 KiB is cut there. */
export async function* readLines(source: ByteSource): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const keep = (bytes: Uint8Array) => {
    const part = bytes.subarray(0, MAX_LINE_BYTES - pendingBytes);
    if (part.length === 0) return;
    // A copy: the source may write over its buffer.
    pending.push(part.slice());
    pendingBytes += part.length;
  };
  const takeLine = () => {
    const line = decoder.decode(pending.length === 1 ? pending[0] : Buffer.concat(pending));
    pending = [];
    pendingBytes = 0;
    return line.endsWith('\r') ? line.slice(0, -1) : line;
  };
  for await (const chunk of source instanceof Uint8Array ? [source] : source) {
    let from = 0;
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      keep(chunk.subarray(from, at));
      yield takeLine();
      from = at + 1;
    }
    keep(chunk.subarray(from));
  }
  if (pendingBytes > 0) yield takeLine();
}
