import { mkdir, open, opendir, readdir, rename, rm, rmdir, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Digest, digestOf, hexOf } from '../../core/digest.ts';
import { BUNDLE_ARTIFACT_TYPE } from '../../formats/bundle/media-types.ts';
import { decodeLayoutIndex, decodeLayoutMarker, encodeLayoutIndex, LAYOUT_MARKER } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { BlobFacts, Medium } from '../../ports/medium.ts';
import { AdapterError } from '../errors.ts';
import { renameDurable, syncFolder, writeFileDurable } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { fingerprintOf } from '../files/fingerprint.ts';
import { lockMedium } from './medium-lock.ts';

/** What a medium may hold: bundles and their signatures. Anything else is somebody's image layout, not ours to write. */
const OUR_ARTIFACT_TYPES = new Set<string>([BUNDLE_ARTIFACT_TYPE, 'application/vnd.dev.sigstore.bundle.v0.3+json']);

const INDEX_MAX_BYTES = 16 * 1024 * 1024;
/** Holds the lock and everything half written. Ignored by every reader of an OCI layout. */
const WORK_FOLDER = '.portolan';

/**
 * Opens a medium. With `create`, an absent or empty folder becomes one (its parent must exist) when the first blob is written.
 *
 * @throws AdapterError MEDIUM_NOT_FOUND, MEDIUM_NOT_OURS, FILE_UNREADABLE
 */
export async function openMedium(path: string, options: { readonly create?: boolean } = {}): Promise<Medium> {
  const folder = resolve(path);
  const blobs = join(folder, 'blobs', 'sha256');
  const work = join(folder, WORK_FOLDER);
  await assertOurs(folder, options.create ?? false);
  let temporaryNames = 0;

  const blobPath = (digest: Digest) => join(blobs, hexOf(digest));
  const medium: Medium = {
    folder,
    async readIndex() {
      const bytes = await readSmall(join(folder, 'index.json'), INDEX_MAX_BYTES);
      return bytes === undefined ? [] : decodeLayoutIndex(bytes);
    },
    commitIndex: (manifests) => writeFileDurable(join(folder, 'index.json'), encodeLayoutIndex(manifests)),
    blobPath,
    async statBlob(digest) {
      return factsOf(blobPath(digest));
    },
    async readBlob(digest, maxBytes) {
      const bytes = await readSmall(blobPath(digest), maxBytes);
      if (bytes === undefined) {
        throw new AdapterError('BLOB_MISSING', `A file of the bundle is missing`, {
          at: { file: blobPath(digest), digest },
          hint: 'Copy the bundle again from where it came from.',
        });
      }
      const found = digestOf(bytes);
      if (found !== digest) throw damaged(blobPath(digest), digest, found);
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
      if (facts === undefined) throw damaged(blobPath(digest), digest, undefined);
      return facts;
    },
    syncBlobs: () => syncFolder(blobs),
    readFile: (name, maxBytes) => readSmall(join(folder, name), maxBytes),
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
      for await (const entry of await opendir(blobs)) {
        if (/^[0-9a-f]{64}$/.test(entry.name) && !names.has(entry.name)) await rm(join(blobs, entry.name), { force: true });
      }
    },
    async lock() {
      await prepare(folder, blobs, work);
      const lock = await lockMedium(join(work, 'lock'), folder);
      for (const name of await readdir(work)) {
        if (name.endsWith('.part')) await rm(join(work, name), { force: true });
      }
      return {
        async [Symbol.asyncDispose]() {
          await lock[Symbol.asyncDispose]();
          // Leaves nothing of ours behind; another writer's lock keeps the folder.
          await rmdir(work).catch(() => {});
        },
      };
    },
  };
  return medium;
}

async function prepare(folder: string, blobs: string, work: string): Promise<void> {
  try {
    await mkdir(folder).catch((cause) => {
      if (!isErrno(cause) || cause.code !== 'EEXIST') throw cause;
    });
    await mkdir(blobs, { recursive: true });
    await mkdir(work, { recursive: true });
    if ((await readSmall(join(folder, 'oci-layout'), 4096)) === undefined) {
      await writeFileDurable(join(folder, 'oci-layout'), LAYOUT_MARKER);
      await syncFolder(dirname(folder));
    }
  } catch (cause) {
    throw fileError(cause, folder, 'write');
  }
}

