import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../../core/digest.ts';
import { artifactTypeOf, MANIFEST_MAX_BYTES } from '../../formats/bundle/manifest.ts';
import { BUNDLE_ARTIFACT_TYPE } from '../../formats/bundle/media-types.ts';
import { decodeLayoutMarker, LAYOUT_MARKER } from '../../formats/oci/layout.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { SIGNATURE_MEDIA_TYPE } from '../../formats/sigstore/signature-bundle.ts';
import { AdapterError } from '../errors.ts';
import { clearTemporary, isTemporaryName, syncFolder, writeFileDurable } from '../files/durable.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { statPlain } from '../files/plain-file.ts';
import { type Holder, lockByProcess } from '../files/process-lock.ts';
import { readSmallFile } from '../files/small-file.ts';

/** The names in the folder of a medium. */
export interface MediumPaths {
  readonly folder: string;
  readonly marker: string;
  readonly index: string;
  /** blobs/sha256 */
  readonly blobs: string;
  /** Holds the lock and everything half written. Ignored by every reader of an OCI layout. */
  readonly work: string;
  readonly lock: string;
}

export function mediumPaths(folder: string): MediumPaths {
  const work = join(folder, '.portolan');
  return {
    folder,
    marker: join(folder, 'oci-layout'),
    index: join(folder, 'index.json'),
    blobs: join(folder, 'blobs', 'sha256'),
    work,
    lock: join(work, 'lock'),
  };
}

const MARKER_MAX_BYTES = 4096;
/** What a fresh stick has of its desktop or file system. */
const HARMLESS = new Set([
  'lost+found',
  'System Volume Information',
  '$RECYCLE.BIN',
  '.Trash-1000',
  '.Trashes',
  '.fseventsd',
  '.Spotlight-V100',
  '.DS_Store',
]);
const OUR_NAMES = new Set(['oci-layout', 'blobs', '.portolan', 'README.txt']);
/** What a medium may hold: bundles and their signatures. Anything else is somebody's image layout, not ours to write. */
const OUR_ARTIFACT_TYPES = new Set<string>([BUNDLE_ARTIFACT_TYPE, SIGNATURE_MEDIA_TYPE]);

/**
 * Holds a folder against what a medium is.
 *
 * @throws AdapterError MEDIUM_NOT_FOUND, MEDIUM_NOT_OURS, FILE_UNREADABLE; FormatError LAYOUT_INVALID
 */
export async function assertMedium(paths: MediumPaths, create: boolean): Promise<void> {
  const { folder } = paths;
  const names = await readdir(folder).catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return undefined;
    if (isErrno(cause) && cause.code === 'ENOTDIR')
      throw notOurs(folder, 'it is a file', create ? WRITE_HINT : READ_HINT);
    throw fileError(cause, folder, 'read');
  });
  if (names === undefined || names.length === 0) {
    if (create) return;
    throw new AdapterError('MEDIUM_NOT_FOUND', names ? `${folder} is empty` : `There is no folder ${folder}`, {
      at: { file: folder },
      hint: 'Name the folder of the medium: the one that holds index.json and blobs. Is the stick mounted?',
    });
  }
  const marker = await readSmallFile(paths.marker, MARKER_MAX_BYTES);
  if (marker !== undefined) decodeLayoutMarker(marker);
  if (marker !== undefined && (await statPlain(paths.index)) !== undefined) return;
  // A writer that was killed before its first commit leaves no index.json.
  const foreign = names.find((name) => !isOurName(name));
  if (create && foreign === undefined) return;
  if (create)
    throw notOurs(folder, `it holds ${foreign} and ${marker === undefined ? 'no oci-layout' : 'no index.json'}`);
  if (marker === undefined && foreign !== undefined) throw notOurs(folder, 'it has no oci-layout', READ_HINT);
  throw new AdapterError('MEDIUM_NOT_FOUND', `${folder} holds no finished bundle`, {
    at: { file: paths.index },
    hint: 'The build or the copy that wrote it did not finish: run it again.',
  });
}

function isOurName(name: string): boolean {
  return HARMLESS.has(name) || OUR_NAMES.has(name) || name.endsWith('.sigstore.json') || isTemporaryName(name);
}

/**
 * Refuses to write where index.json names anything but bundles and their signatures. Movers drop or change the artifact
 * type of an entry: then its manifest tells.
 *
 * @throws AdapterError MEDIUM_NOT_OURS
 */
