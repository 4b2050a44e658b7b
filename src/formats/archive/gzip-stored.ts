import { crc32 } from 'node:zlib';

/**
 * gzip (RFC 1952) around stored deflate blocks (RFC 1951, 3.2.4), so that the bytes depend on no version of zlib. Nothing
 * is lost: what is packed this way is small.
 *
 *     1f 8b 08 00  00 00 00 00  00 ff            no flags, time 0, no extra flags, unknown system
 *     00 LEN NLEN data …                         stored blocks of 65,535 bytes; the last one is empty and begins with 01
 *     CRC32 ISIZE                                little-endian
 */

const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);
const STORED_LIMIT = 0xffff;
const LAST_BLOCK = Uint8Array.of(1, 0, 0, 0xff, 0xff);

/** Same bytes in, same bytes out, however they are cut into chunks. */
export async function* gzipStored(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield HEADER;
  let sum = 0;
  let sizeBytes = 0;
  let pending = Buffer.alloc(STORED_LIMIT);
  let filled = 0;
  for await (const chunk of source) {
    sum = crc32(chunk, sum);
    sizeBytes += chunk.length;
    for (let offset = 0; offset < chunk.length; ) {
      const take = Math.min(chunk.length - offset, STORED_LIMIT - filled);
      pending.set(chunk.subarray(offset, offset + take), filled);
      filled += take;
      offset += take;
      if (filled < STORED_LIMIT) continue;
      yield blockHeader(filled);
      yield pending;
      pending = Buffer.alloc(STORED_LIMIT);
      filled = 0;
    }
  }
  if (filled > 0) {
    yield blockHeader(filled);
    yield pending.subarray(0, filled);
  }
  yield LAST_BLOCK;
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(sum, 0);
  trailer.writeUInt32LE(sizeBytes % 2 ** 32, 4);
  yield trailer;
}

function blockHeader(length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt16LE(length, 1);
  bytes.writeUInt16LE(length ^ 0xffff, 3);
  return bytes;
}
