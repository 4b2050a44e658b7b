import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { type Digest, digestFromHex, digestOf, hexOf } from '../../core/digest.ts';
import { FormatError } from '../../formats/errors.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';

const READ_BYTES = 1024 * 1024;

/** Reads a file of the layout, at most `maxBytes`. */
export async function readLayoutFile(base: string, name: string, maxBytes: number): Promise<Uint8Array> {
  const path = await insidePath(base, join(base, name));
  const file = await openPlain(path);
  try {
    return await readWhole(file, path, maxBytes);
  } finally {
    await file.close();
  }
}

/** Whether the layout holds a blob; its content is not read. */
export async function hasBlob(base: string, digest: Digest): Promise<boolean> {
  return realpath(blobPath(base, digest)).then(
    () => true,
    () => false,
  );
}

/** A small blob, whole and verified. Raises BLOB_MISSING, LAYOUT_UNSAFE, BLOB_SIZE_MISMATCH, BLOB_DIGEST_MISMATCH. */
export async function readLayoutBlob(
  base: string,
  wanted: { readonly digest: Digest; readonly size?: number },
  maxBytes: number,
): Promise<{ bytes: Uint8Array; blob: LocalBlob }> {
  const path = await insidePath(base, blobPath(base, wanted.digest), wanted.digest);
  const file = await openPlain(path);
  try {
    await checkSize(file, path, wanted);
    const bytes = await readWhole(file, path, maxBytes);
    checkDigest(digestOf(bytes), wanted.digest, path);
    return { bytes, blob: { digest: wanted.digest, sizeBytes: bytes.byteLength, path } };
  } finally {
    await file.close();
  }
}

/** A blob in its place. With `hash`, its content is read once and compared; else its size alone. */
export async function locateLayoutBlob(
  base: string,
  wanted: { readonly digest: Digest; readonly size: number },
  options: { readonly hash: boolean; readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void },
): Promise<LocalBlob> {
  const path = await insidePath(base, blobPath(base, wanted.digest), wanted.digest);
  const file = await openPlain(path);
  try {
    await checkSize(file, path, wanted);
    if (options.hash) {
      const hash = createHash('sha256');
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (;;) {
        options.signal?.throwIfAborted();
        const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
        if (bytesRead === 0) break;
        hash.update(buffer.subarray(0, bytesRead));
        options.onBytes?.(bytesRead);
      }
      checkDigest(digestFromHex(hash.digest('hex')), wanted.digest, path);
    }
    return { digest: wanted.digest, sizeBytes: wanted.size, path };
  } finally {
    await file.close();
  }
}

function blobPath(base: string, digest: Digest): string {
  return join(base, 'blobs', 'sha256', hexOf(digest));
}

/** A layout may come from anywhere: a link in it must not make us pack a file of this machine. */
async function insidePath(base: string, path: string, digest?: Digest): Promise<string> {
  let real: string;
  try {
    real = await realpath(path);
  } catch (cause) {
    if (digest === undefined || (cause as NodeJS.ErrnoException).code !== 'ENOENT')
      throw fileError(cause, path, 'read');
    throw new AdapterError('BLOB_MISSING', 'The layout names a blob that it does not hold', {
      at: { file: path, digest },
      hint: 'Copy the image into the layout again, with all the platforms that you want.',
    });
  }
  if (real.startsWith(base.endsWith(sep) ? base : base + sep)) return real;
  throw new AdapterError('LAYOUT_UNSAFE', 'A link leads out of the layout', {
    at: { file: path },
    hint: 'Replace the link by a copy of the file; if you did not make this layout, do not trust it.',
  });
}

async function openPlain(path: string): Promise<FileHandle> {
  // O_NONBLOCK: a named pipe must not hold us before we have seen what it is.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((cause) => {
    throw fileError(cause, path, 'read');
  });
  const info = await file.stat();
  if (info.isFile()) return file;
  await file.close();
  throw new AdapterError('LAYOUT_UNSAFE', 'Something that is not a plain file lies in the layout', {
    at: { file: path },
  });
}

async function readWhole(file: FileHandle, path: string, maxBytes: number): Promise<Uint8Array> {
  const { size } = await file.stat();
  if (size > maxBytes) {
    throw new FormatError('MANIFEST_TOO_LARGE', 'A document of the layout is larger than any such document is', {
      expected: `at most ${maxBytes} bytes`,
      found: `${size} bytes`,
      at: { file: path },
    });
  }
  const buffer = Buffer.alloc(size);
  const { bytesRead } = await file.read(buffer, 0, size, 0);
  return buffer.subarray(0, bytesRead);
}

async function checkSize(
  file: FileHandle,
  path: string,
  wanted: { readonly digest: Digest; readonly size?: number },
): Promise<void> {
  const { size } = await file.stat();
  if (wanted.size === undefined || wanted.size === size) return;
  throw new AdapterError('BLOB_SIZE_MISMATCH', 'A blob of the layout is not as long as its descriptor says', {
    expected: `${wanted.size} bytes`,
    found: `${size} bytes`,
    at: { file: path, digest: wanted.digest },
  });
}

function checkDigest(found: Digest, expected: Digest, path: string): void {
  if (found === expected) return;
  throw new AdapterError('BLOB_DIGEST_MISMATCH', 'A blob of the layout does not have the digest of its name', {
    expected,
    found,
    at: { file: path, digest: expected },
  });
}
