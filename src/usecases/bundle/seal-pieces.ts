import type { Digest } from '../../core/digest.ts';
import { runAll } from '../../core/run-all.ts';
import { PIECE_MEDIA_TYPE } from '../../formats/bundle/media-types.ts';
import { type PackedBlob, type PackedPiece, type PieceContent, packPieces } from '../../formats/bundle/packing.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import type { Medium } from '../../ports/medium.ts';
import type { CachedPiece, PieceCache, PieceCacheKey } from '../../ports/piece-cache.ts';
import type { Progress } from '../../ports/progress.ts';
import type { PieceSegment, SealingEngine } from '../../ports/sealing.ts';
import type { VerifiedFiles } from '../../ports/verified-files.ts';
import { UseCaseError } from '../errors.ts';
import { sweepMedium } from './medium-index.ts';

export interface SealRequest {
  readonly blobs: readonly PackedBlob[];
  readonly sources: ReadonlyMap<Digest, LocalBlob>;
  readonly recipients: readonly string[];
  readonly pieceSizeBytes: number;
  /** Take no piece that was sealed before: a courier who saw an older bundle then learns nothing about what stayed. */
  readonly fresh: boolean;
}

export interface SealedPieces {
  readonly pieces: readonly { readonly content: PieceContent; readonly descriptor: Descriptor }[];
  readonly sealed: number;
  readonly reused: number;
}

export interface SealDependencies {
  readonly medium: Medium;
  readonly engine: SealingEngine;
  readonly pieceCache: PieceCache;
  readonly progress: Progress;
  /** Changes when the file changes: size, times, inode. */
  readonly fingerprintOf: (path: string) => Promise<string>;
  readonly verifiedFiles: VerifiedFiles;
}

/**
 * Lays the blobs out and seals the pieces that the medium lacks. Every blob that goes into a new piece is hashed against
 * its digest: in the piece itself where it lies whole in one, else by a reading of its own, unless that was done within the
 * hour; a file that changes between the two readings fails the build.
 */
