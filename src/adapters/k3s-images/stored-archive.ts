import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type Digest, digestFromHex, digestOf } from '../../core/digest.ts';
import { readTarDirectory, type TarEntry } from '../../formats/archive/tar-directory.ts';
import { ARCHIVE_INDEX, digestOfArchivePath } from '../../formats/oci/archive.ts';
import { ANNOTATION_CONTAINERD_NAME, decodeLayoutIndex } from '../../formats/oci/layout.ts';
import { MAX_MANIFEST_BYTES } from '../../formats/oci/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { fileError } from '../files/file-error.ts';
import { reachableFrom } from '../images/reachable.ts';

/** One of our archives in the folder, open for reading. */
export interface StoredArchive extends AsyncDisposable {
  readonly path: string;
  /** Its images: each entry is named by {@link nameOfEntry}. */
  readonly entries: readonly Descriptor[];
  readonly blobs: ReadonlyMap<Digest, TarEntry>;
  /** A blob's bytes, hashed: the last part is followed by an error where they are not what the digest says. */
  read(digest: Digest, options?: { readonly signal?: AbortSignal }): AsyncGenerator<Uint8Array>;
  /** Every blob that entries lead to and that the archive holds. */
  reachableFrom(entries: readonly Descriptor[]): Promise<Set<Digest>>;
}

const INDEX_MAX_BYTES = 64 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;

export function nameOfEntry(entry: Descriptor): string {
  return entry.annotations?.[ANNOTATION_CONTAINERD_NAME] ?? '';
}

/** `undefined` when it is not a whole archive of ours: nothing in it counts then. */
export async function openArchive(path: string): Promise<StoredArchive | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((cause) => {
    throw fileError(cause, path, 'read');
  });
  try {
    const archive = await openedArchive(path, file);
    if (archive === undefined) await file.close();
    return archive;
  } catch (cause) {
    await file.close();
    throw fileError(cause, path, 'read');
  }
}

async function openedArchive(path: string, file: FileHandle): Promise<StoredArchive | undefined> {
  const { size } = await file.stat();
  const directory = await readTarDirectory((offset, length) => readAt(file, offset, length));
  const index = directory?.find((entry) => entry.path === ARCHIVE_INDEX);
  const isCut = directory?.some(({ offset, sizeBytes }) => offset + sizeBytes > size) ?? true;
  if (directory === undefined || index === undefined || isCut || index.sizeBytes > INDEX_MAX_BYTES) return undefined;
  const blobs = new Map<Digest, TarEntry>();
  for (const entry of directory) {
    const digest = digestOfArchivePath(entry.path);
    if (digest !== undefined) blobs.set(digest, entry);
  }
  const entries = decodeLayoutIndex(await readAt(file, index.offset, index.sizeBytes));
  return {
    path,
    entries,
    blobs,
    read: (digest, options = {}) => readBlob(file, digest, blobs.get(digest), options.signal),
    reachableFrom: (wanted) => reachableInside(file, blobs, wanted),
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function* readBlob(
  file: FileHandle,
  digest: Digest,
  entry: TarEntry | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (entry === undefined) throw new RangeError(`${digest} is not in the archive`);
  const hash = createHash('sha256');
  for (let done = 0; done < entry.sizeBytes; ) {
    signal?.throwIfAborted();
    const part = await readAt(file, entry.offset + done, Math.min(READ_BYTES, entry.sizeBytes - done));
    if (part.length === 0) break;
    hash.update(part);
    done += part.length;
    yield part;
  }
  if (digestFromHex(hash.digest('hex')) !== digest) throw new DamagedBlob(digest);
}

/** A blob of an older archive is not what its name says. */
export class DamagedBlob extends Error {
  readonly digest: Digest;
  constructor(digest: Digest) {
    super(`${digest} is damaged`);
    this.digest = digest;
  }
}

async function reachableInside(
  file: FileHandle,
  blobs: ReadonlyMap<Digest, TarEntry>,
  wanted: readonly Descriptor[],
): Promise<Set<Digest>> {
  const found = await reachableFrom(wanted, async ({ digest }) => {
    const entry = blobs.get(digest);
    if (entry === undefined) return undefined;
    const bytes = await readAt(file, entry.offset, Math.min(entry.sizeBytes, MAX_MANIFEST_BYTES + 1));
    if (digestOf(bytes) !== digest) throw new DamagedBlob(digest);
    return bytes;
  });
  return new Set([...found].filter((digest) => blobs.has(digest)));
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
