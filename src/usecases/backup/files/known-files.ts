import type { SourceWriter } from '../../../ports/backup-source.ts';
import type { ChunkTable, StreamRecord } from '../../../ports/chunks.ts';
import type { FileFacts } from '../../../ports/file-tree.ts';
import type { FilesCache } from '../../../ports/files-cache.ts';
import { isSparse } from './file-bytes.ts';
import type { Found } from './walk.ts';

/** Files that are as the run before found them, and need not be read. */
export interface KnownFiles {
  /** Its stream, written without reading it; `undefined` when it has to be read. */
  take(
    found: Found,
    stream: () => string,
  ): Promise<{ readonly stream: string; readonly record: StreamRecord } | undefined>;
  /** One that was read: all of its bytes, under the facts from before it was read. */
  keep(found: Found, facts: FileFacts, chunks: ChunkTable): void;
}

/**
 * A file may change twice within one tick of the kernel's clock, before and after it is read, and look the same ever after. What changed
 * so shortly before a run began is read once more by the next.
 */
const SETTLED_NS = 2_000_000_000n;

export function createKnownFiles(cache: FilesCache | undefined, writer: SourceWriter, startedMs: number): KnownFiles {
  const settledBefore = BigInt(Math.floor(startedMs)) * 1_000_000n - SETTLED_NS;
  return {
    async take(found, stream) {
      if (cache === undefined || !mayBeKnown(found.facts)) return undefined;
      const chunks = cache.find(pathOf(found), found.facts);
      if (chunks === undefined) return undefined;
      const name = stream();
      const record = await writer.known(name, chunks);
      if (record === undefined) return undefined;
      cache.put(pathOf(found), found.facts, record.chunks);
      return { stream: name, record };
    },
    keep(found, facts, chunks) {
      if (!mayBeKnown(facts) || facts.ctimeNs >= settledBefore) return;
      cache?.put(pathOf(found), facts, chunks);
    },
  };
}

/** One with holes is looked through for them, one with other names goes by the first of them. */
function mayBeKnown(facts: FileFacts): boolean {
  return facts.kind === 'file' && facts.names < 2 && facts.sizeBytes > 0 && !isSparse(facts);
}

function pathOf({ shown, rawPath }: Found): Uint8Array {
  return rawPath ?? Buffer.from(shown);
}
