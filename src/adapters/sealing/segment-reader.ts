import { createHash, type Hash } from 'node:crypto';
import { digestFromHex } from '../../core/digest.ts';
import type { PieceSegment } from '../../ports/sealing.ts';
import { AdapterError } from '../errors.ts';
import { assertUnchanged, closeSource, openSource, readFully, type SourceFile } from './local-files.ts';

/** Reads segments end to end, then zeros. */
export interface SegmentReader {
  /** Fills `target` with what comes next. Returns how many bytes of it came from files. */
  fill(target: Uint8Array): number;
  close(): void;
}

/**
 * BLOB_DIGEST_MISMATCH when the bytes handed out for a whole blob are not the blob; SOURCE_CHANGED when a file ends too
 * early or was written to while it was read.
 */
export function createSegmentReader(segments: readonly PieceSegment[]): SegmentReader {
  let index = 0;
  let done = 0;
  let source: SourceFile | undefined;
  let hash: Hash | undefined;

  function endSegment(segment: PieceSegment): void {
    if (hash !== undefined && segment.wholeBlob !== undefined) {
      const found = digestFromHex(hash.digest('hex'));
      if (found !== segment.wholeBlob) {
        throw new AdapterError('BLOB_DIGEST_MISMATCH', 'a blob on disk is not what its digest says', {
          at: { file: segment.path, digest: segment.wholeBlob },
          expected: segment.wholeBlob,
          found,
          hint: 'Remove the file from the cache and fetch it again.',
        });
      }
    }
    hash = undefined;
    done = 0;
    index += 1;
    if (source !== undefined && segments[index]?.path !== source.path) leave(source);
  }

  function leave(file: SourceFile): void {
    source = undefined;
    try {
      assertUnchanged(file);
    } finally {
      closeSource(file);
    }
  }

  return {
    fill(target) {
      let filled = 0;
      for (let segment = segments[index]; segment !== undefined; segment = segments[index]) {
        if (filled === target.length && done < segment.lengthBytes) break;
        source ??= openSource(segment.path);
        if (done === 0 && segment.wholeBlob !== undefined) hash = createHash('sha256');
        const length = Math.min(segment.lengthBytes - done, target.length - filled);
        const run = target.subarray(filled, filled + length);
        readFully(source, run, segment.offsetBytes + done);
        hash?.update(run);
        done += length;
        filled += length;
        if (done === segment.lengthBytes) endSegment(segment);
      }
      target.fill(0, filled);
      return filled;
    },
    close() {
      if (source !== undefined) closeSource(source);
      source = undefined;
    },
  };
}
