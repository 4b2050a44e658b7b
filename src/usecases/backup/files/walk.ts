import { isUtf8 } from 'node:buffer';
import { orderedMap } from '../../../core/ordered-map.ts';
import type { FileFacts, ReadableFolder } from '../../../ports/file-tree.ts';
import { UseCaseError } from '../../errors.ts';
import type { Exclusions } from './exclusions.ts';
import type { NoteKind } from './notes.ts';

/** Something that was found in a tree. Paths are relative to the source's folder. */
export interface Found {
  /** The path as text, names joined by `/`; bytes that are no UTF-8 are replaced. */
  readonly shown: string;
  /** Bytes of the path, where they are no UTF-8. */
  readonly rawPath?: Buffer;
  readonly name: Buffer;
  readonly facts: FileFacts;
}

export interface WalkRules {
  readonly exclusions: Exclusions;
  /** Paths, each with why it is left out. */
  readonly leaveOut: ReadonlyMap<string, string>;
  /** What lies on another file system than the folder itself is left out. */
  readonly oneFileSystem: boolean;
}

export interface Visitor {
  /** Before what is in it. */
  folder(found: Found): Promise<void>;
  /** Anything else. Whoever works on after this has returned keeps `folder` open meanwhile. */
  other(found: Found, folder: SharedFolder): Promise<void>;
  /** What this process may not read. Without this, rights are not asked for. */
  unreadable?(found: Found): void;
  note(kind: NoteKind, message: string): void;
}

type Place = Pick<Found, 'shown' | 'rawPath'>;

/** An open folder that is closed when the last of its users is done. */
export interface SharedFolder {
  readonly folder: ReadableFolder;
  hold(): AsyncDisposable;
}

/** Names that are looked at at once. */
const AT_ONCE = 256;
/** What a reader of contents takes is a little more, in bytes. */
const LONGEST_PATH_BYTES = 60_000;

/** Goes through a tree: a folder before what is in it, names sorted. Memory follows from its depth. */
export async function walk(
  root: ReadableFolder,
  rules: WalkRules,
  visitor: Visitor,
  signal: AbortSignal,
): Promise<void> {
  await visitor.folder({ shown: '.', name: Buffer.from('.'), facts: root.facts });
  await walkFolder(root, { shown: '' }, root.facts.fileSystem, rules, visitor, signal);
}

async function walkFolder(
  folder: ReadableFolder,
  parent: Place,
  rootFileSystem: bigint,
  rules: WalkRules,
  visitor: Visitor,
  signal: AbortSignal,
): Promise<void> {
  const shared = shareFolder(folder);
  await using _ = shared.hold();
  const lookAll = async (names: readonly Buffer[]): Promise<(Found | undefined)[]> => {
    const wanted = names
      .map((name) => placed(name, parent, folder))
      .filter(({ shown }) => !rules.exclusions.excludes(shown));
    const facts = await folder.look(
      wanted.map(({ name }) => name),
      { rights: visitor.unreadable !== undefined },
    );
    return wanted.map((place, index) => {
      const seen = facts[index];
      if (seen === undefined) visitor.note('vanished', `${place.shown} vanished before it was read`);
      return seen === undefined ? undefined : { ...place, facts: seen };
    });
  };
  for await (const names of folder.list()) {
    for await (const found of orderedMap(batches(names), 2, lookAll)) {
      for (const one of found) {
        signal.throwIfAborted();
        if (one !== undefined) await visit(one, shared, rootFileSystem, rules, visitor, signal);
      }
    }
  }
}

async function visit(
  found: Found,
  shared: SharedFolder,
  rootFileSystem: bigint,
  rules: WalkRules,
  visitor: Visitor,
  signal: AbortSignal,
): Promise<void> {
  const { kind, isReadable = true } = found.facts;
  const why = whyLeftOut(found, shared.folder, rootFileSystem, rules);
  if (why !== undefined) visitor.note('left out', `${found.shown} is left out: ${why}`);
  else if (!isReadable) visitor.unreadable?.(found);
  else if (kind === 'directory') await enter(found, shared.folder, rootFileSystem, rules, visitor, signal);
  else await visitor.other(found, shared);
}

function* batches(names: readonly Buffer[]): Generator<readonly Buffer[]> {
  for (let at = 0; at < names.length; at += AT_ONCE) yield names.slice(at, at + AT_ONCE);
}

/** @throws UseCaseError BACKUP_FILES_UNREADABLE when its path is too long */
function placed(name: Buffer, parent: Place, { place }: ReadableFolder): Omit<Found, 'facts'> {
  const prefix = parent.shown === '' ? '' : `${parent.shown}/`;
  if (parent.rawPath === undefined && isUtf8(name)) {
    const shown = `${prefix}${name}`;
    if (shown.length > LONGEST_PATH_BYTES / 3 && Buffer.byteLength(shown) > LONGEST_PATH_BYTES) throw tooDeep(place);
    return { name, shown };
  }
  const rawPath = Buffer.concat([parent.rawPath ?? Buffer.from(parent.shown), Buffer.from(prefix && '/'), name]);
  if (rawPath.length > LONGEST_PATH_BYTES) throw tooDeep(place);
  return { name, shown: rawPath.toString(), rawPath };
}

async function enter(
  found: Found,
  parent: ReadableFolder,
  rootFileSystem: bigint,
  rules: WalkRules,
  visitor: Visitor,
  signal: AbortSignal,
): Promise<void> {
  const child = await parent.enter(found.name);
  if (child === undefined) {
    visitor.note('vanished', `${found.shown} vanished before it was read`);
    return;
  }
  await visitor.folder({ ...found, facts: child.facts });
  if (child.facts.fileSystem !== parent.facts.fileSystem && (await child.isInvented())) {
    visitor.note('left out', `${found.shown} is left out but for the folder itself: the kernel makes up what is in it`);
    await child[Symbol.asyncDispose]();
    return;
  }
  await walkFolder(child, found, rootFileSystem, rules, visitor, signal);
}

function whyLeftOut(
  { shown, facts }: Found,
  folder: ReadableFolder,
  rootFileSystem: bigint,
  { leaveOut, oneFileSystem }: WalkRules,
): string | undefined {
  const why = leaveOut.get(shown);
  if (why !== undefined) return why;
  const isElsewhere = facts.kind === 'directory' && facts.fileSystem !== rootFileSystem;
  return oneFileSystem && isElsewhere && facts.fileSystem !== folder.facts.fileSystem
    ? 'it is another file system'
    : undefined;
}

function shareFolder(folder: ReadableFolder): SharedFolder {
  let users = 0;
  return {
    folder,
    hold() {
      users += 1;
      return {
        async [Symbol.asyncDispose]() {
          users -= 1;
          if (users === 0) await folder[Symbol.asyncDispose]();
        },
      };
    },
  };
}

function tooDeep(place: string): UseCaseError {
  return new UseCaseError('BACKUP_FILES_UNREADABLE', 'folders lie in each other too deep to be backed up', {
    at: { file: `${place.slice(0, 200)}…` },
    expected: `paths of ${LONGEST_PATH_BYTES} bytes at most`,
    hint: 'Move them up, or leave them out with --exclude-files.',
  });
}
