import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, digestOf, hexOf } from '../../core/digest.ts';
import { TAR_END, tarHeader, tarPadding } from '../../formats/archive/tar.ts';
import { ARCHIVE_INDEX, archiveBlobPath } from '../../formats/oci/archive.ts';
import { encodeLayoutIndex, LAYOUT_MARKER } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { renameDurable, temporaryName } from '../files/durable.ts';
import { fileError } from '../files/file-error.ts';

/** An archive that grows under a name which k3s passes over. */
export interface ArchiveWriter extends AsyncDisposable {
  /** What it is to hold and does not hold yet. */
  readonly missing: ReadonlySet<Digest>;
  begin(digest: Digest, sizeBytes: number): Promise<void>;
  part(bytes: Uint8Array): Promise<void>;
  /** After exactly `sizeBytes` bytes. */
  end(): Promise<void>;
  /** Makes it durable and gives it its name. Returns its path. */
  commit(): Promise<string>;
}

export const ARCHIVE_PREFIX = 'portolan-';
const NAME = /^portolan-[0-9a-f]{32}\.tar$/;
const GATHER_BYTES = 1024 * 1024;

/** Whether an archive was written by {@link createArchive}. */
export function isArchiveName(name: string): boolean {
  return NAME.test(name);
}

/**
 * The name follows from the content: k3s does not import a file again that was replaced by one of the same size, and
 * padding makes equal sizes likely.
 */
export function archiveName(entries: readonly Descriptor[], blobs: ReadonlySet<Digest>): string {
  return `${ARCHIVE_PREFIX}${hexOf(digestOf(canonicalJson({ blobs: [...blobs].sort(), entries }))).slice(0, 32)}.tar`;
}

/** @throws AdapterError NO_SPACE, READ_ONLY, FILE_UNWRITABLE; so do the functions of what it returns */
export async function createArchive(
  folder: string,
  entries: readonly Descriptor[],
  blobs: ReadonlySet<Digest>,
): Promise<ArchiveWriter> {
  const path = join(folder, archiveName(entries, blobs));
  const temporary = temporaryName(path);
  const missing = new Set(blobs);
  const writing = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await act();
    } catch (cause) {
      throw fileError(cause, path, 'write');
    }
  };
  // Layers of private images: root alone reads them, as k3s does.
  const file = await writing(() => open(temporary, 'wx', 0o600));
  const sink = gatheringSink(file);
  let isClosed = false;
  const close = async () => {
    if (!isClosed) await file.close();
    isClosed = true;
  };
  let current: { digest: Digest; sizeBytes: number } | undefined;
  const writer: ArchiveWriter = {
    missing,
    async begin(digest, sizeBytes) {
      current = { digest, sizeBytes };
      await writing(() => sink.write(tarHeader({ path: archiveBlobPath(digest), sizeBytes, executable: false })));
    },
    part: (bytes) => writing(() => sink.write(bytes)),
    async end() {
      if (current === undefined) return;
      const { digest, sizeBytes } = current;
      current = undefined;
      await writing(() => sink.write(tarPadding(sizeBytes)));
      missing.delete(digest);
    },
    async commit() {
      await writing(async () => {
        await sink.write(TAR_END);
        await sink.flush();
        await file.datasync();
        await close();
      });
      await renameDurable(temporary, path);
      return path;
    },
    async [Symbol.asyncDispose]() {
      await close().catch(() => {});
      await rm(temporary, { force: true }).catch(() => {});
    },
  };
  try {
    const documents = { 'oci-layout': LAYOUT_MARKER, [ARCHIVE_INDEX]: encodeLayoutIndex(entries) };
    for (const [name, text] of Object.entries(documents)) {
      const bytes = Buffer.from(text);
      for (const part of [
        tarHeader({ path: name, sizeBytes: bytes.length, executable: false }),
        bytes,
        tarPadding(bytes.length),
      ]) {
        await writing(() => sink.write(part));
      }
    }
    return writer;
  } catch (cause) {
    await writer[Symbol.asyncDispose]();
    throw cause;
  }
}

/** Headers, paddings and the small parts of a decrypted stream become writes of a useful size. */
function gatheringSink(file: FileHandle) {
  const buffer = Buffer.allocUnsafe(GATHER_BYTES);
  let used = 0;
  const flush = async () => {
    const full = buffer.subarray(0, used);
    used = 0;
    if (full.length > 0) await file.writeFile(full);
  };
  return {
    flush,
    async write(bytes: Uint8Array) {
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + buffer.length - used);
        buffer.set(part, used);
        used += part.length;
        at += part.length;
        if (used === buffer.length) await flush();
      }
    },
  };
}
