import { retold } from '../../../core/retold.ts';
import type { FileEntry } from '../../../formats/repository/contents.ts';
import type { SourceWriter } from '../../../ports/backup-source.ts';
import type { ChunkTable, StreamRecord } from '../../../ports/chunks.ts';
import type { Extent, FileFacts, ReadableFile, ReadableFolder } from '../../../ports/file-tree.ts';
import { isCode } from '../../repository/objects.ts';
import type { Found } from './walk.ts';

export interface ReadBytes {
  /** What the contents say of a file's bytes. */
  readonly bytes: Pick<FileEntry, 'extents' | 'stream' | 'sizeBytes'>;
  /** Of the file when it was read. */
  readonly facts: FileFacts;
  /** Bytes of the stream. */
  readonly readBytes: number;
  /** It was written to all the while: these bytes may never have been there together. */
  readonly isTorn: boolean;
  /** Of all of its bytes, where those are the ones that it had under these facts. */
  readonly chunks?: ChunkTable;
}

/** A file that is being written to is read again so often. */
const ATTEMPTS = 3;
/** A file that takes so much less of its disk than its size has holes, or its file system compresses: worth looking. */
const HOLE_BYTES = 4096;

export function isSparse({ sizeBytes, allocatedBytes }: FileFacts): boolean {
  return sizeBytes - allocatedBytes >= HOLE_BYTES;
}

/**
 * Reads a file into a stream, holes left out; again when it changed meanwhile. The stream is written once, or not at all.
 * `undefined` when the file vanished, or is something else by now.
 */
export async function readBytes(
  writer: SourceWriter,
  stream: string,
  { name, facts: found }: Pick<Found, 'name' | 'facts'>,
  folder: ReadableFolder,
  signal: AbortSignal,
): Promise<ReadBytes | undefined> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const [facts] = attempt === 1 ? [found] : await folder.look([name]);
    if (facts?.kind !== 'file') return undefined;
    if (facts.sizeBytes === 0) return { bytes: { sizeBytes: 0 }, facts, readBytes: 0, isTorn: false };
    const read = isSparse(facts)
      ? await readSparse(writer, stream, name, folder, signal)
      : await readWhole(writer, stream, { name, facts }, folder, signal);
    if (read !== 'changed') return read;
  }
  // A log that never rests: as much of it as there is now.
  await using file = await folder.open(name);
  if (file === undefined) return undefined;
  const whole = { offsetBytes: 0, lengthBytes: file.facts.sizeBytes };
  const { sizeBytes } = await writer.stream(stream, file.read(whole, { signal }));
  return { bytes: { sizeBytes, stream }, facts: file.facts, readBytes: sizeBytes, isTorn: true };
}

type Outcome = ReadBytes | 'changed' | undefined;

async function readWhole(
  writer: SourceWriter,
  stream: string,
  { name, facts }: Pick<Found, 'name' | 'facts'>,
  folder: ReadableFolder,
  signal: AbortSignal,
): Promise<Outcome> {
  const read = await readUnchanged(writer, stream, name, folder, { signal });
  if (read === undefined || read === 'changed') return read;
  const { sizeBytes, chunks } = read;
  // Of its size when it was read: that it grew since it was looked at is no harm.
  const record = { bytes: { sizeBytes, stream }, facts, readBytes: sizeBytes, isTorn: false };
  return sizeBytes === facts.sizeBytes ? { ...record, chunks } : record;
}

async function readSparse(
  writer: SourceWriter,
  stream: string,
  name: Buffer,
  folder: ReadableFolder,
  signal: AbortSignal,
): Promise<Outcome> {
  await using file = await folder.open(name);
  if (file === undefined) return undefined;
  const { facts } = file;
  const extents = await file.extents({ signal });
  const bytes = { sizeBytes: facts.sizeBytes, extents: extents.map(pairOf) };
  if (extents.length === 0) {
    return (await isUntouched(file)) ? { bytes, facts, readBytes: 0, isTorn: false } : 'changed';
  }
  const read = await readUnchanged(writer, stream, name, folder, { signal, extents });
  if (read === undefined || read === 'changed') return read;
  // Something may have come to lie in a hole between the look at the holes and the reading.
  return { bytes: { ...bytes, stream }, facts, readBytes: read.sizeBytes, isTorn: !(await isUntouched(file)) };
}

async function isUntouched(file: ReadableFile): Promise<boolean> {
  const { mtimeNs, sizeBytes } = await file.look();
  return mtimeNs === file.facts.mtimeNs && sizeBytes === file.facts.sizeBytes;
}

/** Bytes that were read; nothing of a file that changed meanwhile counts. */
async function readUnchanged(
  writer: SourceWriter,
  stream: string,
  name: Buffer,
  folder: ReadableFolder,
  options: { readonly signal: AbortSignal; readonly extents?: readonly Extent[] },
): Promise<StreamRecord | 'changed' | undefined> {
  const path = folder.pathOf(name);
  try {
    return await writer.file(stream, path, options);
  } catch (error) {
    if (isCode(error, 'SOURCE_CHANGED')) return 'changed';
    if (isCode(error, 'FILE_MISSING')) return undefined;
    // It may be a link or a folder by now, which would be no fault of its disk.
    if (isCode(error, 'FILE_UNREADABLE') && (await folder.look([name]))[0]?.kind !== 'file') return undefined;
    throw retold(error, Buffer.from(path).toString(), `${folder.place}/${name}`);
  }
}

function pairOf({ offsetBytes, lengthBytes }: Extent): readonly [number, number] {
  return [offsetBytes, lengthBytes];
}
