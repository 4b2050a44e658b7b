import type { FileKind } from '../formats/repository/contents.ts';

/** What lies under a name, links not followed. */
export interface FileFacts {
  readonly kind: FileKind;
  /** Permission bits, at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** When bytes, marks or names last changed, by the kernel's clock: nobody can set it back. */
  readonly ctimeNs: bigint;
  readonly sizeBytes: number;
  /** What the file takes of its disk: less than its size where it has holes. */
  readonly allocatedBytes: number;
  /** The file system, and the file on it: together the same for all names of one file. */
  readonly fileSystem: bigint;
  readonly inode: bigint;
  /** How many names the file has. */
  readonly names: number;
  /** Whether this process may read it, where that was asked for. */
  readonly isReadable?: boolean;
  /** Of a device: major, minor. */
  readonly device?: readonly [number, number];
}

/** A run of bytes that is no hole. */
export interface Extent {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * Folders that are read. A name is bytes, as the file system has it: it need not be UTF-8. Nothing is reached through a
 * symbolic link below the root.
 */
export interface FileTreeReader extends AsyncDisposable {
  /** A link to a folder is followed here. @throws AdapterError FILE_MISSING, FILE_UNREADABLE */
  openRoot(path: string): Promise<ReadableFolder>;
  /** What this machine calls its users and groups. */
  names(): Promise<OwnerNames>;
}

export interface OwnerNames {
  user(uid: number): string | undefined;
  group(gid: number): string | undefined;
}

/** An open folder: it stays the one that it was, whatever happens to its name. Methods reject with AdapterError FILE_UNREADABLE, DISK_GONE. */
export interface ReadableFolder extends AsyncDisposable {
  readonly facts: FileFacts;
  /** For messages. */
  readonly place: string;
  /** Whether the kernel makes up what is in it: /proc, /sys and the like. */
  isInvented(): Promise<boolean>;
  /** Names in it, some thousand at a time, each round sorted by bytes. */
  list(): AsyncIterable<readonly Buffer[]>;
  /** In the order of the names, `undefined` for what is gone. Many at once cost far less than one by one. */
  look(names: readonly Buffer[], options?: { readonly rights?: boolean }): Promise<readonly (FileFacts | undefined)[]>;
  /** By which other threads of this process open a name while the folder is open. */
  pathOf(name: Buffer): Uint8Array;
  /** `undefined` when it is gone, or no folder any more. */
  enter(name: Buffer): Promise<ReadableFolder | undefined>;
  /** `undefined` when it is gone, or no regular file any more. */
  open(name: Buffer): Promise<ReadableFile | undefined>;
  /** Where a symbolic link leads; `undefined` when it is gone, or none any more. */
  target(name: Buffer): Promise<Buffer | undefined>;
}

/** An open regular file. Methods reject with AdapterError FILE_UNREADABLE, DISK_GONE. */
export interface ReadableFile extends AsyncDisposable {
  /** When it was opened. */
  readonly facts: FileFacts;
  look(): Promise<FileFacts>;
  /** Ends before `lengthBytes` where the file does. A part is valid until the next is asked for. */
  read(range: Extent, options: { readonly signal: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Where it is no hole: a few thousand runs at most, beyond that the smallest holes count as data. */
  extents(options: { readonly signal: AbortSignal }): Promise<readonly Extent[]>;
}

/** What a restored file has besides its bytes. */
export interface FileMarks {
  readonly mode: number;
  readonly mtimeNs: bigint;
  /** Left out, it belongs to whoever restores. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** What the file system, or the rights of this process, did not let a file have. */
export type RefusedMark = 'owner' | 'mode';

/** Folders that are written to. Nothing is reached through a symbolic link below the root. */
export interface FileTreeWriter {
  /** Whether this process may give files away and make devices. */
  readonly isPrivileged: boolean;
  /** Makes it if it is not there; its parent must be. @throws AdapterError FILE_UNWRITABLE, READ_ONLY, NO_SPACE */
  openRoot(path: string): Promise<WritableFolder>;
  /** What this machine calls its users and groups. */
  ids(): Promise<OwnerIds>;
}

export interface OwnerIds {
  user(name: string): number | undefined;
  group(name: string): number | undefined;
}

/**
 * An open folder. What is put into it appears under its name whole and marked, in place of what was there, unless that is a
 * folder. Methods reject with AdapterError FILE_EXISTS, FILE_UNWRITABLE, NO_SPACE, READ_ONLY, DISK_GONE.
 */
export interface WritableFolder extends AsyncDisposable {
  readonly place: string;
  /** Some names in it, `most` at most. */
  list(most: number): Promise<readonly Buffer[]>;
  /** `undefined` when there is nothing. */
  look(name: Buffer): Promise<FileFacts | undefined>;
  /** Makes a folder that only this user may enter, or enters the one that is there. @throws AdapterError FILE_EXISTS when it is something else */
  enter(name: Buffer): Promise<WritableFolder>;
  /** A regular file that is there, to compare it. */
  open(name: Buffer): Promise<ReadableFile | undefined>;
  /** Where a symbolic link leads that is there. */
  target(name: Buffer): Promise<Buffer | undefined>;
  /** A file without a name, as long as it will be, and all of it a hole. */
  create(sizeBytes: number): Promise<NewFile>;
  symlink(name: Buffer, target: Buffer, marks: FileMarks): Promise<readonly RefusedMark[]>;
  /** A further name of a file. */
  link(name: Buffer, from: { readonly folder: WritableFolder; readonly name: Buffer }): Promise<void>;
  /** `refused` when this process may not make it. */
  special(name: Buffer, node: SpecialFile, marks: FileMarks): Promise<readonly RefusedMark[] | 'refused'>;
  /** Of something that is there. */
  mark(name: Buffer, marks: FileMarks): Promise<readonly RefusedMark[]>;
  /** Of this folder. */
  markSelf(marks: FileMarks): Promise<readonly RefusedMark[]>;
  /** Makes everything durable that was written here and below; `false` when the system has no way to do that. */
  sync(): Promise<boolean>;
  /** What is not there is no error. */
  remove(name: Buffer): Promise<void>;
  /** Removes what a writer left here that was killed. */
  clear(): Promise<void>;
  /** By which other parts of this process find a name in it. */
  pathOf(name: Buffer): Uint8Array;
}

export type SpecialFile =
  | { readonly kind: 'fifo' }
  | { readonly kind: 'character-device' | 'block-device'; readonly device: readonly [number, number] };

export interface NewFile {
  /** By which other threads of this process open it. */
  readonly path: string;
  write(bytes: Uint8Array, offsetBytes: number): Promise<void>;
  /** Marks it and gives it its name. */
  commit(name: Buffer, marks: FileMarks): Promise<readonly RefusedMark[]>;
  /** Removes it. Does nothing after `commit`. */
  discard(): Promise<void>;
}
