import { createHash } from 'node:crypto';
import { type Digest, digestFromHex } from '../../core/digest.ts';
import type { Medium } from '../../ports/medium.ts';
import type { SealedRun, SealingEngine } from '../../ports/sealing.ts';
import { checkBundleFile } from '../bundle/bundle-file.ts';
import type { OpenedLists } from '../bundle/open-lists.ts';
import { blobNotTrue, sealedRunsOf } from '../bundle/read-blob.ts';
import type { ResolvedBundle } from '../bundle/resolve-bundle.ts';

/** What is opened at once. Small enough to stay in memory several times, large enough to keep a worker busy. */
const RUN_BYTES = 4 * 1024 * 1024;

interface SizedBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface BlobSource {
  readonly medium: Medium;
  readonly engine: SealingEngine;
  readonly bundle: ResolvedBundle;
  readonly lists: OpenedLists;
  readonly identities: readonly string[];
}

export interface StreamOptions {
  readonly signal?: AbortSignal;
  /** Bytes of blobs that were opened. */
  readonly onBytes?: (bytes: number) => void;
  /** False: whoever takes the blobs refuses those that are not what their digest says. */
  readonly hash: boolean;
  /** True: what stands between the blobs of the pieces is checked to be zero at the end. Pieces that were checked whole need it not. */
  readonly checkPadding?: boolean;
  /** True: a part is good until the next one is asked for, and its memory then serves again. */
  readonly reuseMemory?: boolean;
}

/**
 * Opens blobs one after the other, in the order in which they lie in the pieces, so that a stick is read from its start
 * to its end and each chunk once. Workers run ahead of the reader by a few MiB; nothing else is held, and nothing is
 * written to a disk.
 *
 * @throws what the engine throws; UseCaseError BLOB_NOT_TRUE, FILE_OF_BUNDLE_DAMAGED, FILE_OF_BUNDLE_MISSING
 */
export async function* streamBlobs<Blob extends SizedBlob>(
  wanted: readonly Blob[],
  source: BlobSource,
  options: StreamOptions,
): AsyncGenerator<Blob & { readonly bytes: AsyncIterable<Uint8Array> }> {
  const { signal } = options;
  const blobs = inPieceOrder(wanted, source.lists);
  const ahead = createReadAhead(blobs, source, options);
  try {
    for (const blob of blobs) {
      let drained = false;
      const bytes = async function* () {
        const hash = options.hash ? createHash('sha256') : undefined;
        for (let left = blob.sizeBytes; left > 0; ) {
          const part = await ahead.next();
          left -= part.length;
          hash?.update(part);
          // The last part is handed out only when the whole is known to be right.
          if (left === 0) drained = true;
          if (left === 0 && hash !== undefined) {
            const found = digestFromHex(hash.digest('hex'));
            if (found !== blob.digest) {
              await blame(sealedRunsOf(source.medium, source.bundle, source.lists, blob.digest), source, signal);
              throw blobNotTrue(blob.digest, found);
            }
          }
          yield part;
          options.onBytes?.(part.length);
        }
        drained = true;
      };
      yield { ...blob, bytes: bytes() };
      if (!drained && blob.sizeBytes > 0) throw new Error(`blob ${blob.digest} was not read to its end`);
    }
  } finally {
    await ahead.close();
  }
  if (options.checkPadding === true) await assertZeroBetween(blobs, source, signal);
}

/** Names the piece that is missing or damaged, if one of these is: else the publisher packed it wrongly. */
export async function blame(
  runs: readonly SealedRun[],
  { medium, engine, bundle }: BlobSource,
  signal?: AbortSignal,
): Promise<void> {
  const pieces = new Set(runs.map(({ expected }) => expected.digest));
  for (const layer of bundle.manifest.pieces) {
    if (pieces.has(layer.digest)) await checkBundleFile(medium, engine, layer, signal === undefined ? {} : { signal });
  }
}

