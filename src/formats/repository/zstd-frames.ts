/**
 * Zstandard files of several frames (RFC 8878, section 3.1): Node's one-shot decompression stops after the first frame and
 * says nothing of what follows, cut or not. So frames are found by their own lengths, and each is opened alone, within a limit.
 *
 *     magic number        4 bytes    0xFD2FB528 little endian; 0x184D2A50 to 0x184D2A5F: a skippable frame
 *     frame header        2 to 14 bytes
 *     blocks              3 bytes of header each: last block (1 bit), type (2 bits), size (21 bits)
 *     checksum            4 bytes, if the header says so
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { giveBack } from '../../core/give-back.ts';

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const DICTIONARY_BYTES = [0, 1, 2, 4];
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

/** More than what does not compress takes; and above what Node takes from its pool, which cannot be given back. */
const FRAME_ROOM_BYTES = 128 * 1024;

/** One zstd frame. */
export function compressFrame(bytes: Uint8Array, level: number): Uint8Array {
  // One output buffer: of the usual 16 KiB each, all of them would be there beside what they are joined to.
  const frame = zstdCompressSync(bytes, {
    chunkSize: bytes.length + (bytes.length >> 8) + FRAME_ROOM_BYTES,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
  const copy = Buffer.from(frame);
  giveBack(new Uint8Array(frame.buffer));
  return copy;
}

/** Length in bytes of the frame at `offset`; `undefined` when there is no whole frame. */
export function frameLengthBytes(bytes: Uint8Array, offset: number): number | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (offset + 8 > view.length) return undefined;
  const magic = view.readUInt32LE(offset);
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) return within(8 + view.readUInt32LE(offset + 4));
  if (magic !== MAGIC) return undefined;
  const descriptor = view[offset + 4] as number;
  const single = (descriptor & 0x20) !== 0;
  const contentSize = CONTENT_SIZE_BYTES[descriptor >> 6] as number;
  let at = offset + 5 + (single ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] as number);
  at += contentSize === 0 && single ? 1 : contentSize;
  for (;;) {
    if (at + 3 > view.length) return undefined;
    const header = view.readUIntLE(at, 3);
    const type = (header >> 1) & 3;
    if (type === BLOCK_RESERVED) return undefined;
    at += 3 + (type === BLOCK_RLE ? 1 : header >> 3);
    if ((header & 1) === 1) break;
  }
  return within(at - offset + ((descriptor & 4) !== 0 ? 4 : 0));

  function within(length: number): number | undefined {
    return offset + length <= view.length ? length : undefined;
  }
}

/**
 * The frames of a file in memory, each opened; skippable ones are left out. `undefined` is yielded, as the last, for a file
 * that is cut or damaged, or a frame that holds more than `maxFrameBytes`.
 */
export function* openFrames(bytes: Uint8Array, maxFrameBytes: number): Generator<Uint8Array | undefined> {
  for (let offset = 0; offset < bytes.length; ) {
    const length = frameLengthBytes(bytes, offset);
    if (length === undefined) {
      yield undefined;
      return;
    }
    const frame = bytes.subarray(offset, offset + length);
    offset += length;
    if (frame[3] === 0x18) continue;
    let opened: Uint8Array;
    try {
      opened = zstdDecompressSync(frame, { maxOutputLength: maxFrameBytes });
    } catch {
      yield undefined;
      return;
    }
    yield opened;
  }
}
