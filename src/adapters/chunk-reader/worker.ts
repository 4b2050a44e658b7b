/** The worker thread of the chunk reader: opens, decompresses and checks chunks, writes them to files and into COPY. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { fileError } from '../files/file-error.ts';
import { encodeFailure } from '../sealing/failure.ts';
import type { CopySessions } from './copy-sessions.ts';
import { chunkIdKeyObject, FramesDamaged, openFrames, release } from './frames.ts';
import type { FileWrite, ReaderReply, ReaderRequest, SealedFrames, WorkerMessage, WorkerSettings } from './requests.ts';

const port = parentPort;
if (port === null) throw new Error('this module runs in a worker thread only');
const { chunkIdKey, silenceMs } = workerData as WorkerSettings;
const idKey = chunkIdKeyObject(chunkIdKey);
let copies: Promise<CopySessions> | undefined;

port.on('message', ({ call, request }: { readonly call: number; readonly request: ReaderRequest }) => {
  handle(request).then(
    (reply) => {
      const handedOver = (reply.pieces ?? []).map(({ buffer }) => buffer as ArrayBuffer);
      port.postMessage({ call, reply } satisfies WorkerMessage, handedOver);
    },
    (error) => {
      const answer: WorkerMessage =
        error instanceof FramesDamaged
          ? { call, reply: { damage: error.damage } }
          : { call, failure: encodeFailure(error) };
      port.postMessage(answer);
    },
  );
});

async function handle(request: ReaderRequest): Promise<ReaderReply> {
  switch (request.kind) {
    case 'check':
      for (const chunk of openFrames(request.frames, idKey)) release(chunk);
      return {};
    case 'bytes':
      return { pieces: [...openFrames(request.frames, idKey)] };
    case 'file':
      writeFile(request.frames, request.path, request.writes);
      return {};
    case 'copy-open':
      await (await copySessions()).open(request.job);
      return {};
    case 'copy-frames':
      await (await copySessions()).send(openFrames(request.frames, idKey));
      return {};
    case 'copy-end':
      return { rows: await (await copySessions()).end() };
    case 'copy-abort':
      await (await copySessions()).abort();
      return {};
    case 'close':
      await (await copies)?.close();
      return {};
  }
}

/** PostgreSQL's client is loaded by those alone who need it. */
function copySessions(): Promise<CopySessions> {
  copies ??= import('./copy-sessions.ts').then(({ createCopySessions }) => createCopySessions(silenceMs));
  return copies;
}

function writeFile(frames: SealedFrames, path: string, writes: readonly FileWrite[]): void {
  const pending = writes.map((write) => ({ ...write }));
  let file: number | undefined;
  try {
    // The file exists; nothing that was put in its place by way of a link is written to.
    file = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    for (const chunk of openFrames(frames, idKey)) {
      try {
        for (let done = 0; done < chunk.length; ) {
          const [write] = pending;
          if (write === undefined) throw new Error('a run of chunks is longer than the place for it');
          const length = Math.min(write.lengthBytes, chunk.length - done);
          const written = writeSync(file, chunk, done, length, write.offsetBytes);
          done += written;
          write.offsetBytes += written;
          write.lengthBytes -= written;
          if (write.lengthBytes === 0) pending.shift();
        }
      } finally {
        release(chunk);
      }
    }
  } catch (error) {
    throw fileError(error, path, 'write');
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