function inPieceOrder<Blob extends SizedBlob>(wanted: readonly Blob[], { extents }: OpenedLists): Blob[] {
  const place = ({ digest }: SizedBlob) => extents.get(digest)?.[0] ?? [0, 0, 0];
  return [...wanted].sort((a, b) => {
    const [pieceA, offsetA] = place(a);
    const [pieceB, offsetB] = place(b);
    return pieceA - pieceB || offsetA - offsetB;
  });
}

interface ReadAhead {
  /** The next part, of the next blob where one has ended. */
  next(): Promise<Uint8Array>;
  close(): Promise<void>;
}

function createReadAhead(
  blobs: readonly SizedBlob[],
  source: BlobSource,
  { signal, reuseMemory = false }: StreamOptions,
): ReadAhead {
  const { engine, identities } = source;
  const stop = new AbortController();
  const signals = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const parts = partsOf(blobs, source);
  const opening: Promise<Uint8Array>[] = [];
  const free: SharedArrayBuffer[] = [];
  let lent: Uint8Array | undefined;
  const open = async (run: SealedRun) => {
    const into = reuseMemory ? { into: free.pop() ?? new SharedArrayBuffer(RUN_BYTES) } : {};
    try {
      return await engine.readSealed([run], identities, { signal: signals, ...into });
    } catch (error) {
      if (!signals.aborted) await blame([run], source, signal);
      throw error;
    }
  };
  return {
    async next() {
      if (reuseMemory && lent !== undefined) free.push(lent.buffer as SharedArrayBuffer);
      lent = undefined;
      while (opening.length < engine.workers + 2) {
        const part = parts.next();
        if (part.done) break;
        const bytes = open(part.value);
        // It is awaited later, or not at all when the reader stops.
        bytes.catch(() => {});
        opening.push(bytes);
      }
      const first = opening.shift();
      if (first === undefined) throw new Error('read beyond the last blob');
      lent = await first;
      return lent;
    },
    async close() {
      stop.abort();
      await Promise.allSettled(opening);
    },
  };
}

function* partsOf(blobs: readonly SizedBlob[], { medium, bundle, lists }: BlobSource): Generator<SealedRun> {
  for (const { digest } of blobs) {
    for (const run of sealedRunsOf(medium, bundle, lists, digest)) yield* cut(run);
  }
}

function* cut(run: SealedRun): Generator<SealedRun> {
  // Cuts fall on multiples of RUN_BYTES of the piece, so no chunk of age is opened twice inside of a blob.
  const end = run.offsetBytes + run.lengthBytes;
  for (let from = run.offsetBytes; from < end; ) {
    const to = Math.min(end, (Math.floor(from / RUN_BYTES) + 1) * RUN_BYTES);
    yield { ...run, offsetBytes: from, lengthBytes: to - from };
    from = to;
  }
}

/** The padding of every piece that was read from. */
async function assertZeroBetween(blobs: readonly SizedBlob[], source: BlobSource, signal?: AbortSignal) {
  const { medium, engine, bundle, lists, identities } = source;
  const touched = new Set(blobs.flatMap(({ digest }) => (lists.extents.get(digest) ?? []).map(([piece]) => piece)));
  for (const piece of [...touched].sort((a, b) => a - b)) {
    const layer = bundle.manifest.pieces[piece];
    if (layer === undefined) throw new Error(`no piece ${piece}`);
    for (const gap of lists.plans[piece]?.zeroRuns ?? []) {
      const run = {
        path: medium.blobPath(layer.digest),
        expected: { digest: layer.digest, sizeBytes: layer.size },
        plaintextBytes: lists.placement.pieceSizeBytes,
        ...gap,
      };
      try {
        await engine.assertZero([run], identities, signal === undefined ? {} : { signal });
      } catch (error) {
        if (signal?.aborted !== true) await blame([run], source, signal);
        throw error;
      }
    }
  }
}
