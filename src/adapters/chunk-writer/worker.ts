/** The worker thread of the chunk writer. It imports no age library: headers are the main thread's work. */
import { parentPort, workerData } from 'node:worker_threads';
import { JobAborted } from '../../core/worker-pool.ts';
import { CHUNK_AVERAGE_BYTES, CHUNK_MAX_BYTES, CHUNK_MIN_BYTES } from '../../formats/repository/chunk-table.ts';
import { encodeFailure } from '../sealing/failure.ts';
import { openChunkIndex } from './chunk-index.ts';
import { createChunkSink } from './chunk-sink.ts';
import { createChunker } from './chunker.ts';
import type { CopySource } from './copy-source.ts';
import { feedFile } from './file-source.ts';
import type { FromWorker, JobReply, ToWorker, WorkerJob, WorkerStart } from './messages.ts';
import { readRing } from './ring.ts';
import { isBroken } from './shared-memory.ts';
import { feedSmallFiles } from './small-files.ts';

/** Progress is told in steps of this size: a message for every block would cost more than it shows. */
const PROGRESS_STEP_BYTES = 8 * 1024 * 1024;
const NOTHING: JobReply = { sizeBytes: 0, chunks: new Uint8Array(0), reusedBytes: 0, rows: 0 };

const port = parentPort;
if (port === null) throw new Error('this module runs in a worker thread only');
const start = workerData as WorkerStart;
const post = (message: FromWorker) => port.postMessage(message);

let current = 0;
let untold = 0;
let copySource: CopySource | undefined;
let abortCopy: (() => void) | undefined;

const isWanted = () => Atomics.load(start.control, 0) !== current && !isBroken(start.memory);
const checkWanted = () => {
  if (!isWanted()) throw new JobAborted();
};
const advance = (bytes: number) => {
  checkWanted();
  untold += bytes;
  if (untold < PROGRESS_STEP_BYTES) return;
  post({ type: 'bytes', bytes: untold });
  untold = 0;
};

const sink = createChunkSink({
  memory: start.memory,
  index: openChunkIndex(start.index),
  chunkIdKey: start.chunkIdKey,
  checkWanted,
  onSealed: (pack) => post({ type: 'pack', pack }),
});
const chunker = createChunker(
  start.gear,
  { minBytes: CHUNK_MIN_BYTES, averageBytes: CHUNK_AVERAGE_BYTES, maxBytes: CHUNK_MAX_BYTES },
  sink.take,
);

port.on('message', (message: ToWorker) => {
  if (message.type === 'abort') {
    if (message.number === current) abortCopy?.();
    return;
  }
  current = message.number;
  untold = 0;
  handle(message.job).then(
    (reply) => settle({ type: 'done', reply, bytes: untold }),
    (error) => {
      chunker.reset();
      sink.finish();
      if (error instanceof JobAborted || !isWanted()) settle({ type: 'aborted' });
      else settle({ type: 'failed', failure: encodeFailure(error), bytes: untold });
    },
  );
});

function settle(message: FromWorker): void {
  current = 0;
  post(message);
}

async function handle(job: WorkerJob): Promise<JobReply> {
  chunker.reset();
  if (job.kind === 'flush') {
    sink.flush();
    await copySource?.close();
    return NOTHING;
  }
  let rows = 0;
  if (job.kind === 'file') feedFile(job.file, chunker, advance);
  else if (job.kind === 'small-files') feedSmallFiles(job.files, chunker, { advance, leaveOut: sink.leaveOut });
  else if (job.kind === 'stream') feedStream();
  else {
    const abort = new AbortController();
    abortCopy = () => abort.abort(new JobAborted());
    try {
      copySource ??= await newCopySource();
      rows = await copySource.feed(job.copy, { advance, signal: abort.signal });
    } finally {
      abortCopy = undefined;
    }
  }
  chunker.end();
  checkWanted();
  return { ...sink.finish(), rows };
}

/** Loaded by the first job that wants it: the driver costs each worker 3 MiB and 20 ms, and files need none. */
async function newCopySource(): Promise<CopySource> {
  const { createCopySource } = await import('./copy-source.ts');
  return createCopySource(chunker, start.silenceMs);
}

function feedStream(): void {
  for (;;) {
    const length = readRing(start.ring, chunker.room(), checkWanted);
    checkWanted();
    if (length === 0) return;
    chunker.accept(length);
    advance(length);
  }
}
