import { constants } from 'node:fs';
import type { FileKind } from '../../formats/repository/contents.ts';
import type { FileFacts } from '../../ports/file-tree.ts';

/** Of what stat(2) says, what is used; all of these are numbers. */
const FIELDS = ['mode', 'uid', 'gid', 'mtimeNs', 'ctimeNs', 'size', 'blocks', 'dev', 'ino', 'nlink', 'rdev'] as const;
type Stats = Readonly<Record<(typeof FIELDS)[number], bigint>>;

/** What `st_blocks` counts in, whatever the block size of the file system is. */
const BLOCK_BYTES = 512n;

const KINDS: ReadonlyMap<number, FileKind> = new Map([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'directory'],
  [constants.S_IFLNK, 'symlink'],
  [constants.S_IFIFO, 'fifo'],
  [constants.S_IFSOCK, 'socket'],
  [constants.S_IFCHR, 'character-device'],
  [constants.S_IFBLK, 'block-device'],
]);

export function factsOf(stats: Stats): FileFacts {
  const kind = KINDS.get(Number(stats.mode) & constants.S_IFMT);
  if (kind === undefined) throw new Error(`the system has a kind of file that is not known: mode ${stats.mode}`);
  return {
    kind,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    sizeBytes: kind === 'file' ? Number(stats.size) : 0,
    allocatedBytes: Number(stats.blocks * BLOCK_BYTES),
    fileSystem: stats.dev,
    inode: stats.ino,
    names: Number(stats.nlink),
    ...(kind === 'character-device' || kind === 'block-device' ? { device: deviceOf(stats.rdev) } : {}),
  };
}

/** As glibc packs major and minor number: each in two parts. */
function deviceOf(rdev: bigint): readonly [number, number] {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
  return [Number(major), Number(minor)];
}

/** Facts as they travel between threads: the fields, then 0 for what is gone, 1, or 2 for what may not be read. */
const WORDS = FIELDS.length + 1;
export type Presence = 0 | 1 | 2;

export function createFactsTable(count: number): BigInt64Array<ArrayBuffer> {
  return new BigInt64Array(count * WORDS);
}

export function putFacts(table: BigInt64Array, index: number, stats: Stats, presence: Presence): void {
  let at = index * WORDS;
  for (const field of FIELDS) table[at++] = stats[field];
  table[at] = BigInt(presence);
}

export function takeFacts(bytes: Uint8Array, rights: boolean): (FileFacts | undefined)[] {
  const table = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
  return Array.from({ length: table.length / WORDS }, (_, index) => {
    const at = index * WORDS;
    const presence = table[at + FIELDS.length];
    if (presence === 0n) return undefined;
    const facts = factsOf(statsAt(table, at));
    return rights ? { ...facts, isReadable: presence === 1n } : facts;
  });
}

/** Written out: of a million files, every object that is made on the way counts. */
function statsAt(table: BigInt64Array, at: number): Stats {
  return {
    mode: table[at] as bigint,
    uid: table[at + 1] as bigint,
    gid: table[at + 2] as bigint,
    mtimeNs: table[at + 3] as bigint,
    ctimeNs: table[at + 4] as bigint,
    size: table[at + 5] as bigint,
    blocks: table[at + 6] as bigint,
    dev: table[at + 7] as bigint,
    ino: table[at + 8] as bigint,
    nlink: table[at + 9] as bigint,
    rdev: table[at + 10] as bigint,
  };
}