export async function assertOurEntries(
  folder: string,
  entries: readonly Descriptor[],
  readBlob: (digest: Digest, maxBytes: number) => Promise<Uint8Array>,
): Promise<void> {
  for (const { artifactType, digest } of entries) {
    if (OUR_ARTIFACT_TYPES.has(artifactType ?? '')) continue;
    const bytes = await readBlob(digest, MANIFEST_MAX_BYTES).catch(() => undefined);
    if (bytes !== undefined && OUR_ARTIFACT_TYPES.has(artifactTypeOf(bytes) ?? '')) continue;
    throw notOurs(folder, `its index.json names ${digest}, which is no bundle`);
  }
}

/**
 * Takes a folder for writing: creates it where it is absent, takes the lock, clears what a writer left that was killed, and
 * creates what is missing. What is disposed of in the end leaves nothing of a writer behind, and nothing at all of one
 * that wrote nothing.
 *
 * @throws AdapterError MEDIUM_BUSY, MEDIUM_NOT_OURS, NO_SPACE, READ_ONLY, FILE_UNWRITABLE
 */
export async function takeMediumFolder(paths: MediumPaths): Promise<AsyncDisposable> {
  const { folder, work } = paths;
  const isNew = await createFolder(folder);
  let lock: AsyncDisposable | undefined;
  const leave = async () => {
    // A medium that is gone cannot be tidied, and its lock will be found stale: the first error is what matters.
    if (lock !== undefined) await tidy(paths).catch(() => {});
    await Promise.allSettled([lock?.[Symbol.asyncDispose]()]);
    // Another writer's lock keeps these folders, and it tidies up in its turn.
    await removed(work);
    if (isNew) await removed(folder);
  };
  try {
    await assertFolder(folder, work);
    lock = await lockByProcess(paths.lock, (holder) => mediumBusy(paths, holder));
    await createRest(paths);
    await clearLeftovers(paths);
    return { [Symbol.asyncDispose]: leave };
  } catch (cause) {
    await leave();
    throw fileError(cause, folder, 'write');
  }
}

/** @returns whether the folder is new. */
async function createFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (cause) {
    if (isErrno(cause) && cause.code === 'EEXIST') return false;
    throw fileError(cause, folder, 'write');
  }
}

async function createRest({ folder, marker, blobs }: MediumPaths): Promise<void> {
  if ((await readSmallFile(marker, MARKER_MAX_BYTES)) === undefined) {
    await writeFileDurable(marker, LAYOUT_MARKER);
    await syncFolder(dirname(folder));
  }
  for (const path of [dirname(blobs), blobs]) {
    await assertFolder(folder, path);
    await createFolder(path);
  }
}

/** A link here would let the one who made the medium choose where files are written and removed. */
async function assertFolder(folder: string, path: string): Promise<void> {
  const facts = await statPlain(path);
  if (facts !== undefined && !facts.isDirectory()) throw notOurs(folder, `${path} is not a folder`);
}

async function clearLeftovers({ folder, blobs, work }: MediumPaths): Promise<void> {
  await clearTemporary(folder);
  await clearTemporary(blobs);
  for (const name of await readdir(work)) if (name.endsWith('.part')) await rm(join(work, name), { force: true });
}

async function tidy(paths: MediumPaths): Promise<void> {
  if ((await statPlain(paths.index)) === undefined) await removeEmpty(paths);
}

/** A medium without a bundle and without a blob: nothing was written. Only with the lock held. */
async function removeEmpty({ folder, blobs, marker }: MediumPaths): Promise<void> {
  if (!(await removed(blobs)) || !(await removed(dirname(blobs)))) return;
  const others = (await readdir(folder)).filter(
    (name) => !HARMLESS.has(name) && name !== 'oci-layout' && name !== '.portolan',
  );
  if (others.length === 0) await rm(marker, { force: true });
}

async function removed(folder: string): Promise<boolean> {
  return rmdir(folder).then(
    () => true,
    () => false,
  );
}

function mediumBusy({ folder, lock }: MediumPaths, holder: Holder | undefined): AdapterError {
  const writer = holder === undefined ? 'another process' : `process ${holder.pid} of the machine ${holder.host}`;
  return new AdapterError('MEDIUM_BUSY', `${folder} is being written by ${writer}`, {
    at: { file: lock },
    hint: 'Wait until that process is done, or end it, then run the command again. Where its machine is gone, wait a minute.',
  });
}

const WRITE_HINT = 'Name an empty or a new folder. Nothing was written.';
const READ_HINT = 'Name the folder of the medium: the one that holds index.json and blobs.';

function notOurs(folder: string, why: string, hint = WRITE_HINT): AdapterError {
  return new AdapterError('MEDIUM_NOT_OURS', `${folder} is not a medium of bundles: ${why}`, {
    at: { file: folder },
    hint,
  });
}
