import { join } from 'node:path';
import { canonicalJson } from '../../core/canonical-json.ts';
import { digestOf, hexOf, isDigest } from '../../core/digest.ts';
import type { Fragment } from '../../formats/bundle/packing.ts';
import type { CachedPiece, PieceCache, PieceCacheKey } from '../../ports/piece-cache.ts';
import { appendLine, readLines } from '../files/json-lines.ts';

/** So that a file does not grow for ever. */
const MAX_LINES = 40_000;

/** One file of JSON lines for each set of recipients and piece size; a line that a crash cut short is passed over. */
export function createPieceCache(folder: string): PieceCache {
  const fileOf = ({ recipients, pieceSizeBytes }: PieceCacheKey) => {
    const key = canonicalJson({ recipients: [...recipients].sort(), pieceSizeBytes });
    return join(folder, `${hexOf(digestOf(key))}.jsonl`);
  };
  return {
    async read(key) {
      const newest = new Map<string, CachedPiece>();
      for (const line of (await readLines(fileOf(key), MAX_LINES)).reverse()) {
        const piece = decodeLine(line);
        if (piece !== undefined && !newest.has(piece.digest)) newest.set(piece.digest, piece);
      }
      return [...newest.values()];
    },
    append(key, { content, digest, sizeBytes, fingerprint }) {
      const fragments = content.map((run) => [run.digest, run.offsetBytes, run.lengthBytes]);
      return appendLine(fileOf(key), { content: fragments, digest, fingerprint, sizeBytes });
    },
  };
}

function decodeLine(line: string): CachedPiece | undefined {
  try {
    const { content, digest, fingerprint, sizeBytes } = JSON.parse(line);
    if (!isDigest(digest) || typeof fingerprint !== 'string' || !isCount(sizeBytes)) return undefined;
    const fragments = (content as [unknown, unknown, unknown][]).map(([blob, offsetBytes, lengthBytes]) => {
      if (!isDigest(blob) || !isCount(offsetBytes) || !isCount(lengthBytes) || lengthBytes === 0)
        throw new Error('not a run');
      return { digest: blob, offsetBytes, lengthBytes } satisfies Fragment;
    });
    return fragments.length > 0 ? { content: fragments, digest, fingerprint, sizeBytes } : undefined;
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
