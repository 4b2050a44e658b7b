import type { ContentsEntry, FileEntry } from '../../../formats/repository/contents.ts';
import type { Extent, FileMarks, OwnerIds, RefusedMark, SpecialFile } from '../../../ports/file-tree.ts';
import { UseCaseError } from '../../errors.ts';
import type { FileWriter } from '../folder/file-writer.ts';
import { namesOf } from '../folder/item-names.ts';
import type { OpenFolders } from '../folder/open-folders.ts';
import type { PendingStreams } from '../folder/pending-streams.ts';
import type { RestoreNotes } from '../folder/restore-notes.ts';
import type { PathSelection } from './path-selection.ts';

export interface FilesRestore {
  /** Makes what the entry describes. Resolves whether it was wanted. */
  restore(entry: FileEntry): Promise<boolean>;
  /** In a second pass over all entries: folders get their marks, when nothing is put into them any more. */
  finishFolder(entry: FileEntry): Promise<void>;
  /** After the last entry of the second pass. */
  finish(): Promise<void>;
}

export interface FilesRestoreSettings {
  readonly folders: OpenFolders;
  readonly writer: FileWriter;
  readonly streams: PendingStreams;
  readonly selection: PathSelection;
  /** Of files that are not wanted themselves, the first of their further names that is: see `findLonelyLinks`. */
  readonly lonely: ReadonlyMap<string, FileEntry>;
  readonly ids: OwnerIds;
  readonly isPrivileged: boolean;
  /** There may be what a killed restore left. */
  readonly isResumed: boolean;
  readonly notes: RestoreNotes;
}

/** Puts the entries of a file source below `SOURCE/`. */
export function createFilesRestore(settings: FilesRestoreSettings): FilesRestore {
  const { folders, writer, streams, selection, lonely, ids, isPrivileged, isResumed, notes } = settings;
  /** Folders whose marks wait until the walk has left them. */
  const open: { readonly names: readonly Buffer[]; readonly entry: FileEntry }[] = [];

  const marksOf = (entry: FileEntry): FileMarks => ({
    mode: entry.mode,
    mtimeNs: BigInt(entry.mtimeNs),
    ...(isPrivileged ? { owner: ownerOf(entry, ids) } : {}),
  });
  const told = (refused: readonly RefusedMark[], path: string) => notes.addRefused(refused, path);

  const restoreFile = async (entry: FileEntry, parent: readonly Buffer[], name: Buffer) => {
    const chunks = entry.stream === undefined ? new Uint8Array(0) : streams.take(entry.stream).chunks;
    await writer.write({
      held: await folders.hold(parent),
      name,
      path: entry.path,
      sizeBytes: entry.sizeBytes,
      chunks,
      ...extentsOf(entry),
      marks: marksOf(entry),
    });
  };
  const restoreLink = async (entry: FileEntry, parent: readonly Buffer[], name: Buffer) => {
    const { link: path = '', rawLink: rawPath } = entry;
    const first = selection.has(path) ? undefined : lonely.get(keyOf({ source: entry.source, path, rawPath }));
    // The file itself is not wanted, and came under this name when it was its turn.
    if (first !== undefined && keyOf(first) === keyOf(entry)) return;
    await writer.settle();
    const from = first ?? { path, rawPath };
    const target = [Buffer.from(entry.source), ...namesOf(from.path, from.rawPath)];
    await using there = await folders.hold(target.slice(0, -1));
    await using here = await folders.hold(parent);
    await here.folder.link(name, { folder: there.folder, name: target.at(-1) as Buffer });
  };
  const restoreSpecial = async (entry: FileEntry, node: SpecialFile, parent: readonly Buffer[], name: Buffer) => {
    await using held = await folders.hold(parent);
    const refused = await held.folder.special(name, node, marksOf(entry));
    if (refused === 'refused') notes.add('not made', `${entry.path} is a ${entry.kind}, which this user may not make`);
    else told(refused, entry.path);
  };
  const restoreFolder = async (names: readonly Buffer[]) => {
    await using held = await folders.hold(names);
    if (isResumed) await held.folder.clear();
  };

  return {
    async restore(found) {
      const isWanted = selection.has(found.path);
      const other = isWanted || found.link !== undefined ? undefined : lonely.get(keyOf(found));
      const entry = other === undefined ? found : renamed(found, other);
      if (!isWanted && other === undefined && !(entry.kind === 'directory' && selection.leadsTo(entry.path))) {
        if (entry.stream !== undefined) streams.take(entry.stream);
        return false;
      }
      const names = [Buffer.from(entry.source), ...namesOf(entry.path, entry.rawPath)];
      const name = names.at(-1) as Buffer;
      const parent = names.slice(0, -1);
      if (entry.kind === 'directory') await restoreFolder(names);
      else if (names.length === 1) throw rootIsNoFolder(entry);
      else if (entry.link !== undefined) await restoreLink(entry, parent, name);
      else if (entry.kind === 'file') await restoreFile(entry, parent, name);
      else if (entry.kind === 'symlink') {
        await using held = await folders.hold(parent);
        told(await held.folder.symlink(name, targetOf(entry), marksOf(entry)), entry.path);
      } else if (entry.kind === 'socket') {
        notes.add('sockets', `${entry.path} is a socket: the program that listens there makes it again`);
      } else await restoreSpecial(entry, nodeOf(entry), parent, name);
      return isWanted;
    },
    async finishFolder(entry) {
      if (entry.kind !== 'directory' || !(selection.has(entry.path) || selection.leadsTo(entry.path))) return;
      const names = [Buffer.from(entry.source), ...namesOf(entry.path, entry.rawPath)];
      for (let last = open.at(-1); last !== undefined && !isBelow(names, last.names); last = open.at(-1)) {
        await markFolder(last);
      }
      open.push({ names, entry });
    },
    async finish() {
      for (let last = open.at(-1); last !== undefined; last = open.at(-1)) await markFolder(last);
    },
  };

  async function markFolder({ names, entry }: (typeof open)[number]): Promise<void> {
    await using held = await folders.hold(names);
    told(await held.folder.markSelf(marksOf(entry)), entry.path);
    open.pop();
  }
}

