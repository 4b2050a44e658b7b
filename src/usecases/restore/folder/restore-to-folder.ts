import { deriveChunkIdKey } from '../../../formats/repository/chunk-keys.ts';
import type {
  ContentsEntry,
  EndEntry,
  FileEntry,
  SourceEntry,
  StreamEntry,
} from '../../../formats/repository/contents.ts';
import { decodeFilesEndRecord } from '../../../formats/repository/files-record.ts';
import type { ChunkReader, ChunkReaderSettings } from '../../../ports/chunks.ts';
import type { FileTreeWriter, WritableFolder } from '../../../ports/file-tree.ts';
import type { Progress } from '../../../ports/progress.ts';
import { UseCaseError } from '../../errors.ts';
import type { OpenedSnapshot } from '../../repository/open-snapshot.ts';
import { createPathSelection, type PathSelection } from '../files/path-selection.ts';
import { createFilesRestore, type FilesRestore, findLonelyLinks } from '../files/restore-files.ts';
import { createDatabaseFiles, type DatabaseFiles } from './database-files.ts';
import { createIsEqual } from './equal-file.ts';
import { createFileWriter, type FileWriter } from './file-writer.ts';
import { namesOf } from './item-names.ts';
import { isResumed, removeMarker, setMarker } from './marker.ts';
import { createOpenFolders, type OpenFolders } from './open-folders.ts';
import { createPendingStreams, type PendingStreams, type WholeStream } from './pending-streams.ts';
import { createRestoreNotes, type RestoreNotes } from './restore-notes.ts';

export interface FolderRequest {
  /** Absolute. Made if it is not there; its parent must be. */
  readonly folder: string;
  /** By their names in the snapshot; all when empty. */
  readonly sources: readonly string[];
  /** Of file sources only these, and what is below them: relative to the source's folder. Without any, all of all sources. */
  readonly paths: readonly string[];
  /** Also into a folder that holds something: what the snapshot has is replaced, the rest stays. */
  readonly overwrite: boolean;
  /** Looks at everything and writes nothing. */
  readonly plan: boolean;
}

export interface FolderDependencies {
  readonly files: FileTreeWriter;
  readonly createChunkReader: (settings: ChunkReaderSettings) => Promise<ChunkReader>;
  readonly progress: Progress;
}

export interface FolderReport {
  readonly folder: string;
  readonly sources: readonly FolderSource[];
  /** Items that were there already, whole and equal: a restore before was broken off. */
  readonly keptItems: number;
  /** What could not be put back as it was: owners without root, sockets, devices. */
  readonly notes: readonly string[];
}

export interface FolderSource {
  /** Its name in the snapshot, and that of its folder. */
  readonly source: string;
  readonly kind: 'postgres' | 'files';
  /** Where it was read from. */
  readonly name: string;
  /** Files, folders, links; or streams of a database. */
  readonly items: number;
  readonly sizeBytes: number;
}

/**
 * Restores a snapshot into a folder: file sources with everything that they had, databases as the files that psql and pg_restore
 * take (docs/read-back.md), each source in a folder of its name. Nothing is written outside of the folder, whatever the contents
 * say. Every chunk is authenticated and its id computed before a byte of it is written. Killed and called again, it goes on:
 * what is whole and equal is kept.
 *
 * @throws UseCaseError RESTORE_FOLDER_NOT_EMPTY, RESTORE_NAME_UNKNOWN, SNAPSHOT_NOT_RIGHT; AdapterError, FormatError of the parts
 */
