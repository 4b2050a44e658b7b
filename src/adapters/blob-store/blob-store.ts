import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Digest, digestFromHex, digestOf, hexOf } from '../../core/digest.ts';
import { backoffMs, pause, type RetryPolicy } from '../../core/retry.ts';
import type { BlobStore, LocalBlob } from '../../ports/blobs.ts';
import { AdapterError } from '../errors.ts';
import { renameDurable, writeFileDurable } from '../files/durable.ts';
import { fileError } from '../files/file-error.ts';
import { openPartial, type PartialFile, removePartials } from './partial-file.ts';

/**
 * A folder of blobs, laid out like an OCI image layout's: `blobs/sha256/<hex>`. A name without a suffix is whole and was
 * hashed on its way in; see partial-file.ts for what is not whole yet.
 */
export interface BlobStoreOptions {
  /** How often a transfer that breaks off is taken up again without a byte of progress in between. */
  readonly resume?: RetryPolicy;
}

type Expected = Parameters<BlobStore['putStream']>[0];
type OpenFrom = Parameters<BlobStore['putStream']>[1];
type PutOptions = NonNullable<Parameters<BlobStore['putStream']>[2]>;

const DEFAULT_RESUME: RetryPolicy = { attempts: 5, baseDelayMs: 500, maxDelayMs: 15_000 };
/** A server that sends a little and dies, again and again, must not hold us for ever. */
const MAX_RESUMES = 50;
const WRITE_BYTES = 1024 * 1024;

/** Creates `folder` with the first blob. */
export function createBlobStore(folder: string, options: BlobStoreOptions = {}): BlobStore {
  const blobs = join(resolve(folder), 'blobs', 'sha256');
  const policy = options.resume ?? DEFAULT_RESUME;
  const running = new Map<Digest, Promise<LocalBlob>>();
  const pathOf = (digest: Digest): string => join(blobs, hexOf(digest));

  const find: BlobStore['find'] = async (digest, sizeBytes) => {
    const path = pathOf(digest);
    const info = await stat(path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return undefined;
      throw fileError(cause, path, 'read');
    });
    if (!info?.isFile() || (sizeBytes !== undefined && info.size !== sizeBytes)) return undefined;
    return { digest, sizeBytes: info.size, path };
  };

  const putBytes: BlobStore['putBytes'] = async (bytes) => {
    const digest = digestOf(bytes);
    const present = await find(digest, bytes.byteLength);
    // Small enough to be looked at: a copy that rotted on disk is replaced.
    if (present && digestOf(await readFile(present.path)) === digest) return present;
    await makeFolder(blobs);
    await writeFileDurable(pathOf(digest), bytes);
    return { digest, sizeBytes: bytes.byteLength, path: pathOf(digest) };
  };

  const putStream: BlobStore['putStream'] = async (expected, openFrom, putOptions = {}) => {
    for (;;) {
      putOptions.signal?.throwIfAborted();
      const present = await find(expected.digest, expected.sizeBytes);
      if (present) return present;
      const other = running.get(expected.digest);
      if (other === undefined) break;
      // Images share layers: one transfer serves all who wait. If it fails, it is this caller's turn.
      await other.catch(() => {});
    }
    const work = transfer(blobs, expected, openFrom, policy, putOptions).then(async () => {
      await removePartials(blobs, expected.digest);
      return { ...expected, path: pathOf(expected.digest) };
    });
    running.set(expected.digest, work);
    try {
      return await work;
    } finally {
      running.delete(expected.digest);
    }
  };

  return { find, putBytes, putStream };
}

