/**
 * The sealing engine: age files on worker threads. The calling thread wraps and unwraps file keys, one or two jobs ahead of
 * the workers; a worker does all that grows with the size.
 */
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Digest } from '../../core/digest.ts';
import { createWorkerPool } from '../../core/worker-pool.ts';
import { createHeader } from '../../formats/age/header.ts';
import { FormatError } from '../../formats/errors.ts';
import type {
  DigestJob,
  EngineOptions,
  ReadOptions,
  SealedPiece,
  SealedRun,
  SealingEngine,
} from '../../ports/sealing.ts';
import { AdapterError } from '../errors.ts';
import { workerDied } from '../worker-died.ts';
import { decodeFailure } from './failure.ts';
import { type PieceFile, pieceDamaged, pieceReadFailure } from './piece-errors.ts';
import { createHeaderCache, type HeaderCache, type OpenedHeader } from './piece-header.ts';
import { assertInside, inOrder } from './piece-runs.ts';
import type { SealingReply, SealingRequest, SyncMode } from './requests.ts';

export interface SealingEngineOptions {
  /** Default: one for each processor, at least 2 and at most 4: each takes about 17 MiB. */
  readonly workers?: number;
  /** The module that a worker runs. A single executable passes a `data:` URL of the bundled module. */
  readonly workerUrl?: URL;
  /** Default `fsync`. `fdatasync` saves a write of times; `none` is for targets that are synced as a whole afterwards. */
  readonly sync?: SyncMode;
}

export function createSealingEngine(options: SealingEngineOptions = {}): SealingEngine {
  const sync = options.sync ?? 'fsync';
  const pool = createWorkerPool<SealingRequest, SealingReply>({
    url: options.workerUrl ?? new URL('./worker.ts', import.meta.url),
    workers: options.workers ?? Math.min(4, Math.max(2, availableParallelism())),
    decodeFailure,
    lost: workerDied,
    closed: () =>
      new AdapterError('ENGINE_CLOSED', 'the sealing engine was closed before this was done', {
        hint: 'Run the command again.',
      }),
  });

  const headers = createHeaderCache();

  async function hash(job: DigestJob, engineOptions: EngineOptions): Promise<Digest> {
    return (await pool.run({ ...engineOptions, prepare: () => ({ kind: 'digest', job }) })) as Digest;
  }

  /**
   * Runs a job on opened pieces. A flipped bit in a header looks like a missing identity: when a header does not open, the
   * digest of its piece tells which it is.
   */
  async function runOnPieces(
    makeRequest: (openHeaderOf: (piece: PieceFile) => Promise<OpenedHeader>) => Promise<SealingRequest>,
    openHeader: HeaderCache['open'],
    identities: readonly string[],
    engineOptions: EngineOptions,
  ): Promise<SealingReply> {
    const doubtful = new Map<unknown, PieceFile>();
    const openHeaderOf = async (piece: PieceFile) => {
      try {
        return await openHeader(piece, identities);
      } catch (error) {
        if (error instanceof FormatError) doubtful.set(error, piece);
        throw error;
      }
    };
    try {
      return await pool.run({ ...engineOptions, prepare: () => makeRequest(openHeaderOf) });
    } catch (error) {
      const piece = doubtful.get(error);
      if (piece !== undefined) await assertIntact(piece, engineOptions.signal, error);
      throw error;
    }
  }

  /** Throws PIECE_DAMAGED, with the cause, unless the piece has the digest that it should have. */
  async function assertIntact(piece: PieceFile, signal: AbortSignal | undefined, cause: unknown): Promise<void> {
    const { digest, sizeBytes } = piece.expected;
    const found = await hash({ path: piece.path, sizeBytes }, signal === undefined ? {} : { signal }).catch((error) => {
      if (error instanceof AdapterError && error.code === 'FILE_SIZE_MISMATCH') {
        throw pieceDamaged(piece, 'it has the wrong size', sizeBytes, error.found, cause);
      }
      throw pieceReadFailure(piece, error);
    });
    if (found !== digest) throw pieceDamaged(piece, 'its digest is wrong', digest, found, cause);
  }

  function openRuns(
    result: 'digest' | 'bytes' | 'zero',
    runs: readonly SealedRun[],
    identities: readonly string[],
    { into, ...engineOptions }: ReadOptions,
  ): Promise<SealingReply> {
    const makeRequest = async (openHeaderOf: (piece: PieceFile) => Promise<OpenedHeader>): Promise<SealingRequest> => {
      for (const run of runs) assertInside(run, run.offsetBytes, run.lengthBytes);
      const opened = [];
      for (const run of runs) opened.push({ ...run, ...(await openHeaderOf(run)) });
      return { kind: 'runs', runs: opened, result, ...(into === undefined ? {} : { into }) };
    };
    return runOnPieces(makeRequest, headers.reopen, identities, engineOptions);
  }

  return {
    workers: pool.workers,
    async seal(job, recipients, engineOptions = {}) {
      const reply = await pool.run({
        ...engineOptions,
        prepare: async () => ({ kind: 'seal', job, sync, ...(await createHeader(recipients)) }),
        cleanUp: () => rm(job.outPath, { force: true }),
      });
      return reply as SealedPiece;
    },
    digest: (job, engineOptions = {}) => hash(job, engineOptions),
    async open(job, identities, engineOptions = {}) {
      const sorted = inOrder(job);
      await runOnPieces(
        async (openHeaderOf) => ({ kind: 'open', job: sorted, ...(await openHeaderOf(sorted)) }),
        headers.open,
        identities,
        engineOptions,
      );
    },
    digestSealed: async (runs, identities, engineOptions = {}) =>
      (await openRuns('digest', runs, identities, engineOptions)) as Digest,
    async readSealed(runs, identities, readOptions = {}) {
      const bytes = await openRuns('bytes', runs, identities, readOptions);
      if (readOptions.into === undefined) return bytes as Uint8Array;
      return new Uint8Array(
        readOptions.into,
        0,
        runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
      );
    },
    assertZero: async (runs, identities, engineOptions = {}) => {
      await openRuns('zero', runs, identities, engineOptions);
    },
    close() {
      headers.clear();
      return pool.close();
    },
  };
}
