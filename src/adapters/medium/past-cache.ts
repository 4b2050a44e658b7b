/**
 * Reading past the kernel's page cache (O_DIRECT, open(2)): what was just written would else be read from memory, and a bad
 * stick look good. The kernel wants buffers, offsets and lengths at multiples of the disk's block.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { type Digest, digestFromHex } from '../../core/digest.ts';
import type { CacheDoubt, FileToRead, ReadBack, TransferOptions } from '../../ports/file-transfer.ts';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { openSized } from './sized-file.ts';
import { volumeAt } from './volume.ts';

/** Disks answer large reads faster; there is no reading ahead past the cache. */
const READ_BYTES = 1024 * 1024;
/** A multiple of every disk's block. */
const ALIGNMENT_BYTES = 4096;
const WASM_PAGE_BYTES = 65_536;

/** What of it is used here: the types of Node have only its namespace. */
interface WithWebAssembly {
  readonly WebAssembly: {
    readonly Memory: new (size: { readonly initial: number; readonly maximum: number }) => { buffer: ArrayBuffer };
  };
}

/** The memory of WebAssembly begins at a page of the machine; where an ArrayBuffer begins nobody says. */
function alignedBuffers(): readonly [Uint8Array, Uint8Array] {
  const pages = (2 * READ_BYTES) / WASM_PAGE_BYTES;
  const { Memory } = (globalThis as unknown as WithWebAssembly).WebAssembly;
  const { buffer } = new Memory({ initial: pages, maximum: pages });
  return [new Uint8Array(buffer, 0, READ_BYTES), new Uint8Array(buffer, READ_BYTES, READ_BYTES)];
}

export interface BackReader {
  readBack(file: FileToRead, options?: TransferOptions): Promise<ReadBack>;
}

/** Each reader has two buffers of 1 MiB, and reads one file at a time. */
export function createBackReader(): BackReader {
  const buffers = alignedBuffers();
  return {
    async readBack(file, options = {}) {
      const { path } = file;
      const { cached } = await volumeAt(path);
      const direct = await hashFile(file, constants.O_DIRECT, buffers, options);
      if (direct !== undefined) return { digest: direct, ...(cached === undefined ? {} : { cached }) };
      const digest = await hashFile(file, 0, buffers, options);
      if (digest === undefined) throw new Error(`cannot read ${path}`);
      return { digest, cached: cached ?? ('unsupported' satisfies CacheDoubt) };
    },
  };
}

/** `undefined` where the file system refuses direct reading. */
async function hashFile(
  { path, sizeBytes }: FileToRead,
  flags: number,
  buffers: readonly [Uint8Array, Uint8Array],
  { signal, onBytes }: TransferOptions,
): Promise<Digest | undefined> {
  let counted = 0;
  try {
    await using file = await openSized(path, sizeBytes, flags);
    const hash = createHash('sha256');
    let [current, spare] = buffers;
    let reading = readBlock(file, current, 0, sizeBytes);
    try {
      for (let offset = 0; offset < sizeBytes; ) {
        const length = await reading;
        if (length === 0) throw cut(path, sizeBytes, offset);
        signal?.throwIfAborted();
        const full = current.subarray(0, length);
        offset += length;
        [current, spare] = [spare, current];
        reading = offset < sizeBytes ? readBlock(file, current, offset, sizeBytes) : Promise.resolve(0);
        hash.update(full);
        counted += length;
        onBytes?.(length);
      }
    } finally {
      // The buffers are another file's next: nothing may still be on its way into them.
      await Promise.allSettled([reading]);
    }
    return digestFromHex(hash.digest('hex'));
  } catch (cause) {
    if (flags !== 0 && isErrno(cause) && (cause.code === 'EINVAL' || cause.code === 'ENOTSUP')) {
      // The file is read again from its start.
      onBytes?.(-counted);
      return undefined;
    }
    throw fileError(cause, path, 'read');
  }
}

/** Reads up to a block; never beyond the size, and only whole multiples of the alignment before the end. */
async function readBlock(file: FileHandle, buffer: Uint8Array, offset: number, sizeBytes: number): Promise<number> {
  const wanted = Math.min(READ_BYTES, sizeBytes - offset);
  const asked = Math.min(READ_BYTES, Math.ceil(wanted / ALIGNMENT_BYTES) * ALIGNMENT_BYTES);
  const { bytesRead } = await file.read(buffer, 0, asked, offset);
  if (bytesRead >= wanted) return wanted;
  return Math.floor(bytesRead / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

function cut(path: string, expected: number, found: number): AdapterError {
  return new AdapterError('FILE_SIZE_MISMATCH', `${path} ends too early`, {
    at: { file: path },
    expected,
    found,
    hint: 'Let nothing else write there, and run the command again.',
  });
}
