import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { canonicalJson } from '../../core/canonical-json.ts';
import { digestOf, hexOf, isDigest } from '../../core/digest.ts';
import type { Fragment } from '../../formats/bundle/packing.ts';
import type { CachedPiece, PieceCache, PieceCacheKey } from '../../ports/piece-cache.ts';
import { writeFileDurable } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';

/** Above this many lines a file is rewritten with the newest half, so that it does not grow for ever. */
const MAX_LINES = 40_000;

/** One file of JSON lines for each set of recipients and piece size; a line that a crash cut short is passed over. */
export function createPieceCache(folder: string): PieceCache {
  const fileOf = ({ recipients, pieceSizeBytes }: PieceCacheKey) => {
    const key = canonicalJson({ recipients: [...recipients].sort(), pieceSizeBytes });
    return join(folder, `${hexOf(digestOf(key))}.jsonl`);
  };
  return {
    async read(key) {
      const path = fileOf(key);
      const text = await readFile(path, 'utf8').catch((cause) => {
        if (isErrno(cause) && cause.code === 'ENOENT') return '';
        throw fileError(cause, path, 'read');
      });
      let lines = text.split('\n').filter((line) => line !== '');
      if (lines.length > MAX_LINES) {
        lines = lines.slice(-MAX_LINES / 2);
        await writeFileDurable(path, `${lines.join('\n')}\n`);
      }
      const newest = new Map<string, CachedPiece>();
      for (const line of lines.reverse()) {
        const piece = decodeLine(line);
        if (piece !== undefined && !newest.has(piece.digest)) newest.set(piece.digest, piece);
      }
      return [...newest.values()];
    },
    async append(key, piece) {
      const path = fileOf(key);
      try {
        await mkdir(dirname(path), { recursive: true });
        await appendFile(path, encodeLine(piece));
      } catch (cause) {
        throw fileError(cause, path, 'write');
      }
    },
  };
}

function encodeLine({ content, digest, sizeBytes, fingerprint }: CachedPiece): string {
  const fragments = content.map((run) => [run.digest, run.offsetBytes, run.lengthBytes]);
  // The leading line break ends a line that a crash may have cut short.
  return `\n${canonicalJson({ content: fragments, digest, fingerprint, sizeBytes })}\n`;
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
