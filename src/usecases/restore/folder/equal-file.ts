import { createHmac, createSecretKey, type Hmac, type KeyObject } from 'node:crypto';
import { type ChunkTable, chunksOf } from '../../../formats/repository/chunk-table.ts';
import type { Extent, ReadableFile } from '../../../ports/file-tree.ts';

export type IsEqual = (
  file: ReadableFile,
  expected: { readonly sizeBytes: number; readonly chunks: ChunkTable; readonly extents?: readonly Extent[] },
  options: { readonly signal: AbortSignal },
) => Promise<boolean>;

/** Tells by the ids of the chunks whether a file has its bytes already: nothing is fetched for that. */
export function createIsEqual(chunkIdKey: Uint8Array): IsEqual {
  const key = createSecretKey(chunkIdKey);
  return async (file, { sizeBytes, chunks, extents }, { signal }) => {
    if (file.facts.sizeBytes !== sizeBytes) return false;
    const ids = idCheck(chunks, key);
    let at = 0;
    for (const extent of extents ?? [{ offsetBytes: 0, lengthBytes: sizeBytes }]) {
      if (!(await isZero(file, { offsetBytes: at, lengthBytes: extent.offsetBytes - at }, signal))) return false;
      for await (const bytes of file.read(extent, { signal })) if (!ids.take(bytes)) return false;
      at = extent.offsetBytes + extent.lengthBytes;
    }
    return ids.isDone() && (await isZero(file, { offsetBytes: at, lengthBytes: sizeBytes - at }, signal));
  };
}

async function isZero(file: ReadableFile, range: Extent, signal: AbortSignal): Promise<boolean> {
  if (range.lengthBytes === 0) return true;
  let zeros: Buffer | undefined;
  for await (const bytes of file.read(range, { signal })) {
    if (zeros === undefined || zeros.length < bytes.length) zeros = Buffer.alloc(bytes.length);
    if (!zeros.subarray(0, bytes.length).equals(bytes)) return false;
  }
  return true;
}

/** Cuts bytes where the chunks are cut, and compares each with its id. */
function idCheck(table: ChunkTable, key: KeyObject) {
  const chunks = chunksOf(table);
  let next = chunks.next();
  let hmac: Hmac | undefined;
  let seen = 0;
  return {
    take(bytes: Uint8Array): boolean {
      for (let at = 0; at < bytes.length; ) {
        if (next.done === true) return false;
        const chunk = next.value;
        const length = Math.min(bytes.length - at, chunk.sizeBytes - seen);
        hmac ??= createHmac('sha256', key);
        hmac.update(bytes.subarray(at, at + length));
        at += length;
        seen += length;
        if (seen < chunk.sizeBytes) continue;
        if (!hmac.digest().equals(chunk.id)) return false;
        hmac = undefined;
        seen = 0;
        next = chunks.next();
      }
      return true;
    },
    isDone: () => next.done === true && seen === 0,
  };
}
