import { isUtf8 } from 'node:buffer';
import { createLanes } from '../../../core/lanes.ts';
import type { FileEntry } from '../../../formats/repository/contents.ts';
import {
  FILES_RECORD_VERSION,
  type FilesCounts,
  type FilesEndRecord,
  type FilesRecord,
} from '../../../formats/repository/files-record.ts';
import type { BackupSource, Expected, SourceWriter } from '../../../ports/backup-source.ts';
import type { FileTreeReader, OwnerNames } from '../../../ports/file-tree.ts';
import type { OpenFilesCache } from '../../../ports/files-cache.ts';
import { UseCaseError } from '../../errors.ts';
import { isCode } from '../../repository/objects.ts';
import { createExclusions } from './exclusions.ts';
import { readBytes } from './file-bytes.ts';
import { createKnownFiles, type KnownFiles } from './known-files.ts';
import { createNotes, type Notes } from './notes.ts';
import { createSmallFiles, isSmall } from './small-files.ts';
import { type Found, type SharedFolder, type WalkRules, walk } from './walk.ts';

export interface FilesSourceSettings {
  /** Of the source within the snapshot: `[a-z0-9][a-z0-9-]*`. */
  readonly name: string;
  /** Absolute path of the folder. */
  readonly folder: string;
  readonly files: FileTreeReader;
  /** Patterns: see exclusions.ts. */
  readonly exclude: readonly string[];
  readonly oneFileSystem: boolean;
  /** Paths below the folder, each with why it is left out: the repository itself. */
  readonly leaveOut?: ReadonlyMap<string, string>;
  /** Of the run before, by which a collapse is seen. */
  readonly countsBefore?: FilesCounts;
  /** For the run after; told when everything was read. */
  readonly onCounts?: (counts: FilesCounts) => void;
  /** Without it every file is read. */
  readonly openCache?: OpenFilesCache;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Files that are open at once: enough for the workers, and for what the file system answers meanwhile. */
const FILES_AT_ONCE = 24;
const PROBLEMS_SHOWN = 20;
/** Below this a folder comes and goes in everyday work. */
const FILES_THAT_COUNT = 100;

/** A folder with everything in it as a source of a backup (docs/backup-files.md). */
export function createFilesSource(settings: FilesSourceSettings): BackupSource {
  const { name, folder, countsBefore } = settings;
  return {
    kind: 'files',
    name,
    place: folder,
    prepare: ({ signal }) => look(settings, signal),
    async backUp(writer, { signal }) {
      const exclusions = createExclusions(settings.exclude);
      const record: FilesRecord = {
        version: FILES_RECORD_VERSION,
        folder,
        excluded: [...settings.exclude],
        oneFileSystem: settings.oneFileSystem,
      };
      await writer.entry({ entry: 'source', source: name, kind: 'files', name: folder, record: { ...record } });
      const notes = createNotes();
      await using cache = await settings.openCache?.({ signal });
      const known = createKnownFiles(cache, writer, settings.now());
      const rules = { ...rulesOf(settings), exclusions };
      const counts = await readTree(settings, rules, { writer, known, notes }, signal);
      await cache?.commit();
      for (const pattern of exclusions.unused()) notes.add('left out', `nothing in ${folder} fits ${pattern}`);
      const end: FilesEndRecord = { version: FILES_RECORD_VERSION, ...counts, notes: [...notes.all()] };
      await writer.entry({ entry: 'end', source: name, record: { ...end } });
      settings.onCounts?.({ version: FILES_RECORD_VERSION, ...counts });
      return {
        kind: 'files',
        name,
        place: folder,
        sizeBytes: counts.sizeBytes,
        items: counts.items,
        notes: notes.all(),
        ...collapseOf(folder, countsBefore, counts),
      };
    },
  };
}

type Counts = Omit<FilesCounts, 'version'>;

function rulesOf({ exclude, leaveOut = new Map(), oneFileSystem }: FilesSourceSettings): WalkRules {
  return { exclusions: createExclusions(exclude), leaveOut, oneFileSystem };
}

/** About how much there is; and everything that may not be read, at once and before a byte is. */
async function look(settings: FilesSourceSettings, signal: AbortSignal): Promise<Expected> {
  let expectedBytes = 0;
  let expectedFiles = 0;
  const unreadable: string[] = [];
  await using root = await settings.files.openRoot(settings.folder);
  await walk(
    root,
    rulesOf(settings),
    {
      folder: async () => {},
      async other({ facts }) {
        expectedBytes += Math.min(facts.sizeBytes, facts.allocatedBytes);
        expectedFiles += facts.sizeBytes > 0 ? 1 : 0;
      },
      unreadable: ({ shown }) => unreadable.push(shown),
      note: () => {},
    },
    signal,
  );
  if (unreadable.length === 0) return { expectedBytes, expectedFiles };
  const more = unreadable.length - PROBLEMS_SHOWN;
  throw new UseCaseError('BACKUP_FILES_UNREADABLE', `${unreadable.length} files or folders may not be read`, {
    at: { file: settings.folder },
    found: `${unreadable.slice(0, PROBLEMS_SHOWN).join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
    hint: 'Run it as a user who may read them, or leave them out with --exclude-files.',
  });
}

async function readTree(
  settings: FilesSourceSettings,
  rules: WalkRules,
  { writer, known, notes }: { readonly writer: SourceWriter; readonly known: KnownFiles; readonly notes: Notes },
  signal: AbortSignal,
): Promise<Counts> {
  const { name: source, files } = settings;
  const owners = await files.names();
  const lanes = createLanes(FILES_AT_ONCE);
  const links = createLinks();
  let items = 0;
  let sizeBytes = 0;
  let streams = 0;

  const put = async (entry: FileEntry) => {
    items += 1;
    await writer.entry(entry);
  };
  /** Whether there is an entry of it now. */
  const take = async (found: Found, { folder }: SharedFolder): Promise<boolean> => {
    const base = entryOf(source, found, owners);
    if (base.kind === 'symlink') {
      const target = await folder.target(found.name);
      if (target === undefined) return vanished(found, notes);
      await put({ ...base, ...targetOf(target) });
      return true;
    }
    if (base.kind !== 'file') {
      await put(base);
      return true;
    }
    const read = await readBytes(writer, nextStream(), found, folder, signal);
    if (read === undefined) return vanished(found, notes);
    if (read.isTorn) notes.add('changed', `${found.shown} was written to while it was read: it may be inconsistent`);
    sizeBytes += read.readBytes;
    if (read.chunks !== undefined) known.keep(found, read.facts, read.chunks);
    await put({ ...entryOf(source, { ...found, facts: read.facts }, owners), ...read.bytes });
    return true;
  };
  const nextStream = () => {
    streams += 1;
    return `${source}/${streams}`;
  };
  const takeKnown = async (found: Found): Promise<boolean> => {
    const taken = await known.take(found, nextStream);
    if (taken === undefined) return false;
    sizeBytes += taken.record.sizeBytes;
    await put({ ...entryOf(source, found, owners), stream: taken.stream });
    return true;
  };
  const work = async (found: Found, shared: SharedFolder): Promise<void> => {
    if (found.facts.names < 2) {
      await take(found, shared);
      return;
    }
    const first = await links.first(found, () => take(found, shared));
    if (first !== undefined) await put({ ...entryOf(source, found, owners), ...linkTo(first), sizeBytes: 0 });
  };
  const small = createSmallFiles({
    writer,
    linesOf(found, record) {
      items += 1;
      sizeBytes += record.sizeBytes;
      if (record.sizeBytes === found.facts.sizeBytes) known.keep(found, found.facts, record.chunks);
      const stream = nextStream();
      return { stream, entry: { ...entryOf(source, found, owners), sizeBytes: record.sizeBytes, stream } };
    },
    alone: (found, shared) => told(found, settings.folder, () => work(found, shared)),
  });

  await using root = await files.openRoot(settings.folder);
  try {
    await walk(
      root,
      rules,
      {
        folder: (found) => put(entryOf(source, found, owners)),
        async other(found, shared) {
          if (await takeKnown(found)) return;
          if (isSmall(found)) return await small.give(found, shared);
          const hold = shared.hold();
          await lanes.give(async () => {
            await using _ = hold;
            await told(found, settings.folder, () => work(found, shared));
          });
        },
        note: notes.add,
      },
      signal,
    );
    await small.finish();
  } finally {
    // What runs still uses open files.
    await small.close();
    await lanes.settled().catch(() => {});
  }
  await lanes.settled();
  return { items, sizeBytes };
}

/** With what a person can do about it. */
async function told(found: Found, folder: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (cause) {
    if (!isCode(cause, 'FILE_UNREADABLE')) throw cause;
    throw new UseCaseError('BACKUP_FILES_UNREADABLE', 'a file cannot be read', {
      cause,
      at: { file: `${folder}/${found.shown}` },
      hint: 'Run it as a user who may read it, or leave it out with --exclude-files. Look whether the disk is well.',
    });
  }
}

function vanished({ shown }: Found, notes: Notes): false {
  notes.add('vanished', `${shown} vanished before it was read`);
  return false;
}

function entryOf(source: string, { shown, rawPath, facts }: Found, owners: OwnerNames): FileEntry {
  const owner = owners.user(facts.uid);
  const group = owners.group(facts.gid);
  return {
    entry: 'file',
    source,
    path: shown,
    ...(rawPath === undefined ? {} : { rawPath: rawPath.toString('base64') }),
    kind: facts.kind,
    mode: facts.mode,
    uid: facts.uid,
    gid: facts.gid,
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { group }),
    mtimeNs: String(facts.mtimeNs),
    sizeBytes: facts.sizeBytes,
    ...(facts.device === undefined ? {} : { device: facts.device }),
  };
}

function targetOf(target: Buffer): Pick<FileEntry, 'target' | 'rawTarget'> {
  const text = target.toString();
  return isUtf8(target) ? { target: text } : { target: text, rawTarget: target.toString('base64') };
}

function linkTo({ shown, rawPath }: Found): Pick<FileEntry, 'link' | 'rawLink'> {
  return rawPath === undefined ? { link: shown } : { link: shown, rawLink: rawPath.toString('base64') };
}

interface Links {
  /** The name under which this file was taken before, `undefined` when that is this one. `take` says whether it was. */
  first(found: Found, take: () => Promise<boolean>): Promise<Found | undefined>;
}

/** Files with several names: of each the first, until all of them were met. */
function createLinks(): Links {
  const known = new Map<string, { readonly found: Found; readonly taken: Promise<boolean>; left: number }>();
  return {
    async first(found, take) {
      const { fileSystem, inode, names } = found.facts;
      const key = `${fileSystem}:${inode}`;
      const before = known.get(key);
      if (before === undefined) {
        const taken = take();
        known.set(key, { found, taken, left: names - 1 });
        await taken;
        return undefined;
      }
      before.left -= 1;
      if (before.left === 0) known.delete(key);
      if (await before.taken) return before.found;
      await take();
      return undefined;
    },
  };
}

function collapseOf(
  folder: string,
  before: FilesCounts | undefined,
  now: Counts,
): { readonly collapses?: readonly string[] } {
  if (before === undefined || before.items < FILES_THAT_COUNT || now.items * 2 >= before.items) return {};
  return {
    collapses: [`${folder}: had ${before.items} files and folders, and has ${now.items}. Is something not mounted?`],
  };
}
