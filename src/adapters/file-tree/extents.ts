import type { FileHandle } from 'node:fs/promises';
import type { Extent, FileFacts } from '../../ports/file-tree.ts';

const BLOCK_BYTES = 4096;
const READ_BYTES = 1024 * 1024;
/** So that the list stays small: holes of a file that has more are counted as data, the smallest first. */
const MOST_EXTENTS = 4096;

const zeros = Buffer.alloc(READ_BYTES);

/**
 * The runs of a file that are no zeros. Node cannot ask the system for holes (SEEK_DATA), so the file is read; a block of zeros
 * counts as a hole, and is as good as one.
 */
export async function findExtents(
  file: FileHandle,
  { sizeBytes }: FileFacts,
  { signal, mostExtents = MOST_EXTENTS }: { readonly signal: AbortSignal; readonly mostExtents?: number },
): Promise<readonly Extent[]> {
  if (sizeBytes === 0) return [];
  const whole = [{ offsetBytes: 0, lengthBytes: sizeBytes }];
  let extents: Extent[] = [];
  let smallestHole = BLOCK_BYTES;
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let offset = 0; offset < sizeBytes; ) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, Math.min(READ_BYTES, sizeBytes - offset), offset);
    // It was cut meanwhile: whoever reads it sees that.
    if (bytesRead === 0) return whole;
    const bytes = buffer.subarray(0, bytesRead);
    if (!bytes.equals(zeros.subarray(0, bytesRead))) {
      for (let at = 0; at < bytesRead; at += BLOCK_BYTES) {
        const block = bytes.subarray(at, at + BLOCK_BYTES);
        if (!block.equals(zeros.subarray(0, block.length))) append(extents, offset + at, block.length, smallestHole);
      }
    }
    while (extents.length > mostExtents) {
      smallestHole *= 2;
      extents = joined(extents, smallestHole);
    }
    offset += bytesRead;
  }
  return extents;
}

function joined(extents: readonly Extent[], smallestHole: number): Extent[] {
  const result: Extent[] = [];
  for (const { offsetBytes, lengthBytes } of extents) append(result, offsetBytes, lengthBytes, smallestHole);
  return result;
}

function append(extents: Extent[], offsetBytes: number, lengthBytes: number, smallestHole: number): void {
  const last = extents.at(-1);
  if (last === undefined || offsetBytes - (last.offsetBytes + last.lengthBytes) >= smallestHole) {
    extents.push({ offsetBytes, lengthBytes });
    return;
  }
  extents[extents.length - 1] = {
    offsetBytes: last.offsetBytes,
    lengthBytes: offsetBytes + lengthBytes - last.offsetBytes,
  };
}
