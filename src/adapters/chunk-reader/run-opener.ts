import { CHUNK_BYTES, SEALED_CHUNK_BYTES } from '../../formats/age/payload.ts';
import { CHUNK_RECORD_BYTES, chunksOf } from '../../formats/repository/chunk-table.ts';
import type { ChunkReaderSettings } from '../../ports/chunks.ts';
import { createPacks, PackDoubt, readPack } from './packs.ts';
import { type ChunkRun, READ_BYTES } from './plan-runs.ts';
import type { ReaderReply, ReaderRequest, SealedFrames } from './requests.ts';

/** A run touches at most one age chunk more than it is long, at either end. */
const SLOT_BYTES = (READ_BYTES / CHUNK_BYTES + 2) * SEALED_CHUNK_BYTES;

/** Memory that the calling thread fills and a worker reads: room for the longest run. */
export function createSlot(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOT_BYTES);
}

/** The sealed bytes of a run, in a slot. */
export interface Fetched {
  readonly frames: SealedFrames;
  /** Which version of the pack's object they are from; the newest when undefined. */
  readonly version: string | undefined;
}

export interface RunOpening {
  readonly run: ChunkRun;
  readonly slot: SharedArrayBuffer;
  /** What a worker is to do; `done` of the run's chunks were handed on by an attempt before. */
  readonly request: (frames: SealedFrames, done: number) => ReaderRequest;
  readonly call: (request: ReaderRequest) => Promise<ReaderReply>;
  readonly signal: AbortSignal;
  /** When the read is under way already. */
  readonly fetched?: Promise<Fetched>;
}

export interface RunOpener {
  /** Reads the age chunks that a run touches. Rejects with PackDoubt when they are not there. */
  fetch(run: ChunkRun, slot: SharedArrayBuffer, signal: AbortSignal): Promise<Fetched>;
  /**
   * Opens a run in a worker. What does not fit is read again from a better version of its pack, from the first chunk on
   * that was not handed on.
   *
   * @throws AdapterError OBJECT_DAMAGED, CHUNK_DAMAGED, and what `settings.read` and the worker throw
   */
  open(opening: RunOpening): Promise<ReaderReply>;
}

export function createRunOpener(settings: ChunkReaderSettings, lifetime: AbortSignal): RunOpener {
  const packs = createPacks(settings, lifetime);

  async function fetch(run: ChunkRun, slot: SharedArrayBuffer, signal: AbortSignal): Promise<Fetched> {
    const pack = await unlessAborted(packs.open(run.pack), signal);
    const { key: payloadKey, payloadStart, source, version } = pack;
    const end = run.offsetBytes + run.lengthBytes;
    if (end > pack.plaintextBytes) throw new PackDoubt('a chunk lies outside of it', version);
    const firstChunk = Math.floor(run.offsetBytes / CHUNK_BYTES);
    const from = payloadStart + firstChunk * SEALED_CHUNK_BYTES;
    const to = Math.min(source.sizeBytes, payloadStart + Math.ceil(end / CHUNK_BYTES) * SEALED_CHUNK_BYTES);
    const sealedBytes = to - from;
    await readPack(settings, source, from, new Uint8Array(slot, 0, sealedBytes), version, signal);
    signal.throwIfAborted();
    const endsPayload = to === source.sizeBytes;
    return { version, frames: { slot, sealedBytes, firstChunk, endsPayload, payloadKey, chunks: run.chunks } };
  }

  return {
    fetch,
    async open({ run, slot, request, call, signal, fetched = fetch(run, slot, signal) }) {
      let done = 0;
      for (let attempt = fetched; ; attempt = fetch(withoutFirst(run, done), slot, signal)) {
        try {
          const { frames, version } = await attempt;
          const reply = await call(request(frames, done));
          if (reply.damage !== undefined) throw new PackDoubt(reply.damage.why, version, reply.damage.done);
          settings.onBytes?.(run.plainBytes);
          return reply;
        } catch (error) {
          if (!(error instanceof PackDoubt)) throw error;
          done += error.done;
          await unlessAborted(packs.recover(run.pack, error), signal);
        }
      }
    },
  };
}

/** What is read for several calls at once goes on for the others: one that is aborted stops waiting for it. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function withoutFirst(run: ChunkRun, done: number): ChunkRun {
  if (done === 0) return run;
  const chunks = run.chunks.subarray(done * CHUNK_RECORD_BYTES);
  const [first] = chunksOf(chunks);
  const offsetBytes = first?.offsetBytes ?? run.offsetBytes;
  return { ...run, chunks, offsetBytes, lengthBytes: run.offsetBytes + run.lengthBytes - offsetBytes };
}
