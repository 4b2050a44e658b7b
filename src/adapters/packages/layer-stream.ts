import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Duplex, type Readable, Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { LocalBlob } from '../../ports/blobs.ts';
import { fileError } from '../files/file-error.ts';

const READ_BYTES = 128 * 1024;
const ZSTD_MAGIC = 0xfd2fb528;
/** The lowest of the sixteen magic numbers of a skippable frame (RFC 8878, section 3.1.2). */
const ZSTD_SKIPPABLE = 0x184d2a50;

/** A layer expands this many times at most, plus {@link EXPANSION_GRACE_BYTES}; real ones stay under 20 times. */
const EXPANSION_LIMIT = 100;
const EXPANSION_GRACE_BYTES = 128 * 1024 * 1024;

/** The layer would expand to more than the limit. */
export class ExpansionLimitReached extends Error {}

/** The stages from the blob's file to the bytes of its tar archive. By the first bytes, as container engines do it. */
export async function layerStages(blob: LocalBlob): Promise<[Readable, ...Duplex[]]> {
  const head = await readHead(blob.path);
  const source = createReadStream(blob.path, { highWaterMark: READ_BYTES });
  const meter = expansionMeter(blob.sizeBytes * EXPANSION_LIMIT + EXPANSION_GRACE_BYTES);
  if (head.length >= 2 && head.readUInt16BE(0) === 0x1f8b)
    return [source, createGunzip({ chunkSize: READ_BYTES }), meter];
  if (head.length >= 4 && isZstd(head.readUInt32LE(0))) {
    return [source, createZstdDecompress({ chunkSize: READ_BYTES }), meter];
  }
  return [source];
}

function isZstd(magic: number): boolean {
  return magic === ZSTD_MAGIC || (magic & 0xfffffff0) >>> 0 === ZSTD_SKIPPABLE;
}

async function readHead(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw fileError(cause, path, 'read');
  }
}

function expansionMeter(maxBytes: number): Transform {
  let passedBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      passedBytes += chunk.length;
      if (passedBytes > maxBytes) done(new ExpansionLimitReached());
      else done(null, chunk);
    },
  });
}
