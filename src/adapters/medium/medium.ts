import { opendir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { digestOf, hexOf } from '../../core/digest.ts';
import { encodeLayoutIndex } from '../../formats/oci/layout.ts';
import type { Medium } from '../../ports/medium.ts';
import { syncFolder, writeFileDurable } from '../files/durable.ts';
import { fileError } from '../files/file-error.ts';
import { readSmallFile } from '../files/small-file.ts';
import { blobDamaged, blobMissing, factsOf } from './medium-files.ts';
import { assertMedium, assertOurEntries, mediumPaths, takeMediumFolder } from './medium-folder.ts';
import { readMediumIndex } from './medium-index.ts';

/**
 * Opens a medium. With `create`, an absent or empty folder becomes one (its parent must exist) when the first blob is written.
 *
 * @throws AdapterError MEDIUM_NOT_FOUND, MEDIUM_NOT_OURS, FILE_UNREADABLE, FILE_TOO_LARGE; FormatError LAYOUT_INVALID
 */
export async function openMedium(path: string, options: { readonly create?: boolean } = {}): Promise<Medium> {
  const paths = mediumPaths(resolve(path));
  const { folder, blobs, work } = paths;
  await assertMedium(paths, options.create ?? false);
  let temporaryNames = 0;

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
    commitIndex: (manifests) => writeFileDurable(paths.index, encodeLayoutIndex(manifests)),
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
      await writeFileDurable(blobPath(digest), bytes);
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
    writeFile: (name, bytes) => writeFileDurable(join(folder, name), bytes),
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
    async freeBytes() {
      // The folder may not be there yet: its parent is on the same file system.
      const facts = await statfs(folder).catch(() => statfs(dirname(folder)));
      return facts.bavail * facts.bsize;
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