export async function restoreToFolder(
  opened: OpenedSnapshot,
  request: FolderRequest,
  { files, createChunkReader, progress }: FolderDependencies,
  { signal }: { readonly signal: AbortSignal },
): Promise<FolderReport> {
  const { folder, plan } = request;
  const { sources: listed } = opened.details;
  for (const name of request.sources) {
    if (!listed.some((source) => source.name === name))
      throw unknownSource(
        name,
        listed.map((source) => source.name),
      );
  }
  const paths = createPathSelection(request.paths);
  if (plan) return { folder, sources: await survey(opened, request, paths, signal), keptItems: 0, notes: [] };

  const lonely = await lookAhead(opened, request, paths, signal);
  const { digest } = opened.snapshot;
  await using root = await files.openRoot(folder);
  await root.clear();
  const resumed = await isResumed(root, digest, { overwrite: request.overwrite, signal });
  const isEmpty = (await root.list(1)).length === 0;
  if (!resumed) await setMarker(root, digest);
  const totalBytes = listed
    .filter(({ name, kind }) => isChosen(request, name, kind))
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const task = progress.task('restoring', request.paths.length === 0 ? totalBytes : undefined);
  const reader = await createChunkReader({ ...opened.reading, onBytes: (bytes) => task.advance(bytes), signal });
  try {
    const notes = createRestoreNotes();
    if (!files.isPrivileged)
      notes.add('owner', 'everything belongs to the user who restores: only root can give files away');
    const target: Target = { root, notes, isResumed: resumed, looksFirst: !isEmpty };
    const done = await restoreAll(opened, request, { paths, lonely }, files, reader, target, signal);
    // Once, and not for each file: until the marker is gone, whoever comes again compares every file with its chunks.
    if (!(await root.sync()))
      notes.add('sync', 'the program sync is missing here: what was restored may not be on the disk yet');
    await removeMarker(root);
    return { folder, ...done, notes: notes.all() };
  } finally {
    await reader.close();
    task.done();
  }
}

