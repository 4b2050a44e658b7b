import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Duplex, type Readable, Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { LocalBlob } from '../../ports/blobs.ts';
import { fileError } from '../files/file-error.ts';
import { isZstdMagic, splitZstdFrames } from './zstd-frames.ts';

const READ_BYTES = 128 * 1024;

/** A layer expands this many times at most, plus {@link EXPANSION_GRACE_BYTES}; real ones stay under 20 times. */
const EXPANSION_LIMIT = 100;
const EXPANSION_GRACE_BYTES = 128 * 1024 * 1024;

/** The layer would expand to more than the limit. */
export class ExpansionLimitReached extends Error {}

type Stage = Duplex | ((source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>);

/** The stages from the blob's file to the bytes of its tar archive. By the first bytes, as container engines do it. */
export async function layerStages(blob: LocalBlob): Promise<[Readable, ...Stage[]]> {
  const head = await readHead(blob.path);
  const source = createReadStream(blob.path, { highWaterMark: READ_BYTES });
  const meter = expansionMeter(blob.sizeBytes * EXPANSION_LIMIT + EXPANSION_GRACE_BYTES);
  if (head.length >= 2 && head.readUInt16BE(0) === 0x1f8b)
    return [source, createGunzip({ chunkSize: READ_BYTES }), meter];
  if (head.length >= 4 && isZstdMagic(head.readUInt32LE(0))) {
    return [source, splitZstdFrames, createZstdDecompress({ chunkSize: READ_BYTES }), meter];
  }
  return [source];
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
