import { constants } from 'node:fs';
import { access, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Digest, hexOf } from '../../core/digest.ts';
import { BUNDLE_ARTIFACT_TYPE } from '../../formats/bundle/media-types.ts';
import { decodeLayoutIndex, decodeLayoutMarker, encodeLayoutIndex, LAYOUT_MARKER } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { BlobStream } from '../../ports/image-target.ts';
import { AdapterError } from '../errors.ts';
import { clearTemporary, isTemporaryName, syncFolder, temporaryName, writeFileDurable } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { gathered } from '../files/gathered.ts';
import { statPlain } from '../files/plain-file.ts';
import { readSmallFile } from '../files/small-file.ts';
import { checkedBytes } from '../images/checked-bytes.ts';
import { lockTargetFolder, makeFolder } from '../images/target-folder.ts';

const MARKER_MAX_BYTES = 4096;
const INDEX_MAX_BYTES = 64 * 1024 * 1024;

/** The files of an image layout that we write. Everything that writes wants the lock held. */
export interface LayoutStore {
  readonly folder: string;
  /** The entries of index.json; none where there is no layout yet. */
  readIndex(): Promise<readonly Descriptor[]>;
  /** Bytes of a blob's file; `undefined` when none lies there. */
  sizeOf(digest: Digest): Promise<number | undefined>;
  /** Creates what is absent, takes the lock and clears what a writer left that was killed. */
  lock(): Promise<AsyncDisposable>;
  /** Hashed on the way, named after its last byte is on the disk. */
  writeBlob(blob: BlobStream, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Makes the names of all blobs durable, then replaces index.json. */
  commitIndex(entries: readonly Descriptor[]): Promise<void>;
  removeBlob(digest: Digest): Promise<void>;
}

export function createLayoutStore(folder: string): LayoutStore {
  const marker = join(folder, 'oci-layout');
  const index = join(folder, 'index.json');
  const blobs = join(folder, 'blobs', 'sha256');
  const pathOf = (digest: Digest) => join(blobs, hexOf(digest));
  return {
    folder,
    async readIndex() {
      const bytes = await readSmallFile(index, INDEX_MAX_BYTES);
      return bytes === undefined ? [] : decodeLayoutIndex(bytes);
    },
    async sizeOf(digest) {
      const facts = await statPlain(pathOf(digest));
      return facts?.isFile() ? facts.size : undefined;
    },
    async lock() {
      await assertLayout(folder, marker);
      await makeFolder(folder);
      return lockTargetFolder(folder, async () => {
        if ((await readSmallFile(marker, MARKER_MAX_BYTES)) === undefined) {
          await writeFileDurable(marker, LAYOUT_MARKER);
        }
        for (const path of [dirname(blobs), blobs]) await makeFolder(path);
        await clearTemporary(folder);
        await clearTemporary(blobs);
      });
    },
    async writeBlob(blob, options = {}) {
      const path = pathOf(blob.digest);
      const temporary = temporaryName(path);
      try {
        // `wx`: never through a link that somebody put there.
        await using file = await open(temporary, 'wx', 0o644);
        for await (const part of gathered(checkedBytes(blob, { hash: true, ...options }))) await file.writeFile(part);
        await file.datasync();
        await rename(temporary, path);
      } catch (cause) {
        await rm(temporary, { force: true }).catch(() => {});
        throw fileError(cause, path, 'write');
      }
    },
    async commitIndex(entries) {
      await syncFolder(blobs);
      await writeFileDurable(index, encodeLayoutIndex(entries));
    },
    async removeBlob(digest) {
      await rm(pathOf(digest), { force: true }).catch((cause) => {
        throw fileError(cause, pathOf(digest), 'write');
      });
    },
  };
}

/**
 * Whether images may be written into a folder: it is absent, empty, or an image layout already, and no medium of bundles.
 *
 * @throws AdapterError TARGET_NOT_EMPTY, FILE_UNREADABLE; FormatError LAYOUT_INVALID
 */
export async function assertLayout(folder: string, marker = join(folder, 'oci-layout')): Promise<void> {
  const names = await readdir(folder).catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return [];
    throw fileError(cause, folder, 'read');
  });
  const foreign = names.filter((name) => name !== '.portolan' && name !== 'lost+found' && !isTemporaryName(name));
  if (foreign.length === 0) return;
  const bytes = await readSmallFile(marker, MARKER_MAX_BYTES);
  if (bytes === undefined) throw notOurs(folder, `it holds ${foreign[0]} and is no image layout`);
  decodeLayoutMarker(bytes);
  const index = await readSmallFile(join(folder, 'index.json'), INDEX_MAX_BYTES);
  const entries = index === undefined ? [] : decodeLayoutIndex(index);
  if (entries.some(({ artifactType }) => artifactType === BUNDLE_ARTIFACT_TYPE)) {
    throw notOurs(folder, 'it is a medium of bundles');
  }
}

/** Whether this user may write there, or create it. @throws AdapterError READ_ONLY, FILE_UNWRITABLE */
export async function assertWritable(folder: string): Promise<void> {
  const place = (await statPlain(folder).catch(() => undefined)) === undefined ? dirname(folder) : folder;
  await access(place, constants.W_OK | constants.X_OK).catch((cause) => {
    throw fileError(cause, place, 'write');
  });
}

function notOurs(folder: string, why: string): AdapterError {
  return new AdapterError('TARGET_NOT_EMPTY', `Images cannot be written into ${folder}: ${why}`, {
    expected: 'a new or empty folder, or an OCI image layout',
    at: { file: folder },
    hint: 'Name a new or an empty folder. Nothing was written.',
  });
}