export async function sealPieces(
  request: SealRequest,
  dependencies: SealDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<SealedPieces> {
  const { blobs, sources, recipients, pieceSizeBytes } = request;
  const { medium, engine, pieceCache, progress, fingerprintOf, verifiedFiles } = dependencies;
  const key: PieceCacheKey = { recipients, pieceSizeBytes };
  const reusable = request.fresh ? [] : await findReusable(request, key, dependencies, options);
  const packed = packPieces(blobs, pieceSizeBytes, reusable);
  const missing = packed.filter((piece) => piece.reused === undefined);
  await assertSpace(medium, missing.length * pieceSizeBytes, reusable);

  const digestJobs = blobsToDigest(missing, sources);
  const totalBytes = missing.length * pieceSizeBytes;
  const task = progress.task('Sealing', totalBytes);
  const descriptors = new Map<PackedPiece<CachedPiece>, Descriptor>();
  const sealOne = async (piece: PackedPiece<CachedPiece>) => {
    const outPath = medium.temporaryPath();
    const segments = piece.content.map((run) => segmentOf(run, sources));
    const job = { segments, plaintextBytes: pieceSizeBytes, outPath };
    const sealed = await engine.seal(job, recipients, { ...options, onBytes: (bytes) => task.advance(bytes) });
    const facts = await medium.commitBlob(outPath, sealed.digest);
    await pieceCache.append(key, { content: piece.content, ...sealed, fingerprint: facts.fingerprint });
    descriptors.set(piece, { mediaType: PIECE_MEDIA_TYPE, digest: sealed.digest, size: sealed.sizeBytes });
  };
  const fingerprints = new Map<LocalBlob, string>();
  for (const blob of [...digestJobs.values()].flat()) fingerprints.set(blob, await fingerprintOf(blob.path));
  // Only what was hashed now is believed from now on: belief must not renew itself.
  const hashed = new Set<LocalBlob>();
  const digestOne = async (blob: LocalBlob) => {
    const { digest, path, sizeBytes } = blob;
    if (await verifiedFiles.has(blob, fingerprints.get(blob) ?? '')) return;
    const found = await engine.digest({ path, sizeBytes }, options);
    if (found !== digest) {
      throw new UseCaseError('SOURCE_DAMAGED', `${path} is not what its digest says`, {
        expected: digest,
        found,
        at: { file: path, digest },
        hint: 'Remove this file; the next run fetches or makes it again.',
      });
    }
    hashed.add(blob);
  };
  // A blob is hashed while its pieces are sealed, so that the page cache serves one of the two readings.
  const work = missing.flatMap((piece) => {
    const blob = digestJobs.get(piece);
    return [() => sealOne(piece), ...(blob ?? []).map((one) => () => digestOne(one))];
  });
  await runAll(work, engine.workers * 2, options);
  for (const [blob, fingerprint] of fingerprints) {
    const { path, digest } = blob;
    if ((await fingerprintOf(path)) !== fingerprint) {
      throw new UseCaseError('SOURCE_DAMAGED', `${path} was changed while it was read`, {
        at: { file: path, digest },
        hint: 'Let nothing write to that file, then run the command again.',
      });
    }
    if (hashed.has(blob)) await verifiedFiles.add(blob, fingerprint);
  }
  await medium.syncBlobs();
  task.done();

  return {
    pieces: packed.map((piece) => ({
      content: piece.content,
      descriptor: piece.reused
        ? { mediaType: PIECE_MEDIA_TYPE, digest: piece.reused.digest, size: piece.reused.sizeBytes }
        : (descriptors.get(piece) as Descriptor),
    })),
    sealed: missing.length,
    reused: packed.length - missing.length,
  };
}

/**
 * Pieces on the medium that hold nothing but wanted content. One whose file was not touched since it was sealed is taken
 * as it is; any other (the stick was plugged in again) is hashed first, and left out when it is not what it was.
 */
async function findReusable(
  { blobs }: SealRequest,
  key: PieceCacheKey,
  { medium, engine, pieceCache }: Pick<SealDependencies, 'medium' | 'engine' | 'pieceCache'>,
  options: { readonly signal?: AbortSignal },
): Promise<CachedPiece[]> {
  const wanted = new Map(blobs.map((blob) => [blob.digest, blob.sizeBytes]));
  const candidates = (await pieceCache.read(key)).filter((piece) =>
    piece.content.every((run) => run.offsetBytes + run.lengthBytes <= (wanted.get(run.digest) ?? 0)),
  );
  const usable = new Set<CachedPiece>();
  const checkOne = async (piece: CachedPiece) => {
    const facts = await medium.statBlob(piece.digest);
    if (facts === undefined || facts.sizeBytes !== piece.sizeBytes) return;
    if (facts.fingerprint !== piece.fingerprint) {
      const job = { path: medium.blobPath(piece.digest), sizeBytes: piece.sizeBytes };
      if ((await engine.digest(job, options)) !== piece.digest) return;
      await pieceCache.append(key, { ...piece, fingerprint: facts.fingerprint });
    }
    usable.add(piece);
  };
  await runAll(
    candidates.map((piece) => () => checkOne(piece)),
    engine.workers * 2,
    options,
  );
  return candidates.filter((piece) => usable.has(piece));
}

/** Blobs that need a reading of their own, each beside the first new piece that holds a part of it. */
function blobsToDigest(
  missing: readonly PackedPiece<CachedPiece>[],
  sources: ReadonlyMap<Digest, LocalBlob>,
): Map<PackedPiece<CachedPiece>, LocalBlob[]> {
  const seen = new Set<Digest>();
  const jobs = new Map<PackedPiece<CachedPiece>, LocalBlob[]>();
  for (const piece of missing) {
    for (const run of piece.content) {
      const source = sources.get(run.digest);
      if (source === undefined || source.sizeBytes === run.lengthBytes || seen.has(run.digest)) continue;
      seen.add(run.digest);
      jobs.set(piece, [...(jobs.get(piece) ?? []), source]);
    }
  }
  return jobs;
}

function segmentOf(run: PieceContent[number], sources: ReadonlyMap<Digest, LocalBlob>): PieceSegment {
  const source = sources.get(run.digest);
  if (source === undefined) throw new Error(`no source for ${run.digest}`);
  return {
    path: source.path,
    offsetBytes: run.offsetBytes,
    lengthBytes: run.lengthBytes,
    ...(source.sizeBytes === run.lengthBytes ? { wholeBlob: run.digest } : {}),
  };
}

/** Room for the lists, the manifest and the file system's own needs. */
const SPARE_BYTES = 16 * 1024 * 1024;

/** Where space is short, what an interrupted build left goes, unless this one takes it again. */
async function assertSpace(medium: Medium, pieceBytes: number, reusable: readonly CachedPiece[]): Promise<void> {
  if (pieceBytes === 0) return;
  const neededBytes = pieceBytes + SPARE_BYTES;
  let freeBytes = await medium.freeBytes();
  if (freeBytes >= neededBytes) return;
  await sweepMedium(
    medium,
    reusable.map(({ digest }) => digest),
  );
  freeBytes = await medium.freeBytes();
  if (freeBytes >= neededBytes) return;
  throw new UseCaseError('MEDIUM_TOO_SMALL', `${medium.folder} has too little free space for this bundle`, {
    expected: `${neededBytes} bytes free`,
    found: `${freeBytes} bytes free`,
    at: { file: medium.folder },
    hint:
      'Use a larger medium, or make space on this one. A bundle that is replaced stays until the new one is complete, so ' +
      'both need room. No bundle was changed.',
  });
}
