import { statfs } from 'node:fs/promises';
import type { CacheDoubt } from '../../ports/file-transfer.ts';
import { fileError } from '../files/file-error.ts';

/** What is known of a file system by its number in statfs(2). */
interface Kind {
  readonly maxFileBytes?: number;
  /** Reading past the kernel's cache does not reach the disk itself. */
  readonly cached?: CacheDoubt;
}

const KINDS: ReadonlyMap<number, Kind> = new Map<number, Kind>([
  // FAT keeps a file's length in 32 bits.
  [0x4d44, { maxFileBytes: 2 ** 32 - 1 }],
  [0x01021994, { cached: 'memory' }], // tmpfs
  [0x858458f6, { cached: 'memory' }], // ramfs
  [0x65735546, { cached: 'program' }], // FUSE
  [0x6969, { cached: 'network' }], // NFS
  [0xff534d42, { cached: 'network' }], // CIFS
  [0xfe534d42, { cached: 'network' }], // SMB 2
  [0x01021997, { cached: 'network' }], // 9p
  [0x2fc12fc1, { cached: 'unsupported' }], // ZFS: takes the flag, and may answer from its cache all the same
]);

/** Facts of a kind of file system; nothing special for any other number. */
export function kindOfFileSystem(type: number): Kind {
  return KINDS.get(type >>> 0) ?? {};
}

export interface VolumeFacts extends Kind {
  readonly blockBytes: number;
}

/** The file system that a path lies on. */
export async function volumeAt(path: string): Promise<VolumeFacts> {
  try {
    const { type, bsize } = await statfs(path);
    return { blockBytes: bsize, ...kindOfFileSystem(type) };
  } catch (cause) {
    throw fileError(cause, path, 'read');
  }
}
