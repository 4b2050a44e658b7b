/**
 * The sealing engine: age files on worker threads. The calling thread wraps and unwraps file keys, one or two jobs ahead of
 * the workers; a worker does all that grows with the size.
 */
import { constants } from 'node:fs';
import { open as openFile, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Digest } from '../../core/digest.ts';
import { createWorkerPool } from '../../core/worker-pool.ts';
import { createHeader, headerLengthBytes, MAX_HEADER_BYTES, openHeader } from '../../formats/age/header.ts';
import { FormatError } from '../../formats/errors.ts';
import type { EngineOptions, OpenJob, SealedPiece, SealedRun, SealingEngine } from '../../ports/sealing.ts';
import { AdapterError } from '../errors.ts';
import { decodeFailure } from './failure.ts';
import { readFailure } from './local-files.ts';
import { pieceDamaged, pieceReadFailure } from './piece-errors.ts';
import type { OpenRequest, SealingReply, SealingRequest, SyncMode } from './requests.ts';

export interface SealingEngineOptions {
  /** Default: one for each processor, at least 2 and at most 4: each takes about 17 MiB. */
  readonly workers?: number;
  /** The module that a worker runs. A single executable passes a `data:` URL of the bundled module. */
  readonly workerUrl?: URL;
  /** Default `fsync`. `fdatasync` saves a write of times; `none` is for targets that are synced as a whole afterwards. */
  readonly sync?: SyncMode;
}

/** What most headers fit in: read first, and only what is longer costs a second read. */
const FIRST_READ_BYTES = 8 * 1024;

export function createSealingEngine(options: SealingEngineOptions = {}): SealingEngine {
  const sync = options.sync ?? 'fsync';
  const pool = createWorkerPool<SealingRequest, SealingReply>({
    url: options.workerUrl ?? new URL('./worker.ts', import.meta.url),
    workers: options.workers ?? Math.min(4, Math.max(2, availableParallelism())),
    decodeFailure,
    lost: (cause) =>
      new AdapterError('WORKER_DIED', 'a worker thread ended unexpectedly', {
        cause,
        hint: 'Check that the machine has free memory, and run the command again.',
      }),
    closed: () =>
      new AdapterError('ENGINE_CLOSED', 'the sealing engine was closed before this was done', {
        hint: 'Run the command again.',
      }),
  });

  async function hash(path: string, sizeBytes: number, engineOptions: EngineOptions): Promise<Digest> {
    const reply = await pool.run({ ...engineOptions, prepare: () => ({ kind: 'digest', job: { path, sizeBytes } }) });
    return reply as Digest;
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
    digest: (job, engineOptions = {}) => hash(job.path, job.sizeBytes, engineOptions),
    async open(job, identities, engineOptions = {}) {
      const sorted = inOrder(job);
      let badHeader: FormatError | undefined;
      try {
        await pool.run({
          ...engineOptions,
          prepare: () =>
            prepareOpen(sorted, identities).catch((error) => {
              if (error instanceof FormatError) badHeader = error;
              throw error;
            }),
        });
      } catch (error) {
        if (badHeader === undefined || error !== badHeader) throw error;
        await assertIntact(job, engineOptions, badHeader);
        throw badHeader;
      }
    },
    digestSealed: async (runs, identities, engineOptions = {}) =>
      (await openRuns('digest', runs, identities, engineOptions)) as Digest,
    readSealed: async (runs, identities, engineOptions = {}) =>
      (await openRuns('bytes', runs, identities, engineOptions)) as Uint8Array,
    close: () => pool.close(),
  };

  function openRuns(
    result: 'digest' | 'bytes',
    runs: readonly SealedRun[],
    identities: readonly string[],
    engineOptions: EngineOptions,
  ): Promise<SealingReply> {
    return pool.run({
      ...engineOptions,
      prepare: async () => {
        const opened = [];
        for (const run of runs) {
          const header = await readHeader(run);
          opened.push({ ...run, header, fileKey: await openHeader(header, identities) });
        }
        return { kind: 'runs', runs: opened, result };
      },
    });
  }

  /** A flipped bit in a header looks like a missing identity: the digest of the piece tells which it is. */
  async function assertIntact(job: OpenJob, engineOptions: EngineOptions, cause: unknown): Promise<void> {
    const { signal } = engineOptions;
    const { digest, sizeBytes } = job.expected;
    const found = await hash(job.path, sizeBytes, signal === undefined ? {} : { signal }).catch((error) => {
      if (error instanceof AdapterError && error.code === 'FILE_SIZE_MISMATCH') {
        throw pieceDamaged(job, 'it has the wrong size', sizeBytes, error.found, cause);
      }
      throw pieceReadFailure(job, error);
    });
    if (found !== digest) throw pieceDamaged(job, 'its digest is wrong', digest, found, cause);
  }
}

async function prepareOpen(job: OpenJob, identities: readonly string[]): Promise<OpenRequest> {
  const header = await readHeader(job);
  return { kind: 'open', job, header, fileKey: await openHeader(header, identities) };
}

/** Reads a bounded prefix of the piece and cuts the header out of it. */
async function readHeader(job: Pick<OpenJob, 'path' | 'expected'>): Promise<Uint8Array> {
  try {
    // Without O_NONBLOCK a named pipe in the place of a piece would hang here.
    const file = await openFile(job.path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) throw new Error('it is not a regular file');
      for (const limit of [FIRST_READ_BYTES, MAX_HEADER_BYTES]) {
        const { bytesRead, buffer } = await file.read(new Uint8Array(limit), 0, limit, 0);
        const prefix = buffer.subarray(0, bytesRead);
        const length = headerLengthBytes(prefix);
        if (length !== undefined) return prefix.slice(0, length);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw error instanceof FormatError ? error : pieceReadFailure(job, readFailure(job.path, error));
  }
  throw new FormatError('AGE_MALFORMED', 'the age file is malformed: it is cut within its header', {
    at: { file: job.path, digest: job.expected.digest },
    hint: 'Take the file from its source again.',
  });
}

/** Sorts the runs as the worker wants them. PIECE_RUN_OUT_OF_RANGE when one leaves the piece. */
function inOrder(job: OpenJob): OpenJob {
  const assertInside = (offsetBytes: number, lengthBytes: number) => {
    const end = offsetBytes + lengthBytes;
    if (offsetBytes >= 0 && lengthBytes >= 0 && end <= job.plaintextBytes && Number.isSafeInteger(end)) return;
    throw new AdapterError('PIECE_RUN_OUT_OF_RANGE', 'a run of bytes lies outside of its piece', {
      at: { file: job.path, digest: job.expected.digest },
      expected: `within ${job.plaintextBytes} bytes`,
      found: `${lengthBytes} bytes at ${offsetBytes}`,
      hint: 'Do not use this bundle; ask its publisher to build it again.',
    });
  };
  for (const write of job.writes) assertInside(write.pieceOffsetBytes, write.lengthBytes);
  for (const run of job.zeroRuns) assertInside(run.offsetBytes, run.lengthBytes);
  for (const blob of job.wholeBlobs ?? []) assertInside(blob.offsetBytes, blob.lengthBytes);
  return {
    ...job,
    writes: job.writes.toSorted((a, b) => a.pieceOffsetBytes - b.pieceOffsetBytes),
    wholeBlobs: (job.wholeBlobs ?? []).toSorted((a, b) => a.offsetBytes - b.offsetBytes),
  };
}
