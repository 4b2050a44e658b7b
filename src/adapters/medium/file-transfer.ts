import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { type Digest, digestFromHex } from '../../core/digest.ts';
import type { CopyJob, FileTransfer, TransferOptions } from '../../ports/file-transfer.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import { blobDamaged } from './medium-files.ts';
import { type BackReader, createBackReader } from './past-cache.ts';
import { openSized } from './sized-file.ts';

/** Large enough that a system call costs nothing, small enough to stay in the processor's cache. */
const BLOCK_BYTES = 1024 * 1024;

interface Lane {
  readonly buffers: readonly [Uint8Array, Uint8Array];
  readonly reader: BackReader;
}

/**
 * A transfer for as many files at once as are asked for: each takes a lane of 4 MiB. Reading, hashing and writing of one file
 * overlap: the system's calls run beside the hash, and one file is synced while the next is read.
 */
export function createFileTransfer(): FileTransfer {
  const idle: Lane[] = [];
  const inLane = async <T>(work: (lane: Lane) => Promise<T>): Promise<T> => {
    const lane = idle.pop() ?? {
      buffers: [new Uint8Array(BLOCK_BYTES), new Uint8Array(BLOCK_BYTES)],
      reader: createBackReader(),
    };
    try {
      return await work(lane);
    } finally {
      idle.push(lane);
    }
  };
  return {
    copy: (job, options = {}) => inLane(({ buffers }) => copyFile(job, buffers, options)),
    readBack: (file, options = {}) => inLane(({ reader }) => reader.readBack(file, options)),
  };
}

async function copyFile(job: CopyJob, buffers: Lane['buffers'], options: TransferOptions): Promise<void> {
  const { from, to, sizeBytes, digest } = job;
  await using source = await openSized(from, sizeBytes).catch((cause) => {
    throw fileError(cause, from, 'read');
  });
  const before = await source.stat({ bigint: true });
  // `wx`: never through a link that somebody put there.
  const target = await open(to, 'wx').catch((cause) => {
    throw fileError(cause, to, 'write');
  });
  try {
    const found = await pump(source, target, job, buffers, options);
    const after = await source.stat({ bigint: true });
    if (after.size !== before.size || after.mtimeNs !== before.mtimeNs) throw changed(from, sizeBytes);
    if (found !== digest) throw blobDamaged(from, digest, found);
    await written(to, () => target.sync());
    // Closing may be where a network file system tells that it has no space.
    await written(to, () => target.close());
  } catch (error) {
    await target.close().catch(() => {});
    await rm(to, { force: true }).catch(() => {});
    throw error;
  }
}

/** While one block is hashed and written, the next is read. */
async function pump(
  source: FileHandle,
  target: FileHandle,
  { from, to, sizeBytes }: CopyJob,
  buffers: Lane['buffers'],
  { signal, onBytes }: TransferOptions,
): Promise<Digest> {
  const hash = createHash('sha256');
  let [current, spare] = buffers;
  let reading = readBlock(source, current, from, sizeBytes);
  let writing: Promise<void> = Promise.resolve();
  try {
    for (let offset = 0; offset < sizeBytes; ) {
      const length = await reading;
      if (length === 0) throw changed(from, sizeBytes);
      signal?.throwIfAborted();
      const full = current.subarray(0, length);
      const at = offset;
      writing = written(to, () => writeFully(target, full, at));
      offset += length;
      [current, spare] = [spare, current];
      reading = readBlock(source, current, from, sizeBytes - offset);
      hash.update(full);
      await writing;
      onBytes?.(length);
    }
    return digestFromHex(hash.digest('hex'));
  } finally {
    // The buffers are another file's next: nothing may still be on its way into them.
    await Promise.allSettled([reading, writing]);
  }
}

async function readBlock(source: FileHandle, buffer: Uint8Array, path: string, leftBytes: number): Promise<number> {
  if (leftBytes === 0) return 0;
  try {
    return (await source.read(buffer, 0, Math.min(buffer.length, leftBytes))).bytesRead;
  } catch (cause) {
    throw fileError(cause, path, 'read');
  }
}

async function writeFully(target: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await target.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
}

async function written<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw fileError(cause, path, 'write');
  }
}

function changed(path: string, sizeBytes: number): AdapterError {
  return new AdapterError('SOURCE_CHANGED', 'a file changed while it was read', {
    at: { file: path },
    expected: `${sizeBytes} bytes, untouched`,
    hint: 'Let whatever writes to it finish, and run the command again.',
  });
}