async function assertOurs(folder: string, create: boolean): Promise<void> {
  const names = await readdir(folder).catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
    if (isErrno(cause) && cause.code === 'ENOTDIR') return ['(a file, not a folder)'];
    throw fileError(cause, folder, 'read');
  });
  if (names === undefined || names.length === 0) {
    if (create) return;
    throw new AdapterError('MEDIUM_NOT_FOUND', names ? `${folder} is empty` : `There is no folder ${folder}`, {
      at: { file: folder },
      hint: 'Name the folder of the medium: the one that holds index.json and blobs. Is the stick mounted?',
    });
  }
  // A fresh stick has folders of its desktop; a writer that was killed before its first commit leaves no index.
  const marker = await readSmall(join(folder, 'oci-layout'), 4096);
  if (marker === undefined) {
    if (create && names.every((name) => HARMLESS.has(name))) return;
    throw notOurs(folder, 'it holds other files and no oci-layout');
  }
  decodeLayoutMarker(marker);
  const index = await readSmall(join(folder, 'index.json'), INDEX_MAX_BYTES);
  if (index === undefined) {
    if (create && names.every((name) => HARMLESS.has(name) || OUR_NAMES.has(name))) return;
    throw create
      ? notOurs(folder, 'it has no index.json')
      : new AdapterError('MEDIUM_NOT_FOUND', `${folder} holds no finished bundle`, {
          at: { file: join(folder, 'index.json') },
          hint: 'The build that wrote it did not finish: run it again.',
        });
  }
  const foreign = decodeLayoutIndex(index).find((entry) => !OUR_ARTIFACT_TYPES.has(entry.artifactType ?? ''));
  if (foreign !== undefined && create) {
    throw notOurs(folder, `its index.json names ${foreign.digest}, which is no bundle`);
  }
}

const HARMLESS = new Set(['lost+found', 'System Volume Information', '.Trash-1000', '.fseventsd', '.Spotlight-V100']);
const OUR_NAMES = new Set(['oci-layout', 'blobs', WORK_FOLDER, 'README.txt']);

function notOurs(folder: string, why: string): AdapterError {
  return new AdapterError('MEDIUM_NOT_OURS', `${folder} is not a medium of bundles: ${why}`, {
    at: { file: folder },
    hint: 'Name an empty or a new folder. Nothing was written.',
  });
}

function damaged(file: string, expected: Digest, found: Digest | undefined): AdapterError {
  return new AdapterError('BLOB_DAMAGED', `A file of the bundle is not what the bundle says`, {
    expected,
    ...(found === undefined ? {} : { found }),
    at: { file, digest: expected },
    hint: 'Copy the bundle again from where it came from.',
  });
}

async function factsOf(path: string): Promise<BlobFacts | undefined> {
  try {
    const facts = await stat(path);
    return facts.isFile() ? { sizeBytes: facts.size, fingerprint: await fingerprintOf(path) } : undefined;
  } catch (cause) {
    if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
    throw fileError(cause, path, 'read');
  }
}

/** Reads at most `maxBytes`: what lies on a medium is unauthenticated, and its size is anybody's choice. */
async function readSmall(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
    throw fileError(cause, path, 'read');
  }
  try {
    const facts = await file.stat();
    // A link to a device would have no end.
    if (!facts.isFile()) {
      throw new AdapterError('FILE_UNREADABLE', `${path} is not a file`, { at: { file: path } });
    }
    const { size } = facts;
    if (size > maxBytes) {
      throw new AdapterError('FILE_TOO_LARGE', `${path} is larger than such a file ever is`, {
        expected: maxBytes,
        found: size,
        at: { file: path },
        hint: 'The medium is damaged or hostile: copy it again from where it came from.',
      });
    }
    return await file.readFile();
  } catch (cause) {
    throw fileError(cause, path, 'read');
  } finally {
    await file.close();
  }
}
