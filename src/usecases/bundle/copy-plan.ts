import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { runAll } from '../../core/run-all.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { FileTransfer } from '../../ports/file-transfer.ts';
import type { Medium } from '../../ports/medium.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import { assertBundleFile } from './bundle-file.ts';
import type { ReadBackTally } from './copy-read-back.ts';
import { sweepMedium } from './medium-index.ts';

/** Files that are handled at once: while one is synced the next is read. */
export const LANES = 3;

/** The sealed lists and pieces of some bundles, each once. */
export function filesOf(
  bundles: readonly { readonly manifest: { readonly lists: Descriptor; readonly pieces: readonly Descriptor[] } }[],
): Descriptor[] {
  const files = new Map<Digest, Descriptor>();
  for (const { manifest } of bundles) {
    for (const file of [manifest.lists, ...manifest.pieces]) files.set(file.digest, file);
  }
  return [...files.values()];
}

/**
 * Before anything is written: every file must lie on the source, of its length.
 *
 * @throws UseCaseError BUNDLE_NOT_RIGHT with every problem
 */
export async function assertSource(source: Medium, files: readonly Descriptor[]): Promise<void> {
  const problems: PortolanError[] = [];
  for (const file of files) {
    try {
      await assertBundleFile(source, file);
    } catch (error) {
      if (!(error instanceof PortolanError) || error.code === 'DISK_GONE') throw error;
      problems.push(error);
    }
  }
  if (problems.length > 0) throw sourceNotRight(source, problems, 'Nothing was written.');
}

export function sourceNotRight(source: Medium, problems: readonly PortolanError[], what: string): UseCaseError {
  return new UseCaseError('BUNDLE_NOT_RIGHT', `What lies in ${source.folder} is damaged: it cannot be copied`, {
    at: { file: source.folder },
    others: problems,
    hint: `${what} Get the files that are named again from where the bundle came from.`,
  });
}

/** @throws UseCaseError MEDIUM_FILE_LIMIT */
export async function assertFileLimit(target: Medium, files: readonly Descriptor[]): Promise<void> {
  const { maxFileBytes } = await target.volume();
  const tooLarge = files.find(({ size }) => maxFileBytes !== undefined && size > maxFileBytes);
  if (tooLarge === undefined) return;
  throw new UseCaseError('MEDIUM_FILE_LIMIT', `The file system of ${target.folder} cannot hold a file of this bundle`, {
    at: { file: target.folder, digest: tooLarge.digest },
    expected: `at most ${maxFileBytes} bytes`,
    found: `${tooLarge.size} bytes`,
    hint: 'Format the medium with exFAT or ext4, or ask for a bundle with a smaller pieceSize. Nothing was written.',
  });
}

/**
 * The files that the target has already: of the right length, and hashed as the disk gives them back. What is there and not
 * right is written again.
 */
export async function findThere(
  target: Medium,
  files: readonly Descriptor[],
  { transfer, progress, tally }: { transfer: FileTransfer; progress: Progress; tally: ReadBackTally },
  options: { readonly signal?: AbortSignal },
): Promise<Set<Digest>> {
  const candidates: Descriptor[] = [];
  for (const file of files) {
    if ((await target.statBlob(file.digest))?.sizeBytes === file.size) candidates.push(file);
  }
  const there = new Set<Digest>();
  if (candidates.length === 0) return there;
  const task = progress.task(
    'Checking what is there',
    candidates.reduce((sum, { size }) => sum + size, 0),
  );
  const checks = candidates.map(({ digest, size }) => async () => {
    const path = target.blobPath(digest);
    try {
      const read = await transfer.readBack(
        { path, sizeBytes: size },
        { ...options, onBytes: (bytes) => task.advance(bytes) },
      );
      if (read.digest === digest) {
        there.add(digest);
        tally.count(size, read);
        return;
      }
    } catch (error) {
      if (!(error instanceof PortolanError)) throw error;
      await target.assertThere();
    }
    progress.warn(`${path} was damaged on the medium: it is written again`);
  });
  await runAll(checks, LANES, options);
  task.done();
  return there;
}

/** Room for small files, for names in folders, and for the file system's own needs. */
const SPARE_BYTES = 1024 * 1024;

/**
 * Room for what is missing alone. Where space is short, what interrupted runs left goes first.
 *
 * @throws UseCaseError MEDIUM_TOO_SMALL
 */
export async function assertSpace(
  target: Medium,
  missing: readonly Descriptor[],
  there: ReadonlySet<Digest>,
): Promise<void> {
  if (missing.length === 0) return;
  const { blockBytes } = await target.volume();
  // Each file takes whole blocks; on exFAT a block has 128 KiB and more.
  const neededBytes = missing.reduce((sum, { size }) => sum + Math.ceil(size / blockBytes) * blockBytes, SPARE_BYTES);
  if ((await target.freeBytes()) >= neededBytes) return;
  await sweepMedium(target, there);
  const freeBytes = await target.freeBytes();
  if (freeBytes >= neededBytes) return;
  throw new UseCaseError('MEDIUM_TOO_SMALL', `${target.folder} has too little free space for what is missing there`, {
    expected: `${neededBytes} bytes free`,
    found: `${freeBytes} bytes free`,
    at: { file: target.folder },
    hint: 'Use a larger medium, or make space on this one. No bundle was changed.',
  });
}
