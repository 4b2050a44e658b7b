/**
 * Splits a zstd file at the ends of its frames (RFC 8878, section 3.1), so that no chunk holds parts of two: when a chunk
 * goes on after the end of a frame, the decompressor of Node.js drops the rest and ends in silence. Files of many frames
 * are usual: zstd:chunked layers, and what parallel compressors write.
 *
 *   frame:      magic (4) | header, 1 to 14 bytes, its length told by the first | blocks | checksum (4, if the header says)
 *   block:      last (1 bit), type (2 bits), size (21 bits) | content: 1 byte for type 1, else `size` bytes
 *   skippable:  magic (4) | size (4) | content
 */

const FRAME_MAGIC = 0xfd2fb528;
/** The lowest of sixteen. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** The bytes are not zstd. */
export class NotZstdError extends Error {}

export function isZstdMagic(magic: number): boolean {
  return magic === FRAME_MAGIC || isSkippableMagic(magic);
}

function isSkippableMagic(magic: number): boolean {
  return (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
}

/** `take`: the walker wants to see so many bytes. `pass`: it does not. `cut`: a frame ends here. */
type Step = { readonly kind: 'take' | 'pass'; readonly bytes: number } | { readonly kind: 'cut'; readonly bytes: 0 };

const take = (bytes: number): Step => ({ kind: 'take', bytes });
const pass = (bytes: number): Step => ({ kind: 'pass', bytes });

/** The same bytes, in chunks of which none goes on after the end of a frame. Raises {@link NotZstdError}. */
export async function* splitZstdFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const walker = walkFrames();
  let step = walker.next().value;
  let missing = step.bytes;
  let seen: Uint8Array[] = [];
  for await (const chunk of source) {
    let from = 0;
    let at = 0;
    while (missing === 0 || at < chunk.length) {
      const part = chunk.subarray(at, at + missing);
      if (step.kind === 'take') seen.push(part);
      at += part.length;
      missing -= part.length;
      if (missing > 0) continue;
      if (step.kind === 'cut') {
        if (at > from) yield chunk.subarray(from, at);
        from = at;
      }
      step = walker.next(Buffer.concat(seen)).value;
      missing = step.bytes;
      seen = [];
    }
    if (at > from) yield chunk.subarray(from, at);
  }
}

function* walkFrames(): Generator<Step, never, Buffer> {
  for (;;) {
    const magic = (yield take(4)).readUInt32LE(0);
    if (isSkippableMagic(magic)) yield pass((yield take(4)).readUInt32LE(0));
    else if (magic === FRAME_MAGIC) yield* walkFrame();
    else throw new NotZstdError();
    yield { kind: 'cut', bytes: 0 };
  }
}

function* walkFrame(): Generator<Step, void, Buffer> {
  const descriptor = (yield take(1)).readUInt8(0);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  const contentSizeBytes = CONTENT_SIZE_BYTES[(descriptor >> 6) as 0 | 1 | 2 | 3] || (isSingleSegment ? 1 : 0);
  const windowBytes = isSingleSegment ? 0 : 1;
  yield pass(windowBytes + DICTIONARY_ID_BYTES[(descriptor & 3) as 0 | 1 | 2 | 3] + contentSizeBytes);
  for (let isLast = false; !isLast; ) {
    const header = (yield take(3)).readUIntLE(0, 3);
    isLast = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    if (type === RESERVED_BLOCK) throw new NotZstdError();
    yield pass(type === RLE_BLOCK ? 1 : header >> 3);
  }
  if (hasChecksum) yield pass(4);
}
