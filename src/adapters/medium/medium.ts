import { opendir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { digestOf, hexOf } from '../../core/digest.ts';
import { encodeLayoutIndex } from '../../formats/oci/layout.ts';
import type { FileTransfer } from '../../ports/file-transfer.ts';
import type { Medium } from '../../ports/medium.ts';
import { AdapterError } from '../errors.ts';
import { syncFolder, writeFileDurable } from '../files/durable.ts';
import { fileError } from '../files/file-error.ts';
import { freeBytes } from '../files/free-bytes.ts';
import { readSmallFile } from '../files/small-file.ts';
import { blobDamaged, blobMissing, factsOf, readBackFailed } from './medium-files.ts';
import { assertMedium, assertOurEntries, mediumPaths, takeMediumFolder } from './medium-folder.ts';
import { readMediumIndex } from './medium-index.ts';
import { volumeAt } from './volume.ts';

export interface MediumOptions {
  /** An absent or empty folder becomes a medium (its parent must exist) when the first blob is written. */
  readonly create?: boolean;
  /** Small files and blobs are read back past the cache before they get their names. */
  readonly readBack?: FileTransfer['readBack'];
}

/**
 * Opens a medium.
 *
 * @throws AdapterError MEDIUM_NOT_FOUND, MEDIUM_NOT_OURS, FILE_UNREADABLE, FILE_TOO_LARGE; FormatError LAYOUT_INVALID
 */
export async function openMedium(path: string, options: MediumOptions = {}): Promise<Medium> {
  const paths = mediumPaths(resolve(path));
  const { folder, blobs, work } = paths;
  const { readBack } = options;
  await assertMedium(paths, options.create ?? false);
  let temporaryNames = 0;
  let place = await placeOf(folder);

  const write = (path: string, content: Uint8Array | string) =>
    writeFileDurable(path, content, {
      ...(readBack === undefined
        ? {}
        : { beforeRename: (temporary) => assertReadBack(readBack, temporary, path, content) }),
    });

  const blobPath: Medium['blobPath'] = (digest) => join(blobs, hexOf(digest));
  const readBlob: Medium['readBlob'] = async (digest, maxBytes) => {
    const bytes = await readSmallFile(blobPath(digest), maxBytes);
    if (bytes === undefined) throw blobMissing(blobPath(digest), digest);
    const found = digestOf(bytes);
    if (found !== digest) throw blobDamaged(blobPath(digest), digest, found);
    return bytes;
  };
  const medium: Medium = {
    folder,
    readIndex: () => readMediumIndex(paths.index, readBlob),
    commitIndex: (manifests) => write(paths.index, encodeLayoutIndex(manifests)),
    blobPath,
    statBlob: (digest) => factsOf(blobPath(digest)),
    readBlob,
    async readBlobStart(digest, maxBytes) {
      const bytes = await readSmallFile(blobPath(digest), maxBytes, { startOnly: true });
      if (bytes === undefined) throw blobMissing(blobPath(digest), digest);
      return bytes;
    },
    async putBlob(bytes) {
      const digest = digestOf(bytes);
      await write(blobPath(digest), bytes);
      return digest;
    },
    temporaryPath: () => join(work, `${process.pid}-${temporaryNames++}.part`),
    async commitBlob(temporaryPath, digest) {
      try {
        await rename(temporaryPath, blobPath(digest));
      } catch (cause) {
        throw fileError(cause, blobPath(digest), 'write');
      }
      const facts = await factsOf(blobPath(digest));
      if (facts === undefined) throw blobDamaged(blobPath(digest), digest, undefined);
      return facts;
    },
    syncBlobs: () => syncFolder(blobs),
    readFile: (name, maxBytes) => readSmallFile(join(folder, name), maxBytes),
    writeFile: (name, bytes) => write(join(folder, name), bytes),
    async removeFile(name) {
      await rm(join(folder, name), { force: true }).catch((cause) => {
        throw fileError(cause, join(folder, name), 'write');
      });
      await syncFolder(folder);
    },
    async listFiles() {
      const entries = await readdir(folder, { withFileTypes: true }).catch((cause) => {
        throw fileError(cause, folder, 'read');
      });
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => entry.name)
        .sort();
    },
    freeBytes: () => freeBytes(folder),
    // The folder may not be there yet: its parent is on the same file system.
    volume: () => volumeAt(folder).catch(() => volumeAt(dirname(folder))),
    async removeBlob(digest) {
      await rm(blobPath(digest), { force: true }).catch((cause) => {
        throw fileError(cause, blobPath(digest), 'write');
      });
      await syncFolder(blobs);
    },
    async assertThere() {
      if (place !== undefined && (await placeOf(folder)) === place) return;
      throw new AdapterError('DISK_GONE', `${folder} is not the medium any more that it was`, {
        at: { file: folder },
        hint: 'Was it pulled out, or unmounted? Mount it and run the command again. What was complete is not written again.',
      });
    },
    async removeOtherBlobs(keep) {
      const names = new Set([...keep].map(hexOf));
      try {
        for await (const { name } of await opendir(blobs)) {
          if (/^[0-9a-f]{64}$/.test(name) && !names.has(name)) await rm(join(blobs, name), { force: true });
        }
      } catch (cause) {
        throw fileError(cause, blobs, 'write');
      }
    },
    async lock() {
      const taken = await takeMediumFolder(paths);
      try {
        // Since it was opened another writer may have been here.
        await assertOurEntries(folder, await medium.readIndex(), readBlob);
        place = await placeOf(folder);
        return taken;
      } catch (error) {
        await taken[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
  if (options.create) await assertOurEntries(folder, await medium.readIndex(), readBlob);
  return medium;
}

/** Device and inode of a folder; `undefined` when nothing answers. */
async function placeOf(folder: string): Promise<string | undefined> {
  return stat(folder, { bigint: true }).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => undefined,
  );
}

async function assertReadBack(
  readBack: FileTransfer['readBack'],
  temporary: string,
  path: string,
  content: Uint8Array | string,
): Promise<void> {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const expected = digestOf(bytes);
  const { digest } = await readBack({ path: temporary, sizeBytes: bytes.length });
  if (digest !== expected) throw readBackFailed(path, expected, digest);
}