/** By its path: which file a name is one of. */
function keyOf({
  source,
  path,
  rawPath = '',
}: {
  readonly source: string;
  readonly path: string;
  readonly rawPath?: string | undefined;
}): string {
  return [source, path, rawPath].join('\0');
}

function renamed({ path: _, rawPath: __, ...entry }: FileEntry, { path, rawPath }: FileEntry): FileEntry {
  return { ...entry, path, ...(rawPath === undefined ? {} : { rawPath }) };
}

/** Names that are wanted of files whose first name, under which the contents have their bytes, is not; by that name. */
export async function findLonelyLinks(
  entries: AsyncIterable<ContentsEntry>,
  selection: PathSelection,
): Promise<ReadonlyMap<string, FileEntry>> {
  const lonely = new Map<string, FileEntry>();
  for await (const entry of entries) {
    if (entry.entry !== 'file' || !selection.has(entry.path)) continue;
    const { source, link: path, rawLink: rawPath } = entry;
    if (path === undefined || selection.has(path)) continue;
    const key = keyOf({ source, path, rawPath });
    if (!lonely.has(key)) lonely.set(key, entry);
  }
  return lonely;
}

/** By name where this machine knows the name, since numbers differ from machine to machine; else by number. */
function ownerOf({ uid, gid, owner, group }: FileEntry, ids: OwnerIds): { readonly uid: number; readonly gid: number } {
  return {
    uid: (owner === undefined ? undefined : ids.user(owner)) ?? uid,
    gid: (group === undefined ? undefined : ids.group(group)) ?? gid,
  };
}

function extentsOf({ extents }: FileEntry): { readonly extents?: readonly Extent[] } {
  return extents === undefined
    ? {}
    : { extents: extents.map(([offsetBytes, lengthBytes]) => ({ offsetBytes, lengthBytes })) };
}

function targetOf({ target = '', rawTarget }: FileEntry): Buffer {
  return rawTarget === undefined ? Buffer.from(target) : Buffer.from(rawTarget, 'base64');
}

/** Sockets are told before. */
function nodeOf({ kind, device = [0, 0] }: FileEntry): SpecialFile {
  return kind === 'fifo' ? { kind } : { kind: kind as 'character-device' | 'block-device', device };
}

function isBelow(names: readonly Buffer[], folder: readonly Buffer[]): boolean {
  return names.length > folder.length && folder.every((name, index) => names[index]?.equals(name) === true);
}

function rootIsNoFolder({ source }: FileEntry): UseCaseError {
  return new UseCaseError('SNAPSHOT_NOT_RIGHT', `the contents say that the folder of ${source} is none`, {
    hint: 'Restore another snapshot: the writer of this one is broken or hostile.',
  });
}