/** Before anything is written: whether the snapshot has the paths, and which of them are further names of other files. */
async function lookAhead(
  opened: OpenedSnapshot,
  request: FolderRequest,
  paths: PathSelection,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, FileEntry>> {
  if (request.paths.length === 0) return new Map();
  async function* chosen() {
    for await (const entry of opened.contents({ signal })) if (isChosen(request, entry.source, 'files')) yield entry;
  }
  const lonely = await findLonelyLinks(chosen(), paths);
  paths.requireUsed();
  return lonely;
}

interface Target {
  readonly root: WritableFolder;
  readonly notes: RestoreNotes;
  readonly isResumed: boolean;
  /** The folder held something before. */
  readonly looksFirst: boolean;
}

async function restoreAll(
  opened: OpenedSnapshot,
  request: FolderRequest,
  { paths: selection, lonely }: { readonly paths: PathSelection; readonly lonely: ReadonlyMap<string, FileEntry> },
  files: FileTreeWriter,
  reader: ChunkReader,
  { root, notes, isResumed: resumed, looksFirst }: Target,
  signal: AbortSignal,
): Promise<Pick<FolderReport, 'sources' | 'keptItems'>> {
  const { idKey, repository } = opened.reading;
  let keptItems = 0;
  await using folders = createOpenFolders(root);
  const writer = createFileWriter({
    reader,
    isEqual: createIsEqual(deriveChunkIdKey(idKey, repository)),
    looksFirst,
    onRefused: notes.addRefused,
    onKept: () => {
      keptItems += 1;
    },
    signal,
  });
  const streams = createPendingStreams();
  const common = { folders, writer, streams, notes };
  const ofFiles = createFilesRestore({
    ...common,
    selection,
    lonely,
    ids: await files.ids(),
    isPrivileged: files.isPrivileged,
    isResumed: resumed,
  });
  try {
    const sources = await firstPass(opened, request, { ...common, ofFiles }, signal);
    await writer.settle();
    // Whatever is put into a folder moves its time: folders are marked when everything is there, from the inside out.
    for await (const entry of opened.contents({ signal })) {
      if (entry.entry === 'file' && isChosen(request, entry.source, 'files')) await ofFiles.finishFolder(entry);
    }
    await ofFiles.finish();
    return { sources, keptItems };
  } finally {
    await writer.drop();
  }
}

interface Parts {
  readonly folders: OpenFolders;
  readonly writer: FileWriter;
  readonly streams: PendingStreams;
  readonly ofFiles: FilesRestore;
}

interface Counted extends FolderSource {
  readonly databases?: DatabaseFiles;
}

async function firstPass(
  opened: OpenedSnapshot,
  request: FolderRequest,
  { folders, writer, streams, ofFiles }: Parts,
  signal: AbortSignal,
): Promise<FolderSource[]> {
  const mtimeNs = BigInt(Date.parse(opened.snapshot.document.finished)) * 1_000_000n;
  const sources = new Map<string, { -readonly [K in keyof Counted]: Counted[K] }>();
  const writeStream = async ({ name }: StreamEntry, { sizeBytes, chunks }: WholeStream) => {
    const names = namesOf(name);
    const held = await folders.hold(names.slice(0, -1));
    const marks = { mode: PRIVATE_MODE, mtimeNs };
    await writer.write({ held, name: names.at(-1) as Buffer, path: name, sizeBytes, chunks, marks });
  };
  for await (const entry of opened.contents({ signal })) {
    signal.throwIfAborted();
    if (entry.entry === 'source') {
      if (isChosen(request, entry.source, entry.kind)) sources.set(entry.source, begun(entry));
      continue;
    }
    const source = sources.get(entry.source);
    if (source === undefined) continue;
    if (entry.entry === 'stream') {
      const whole = streams.add(entry);
      if (whole !== undefined && source.kind === 'postgres') {
        await writeStream(entry, streams.take(entry.name));
        source.items += 1;
        source.sizeBytes += whole.sizeBytes;
      }
    } else if (entry.entry === 'file') {
      if (!(await ofFiles.restore(entry))) continue;
      source.items += 1;
      source.sizeBytes += dataBytesOf(entry);
    } else if (entry.entry === 'table') {
      source.databases?.table(entry);
    } else if (source.kind === 'files') {
      if (request.paths.length === 0) requireAll(source, entry);
    } else {
      for (const { path, text } of source.databases?.texts(entry.record) ?? []) {
        await writeText(folders, namesOf(`${entry.source}/${path}`), text, mtimeNs);
      }
    }
  }
  return [...sources.values()].map(({ databases: _, ...source }) => source);
}

/** Rows may hold anything. */
const PRIVATE_MODE = 0o600;

async function writeText(folders: OpenFolders, names: readonly Buffer[], text: string, mtimeNs: bigint): Promise<void> {
  await using held = await folders.hold(names.slice(0, -1));
  const file = await held.folder.create(0);
  try {
    await file.write(Buffer.from(text), 0);
    await file.commit(names.at(-1) as Buffer, { mode: PRIVATE_MODE, mtimeNs });
  } finally {
    await file.discard();
  }
}

function begun({ source, kind, name }: SourceEntry): Counted {
  const databases = kind === 'postgres' ? { databases: createDatabaseFiles(source) } : {};
  return { source, kind, name, items: 0, sizeBytes: 0, ...databases };
}

/** What would be restored. */
async function survey(
  opened: OpenedSnapshot,
  request: FolderRequest,
  selection: PathSelection,
  signal: AbortSignal,
): Promise<FolderSource[]> {
  const sources = new Map<string, { -readonly [K in keyof FolderSource]: FolderSource[K] }>();
  const count = (entry: ContentsEntry, sizeBytes: number) => {
    const source = sources.get(entry.source);
    if (source === undefined) return;
    source.items += 1;
    source.sizeBytes += sizeBytes;
  };
  for await (const entry of opened.contents({ signal })) {
    if (entry.entry === 'source' && isChosen(request, entry.source, entry.kind)) {
      const { source, kind, name } = entry;
      sources.set(source, { source, kind, name, items: 0, sizeBytes: 0 });
    } else if (entry.entry === 'file' && selection.has(entry.path)) {
      count(entry, dataBytesOf(entry));
    } else if (entry.entry === 'stream' && entry.last && sources.get(entry.source)?.kind === 'postgres') {
      count(entry, entry.sizeBytes);
    }
  }
  selection.requireUsed();
  return [...sources.values()];
}

function dataBytesOf({
  sizeBytes,
  extents,
}: {
  readonly sizeBytes: number;
  readonly extents?: readonly (readonly [number, number])[];
}): number {
  return extents === undefined ? sizeBytes : extents.reduce((sum, [, length]) => sum + length, 0);
}

function isChosen({ sources, paths }: FolderRequest, name: string, kind: 'postgres' | 'files'): boolean {
  if (sources.length > 0) return sources.includes(name);
  return paths.length === 0 || kind === 'files';
}

function requireAll({ source, items }: FolderSource, { record }: EndEntry): void {
  const expected = decodeFilesEndRecord(record).items;
  if (items === expected) return;
  throw new UseCaseError('SNAPSHOT_NOT_RIGHT', `the contents do not have everything of ${source}`, {
    expected: `${expected} files and folders`,
    found: items,
    hint: 'Restore another snapshot: the writer of this one is broken or hostile.',
  });
}

function unknownSource(name: string, known: readonly string[]): UseCaseError {
  return new UseCaseError('RESTORE_NAME_UNKNOWN', `the snapshot has no source ${name}`, {
    expected: known.join(', '),
    found: name,
    hint: 'Name one of these.',
  });
}