async function makeFolder(blobs: string): Promise<void> {
  try {
    // Layers of private images: nobody else's business on a shared machine.
    await mkdir(blobs, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fileError(cause, blobs, 'write');
  }
}

async function transfer(
  blobs: string,
  expected: Expected,
  openFrom: OpenFrom,
  policy: RetryPolicy,
  options: PutOptions,
): Promise<void> {
  await makeFolder(blobs);
  const open = async (fresh: boolean): Promise<PartialFile> => {
    try {
      return await openPartial(blobs, expected.digest, expected.sizeBytes, { ...options, fresh });
    } catch (cause) {
      throw fileError(cause, join(blobs, hexOf(expected.digest)), 'write');
    }
  };
  const partial = await open(false);
  try {
    await fill(partial, blobs, expected, openFrom, policy, options);
  } catch (failure) {
    // A prefix from an earlier run may be what is wrong (a power cut leaves zeros): once more from the start.
    const isWrong = failure instanceof AdapterError && failure.code === 'BLOB_DIGEST_MISMATCH';
    if (!isWrong || partial.sizeBytes === 0) throw failure;
    await fill(await open(true), blobs, expected, openFrom, policy, options);
  }
}

/** Receives the rest of the blob, checks it, and gives it its final name. Closes the partial file; removes it if it is of no use. */
async function fill(
  partial: PartialFile,
  blobs: string,
  expected: Expected,
  openFrom: OpenFrom,
  policy: RetryPolicy,
  options: PutOptions,
): Promise<void> {
  const { path, file, hash } = partial;
  const final = join(blobs, hexOf(expected.digest));
  try {
    if (partial.sizeBytes > 0) options.onBytes?.(partial.sizeBytes);
    await receive(partial, expected, openFrom, policy, options);
    const found = digestFromHex(hash.digest('hex'));
    if (found !== expected.digest) {
      throw new AdapterError('BLOB_DIGEST_MISMATCH', 'A blob does not have the digest by which it was asked for', {
        expected: expected.digest,
        found,
        at: { digest: expected.digest },
      });
    }
    await file.sync();
  } catch (cause) {
    const failure = fileError(cause, final, 'write');
    // Nothing is gained by keeping what is wrong, or by keeping a disk full.
    const useless = ['BLOB_DIGEST_MISMATCH', 'BLOB_SIZE_MISMATCH', 'NO_SPACE'];
    if (failure instanceof AdapterError && useless.includes(failure.code)) await rm(path, { force: true });
    throw failure;
  } finally {
    await partial.close();
  }
  await renameDurable(path, final);
}

async function receive(
  partial: PartialFile,
  expected: Expected,
  openFrom: OpenFrom,
  policy: RetryPolicy,
  options: PutOptions,
): Promise<void> {
  const writer = createWriter(partial, expected, options);
  let idle = 0;
  for (let opened = 0; opened === 0 || writer.position() < expected.sizeBytes; opened += 1) {
    options.signal?.throwIfAborted();
    const before = writer.position();
    // A partial that was whole when its process died needs no transfer.
    if (before === expected.sizeBytes && before > 0) return;
    const stream = await openFrom(before, options.signal);
    let failure: unknown;
    try {
      for await (const chunk of stream) await writer.write(chunk);
    } catch (cause) {
      options.signal?.throwIfAborted();
      if (writer.failed()) throw cause;
      failure = cause;
    } finally {
      await writer.flush();
    }
    if (failure === undefined && writer.position() === expected.sizeBytes) return;
    idle = writer.position() > before ? 0 : idle + 1;
    if (idle >= policy.attempts || opened >= MAX_RESUMES) {
      throw failure ?? sizeMismatch(expected, `${writer.position()} bytes`);
    }
    await pause(backoffMs(idle + 1, policy), options);
  }
}

interface Writer {
  /** Bytes received, with those of earlier runs. */
  position(): number;
  write(chunk: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  /** Whether the fault was ours (the disk) or final (too long), so that asking again is of no use. */
  failed(): boolean;
}

/** Gathers chunks into large writes: the network's 16 KiB pieces would cost a system call each. */
function createWriter(partial: PartialFile, expected: Expected, options: PutOptions): Writer {
  const buffer = Buffer.allocUnsafe(WRITE_BYTES);
  let written = partial.sizeBytes;
  let used = 0;
  let failed = false;
  const flush = async (): Promise<void> => {
    let done = 0;
    try {
      while (done < used) {
        const { bytesWritten } = await partial.file.write(buffer, done, used - done, written + done);
        done += bytesWritten;
      }
    } catch (cause) {
      failed = true;
      used = 0;
      throw cause;
    }
    written += used;
    used = 0;
  };
  return {
    position: () => written + used,
    failed: () => failed,
    flush,
    write: async (chunk) => {
      options.signal?.throwIfAborted();
      if (written + used + chunk.byteLength > expected.sizeBytes) {
        failed = true;
        throw sizeMismatch(expected, `more than ${expected.sizeBytes} bytes`);
      }
      partial.hash.update(chunk);
      for (let at = 0; at < chunk.byteLength; ) {
        const part = chunk.subarray(at, at + buffer.length - used);
        buffer.set(part, used);
        used += part.byteLength;
        at += part.byteLength;
        if (used === buffer.length) await flush();
      }
      options.onBytes?.(chunk.byteLength);
    },
  };
}

function sizeMismatch(expected: Expected, found: string): AdapterError {
  return new AdapterError('BLOB_SIZE_MISMATCH', 'A blob is not as long as its descriptor says', {
    expected: `${expected.sizeBytes} bytes`,
    found,
    at: { digest: expected.digest },
  });
}
