import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { runAll } from '../../core/run-all.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { CacheDoubt, FileTransfer, ReadBack } from '../../ports/file-transfer.ts';
import type { Medium } from '../../ports/medium.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';

/** What was read back, and whether it came from the disk. */
export interface ReadBackTally {
  count(sizeBytes: number, read: ReadBack): void;
  report(): ReadBackReport;
}

export interface ReadBackReport {
  readonly files: number;
  readonly sizeBytes: number;
  /** Why some of it may have come from a cache; absent when all came from the disk. */
  readonly cached?: CacheDoubt;
}

export function createTally(): ReadBackTally {
  let files = 0;
  let total = 0;
  let doubt: CacheDoubt | undefined;
  return {
    count(sizeBytes, { cached }) {
      files += 1;
      total += sizeBytes;
      doubt ??= cached;
    },
    report: () => ({ files, sizeBytes: total, ...(doubt === undefined ? {} : { cached: doubt }) }),
  };
}

/**
 * Reads what was written past the cache. A file that is not right loses its name, so that nothing takes it for good.
 *
 * @throws UseCaseError COPY_NOT_RIGHT with every bad file; AdapterError DISK_GONE
 */
export async function readAllBack(
  target: Medium,
  files: readonly Descriptor[],
  { transfer, progress, tally }: { transfer: FileTransfer; progress: Progress; tally: ReadBackTally },
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  if (files.length === 0) return;
  const problems: PortolanError[] = [];
  const task = progress.task(
    'Reading back',
    files.reduce((sum, { size }) => sum + size, 0),
  );
  const checks = files.map(({ digest, size }) => async () => {
    const path = target.blobPath(digest);
    let found: Digest | undefined;
    let cause: unknown;
    try {
      const read = await transfer.readBack(
        { path, sizeBytes: size },
        { ...options, onBytes: (bytes) => task.advance(bytes) },
      );
      found = read.digest;
      if (found === digest) return tally.count(size, read);
    } catch (error) {
      if (!(error instanceof PortolanError)) throw error;
      cause = error;
    }
    // One bad place of the disk, or the disk is gone?
    await target.assertThere();
    await target.removeBlob(digest);
    problems.push(notTrue(path, digest, found, cause));
  });
  await runAll(checks, LANES, options);
  task.done();
  if (problems.length === 0) return;
  throw new UseCaseError('COPY_NOT_RIGHT', `${target.folder} does not give back what was written to it`, {
    at: { file: target.folder },
    found: `${problems.length} of ${files.length} files bad`,
    others: problems,
    hint: 'Use another medium: this one loses data. The files that are named were removed there, and no bundle was changed.',
  });
}

/** While one file is hashed the next is read. */
const LANES = 2;

function notTrue(file: string, digest: Digest, found: Digest | undefined, cause: unknown): UseCaseError {
  return new UseCaseError('FILE_OF_BUNDLE_DAMAGED', 'A file was written, and the medium gives back something else', {
    at: { file, digest },
    expected: digest,
    ...(found === undefined ? {} : { found }),
    ...(cause === undefined ? {} : { cause }),
    hint: 'The file was removed.',
  });
}
