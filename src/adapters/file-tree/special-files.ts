/** What Node cannot do, and a program of every system can: it is run within the open folder, whatever that is called by now. */
import { spawn } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import type { SpecialFile } from '../../ports/file-tree.ts';
import { childEnds } from '../processes/child.ts';
import { pathOf } from './open-names.ts';

const MAKE_LIMIT_MS = 10_000;
/** A slow disk may have minutes of work before it. */
const SYNC_LIMIT_MS = 1_800_000;

/** Makes a pipe or a device, and says whether it was made. */
export function makeSpecial(folder: FileHandle, name: Buffer, node: SpecialFile): Promise<boolean> {
  const path = `./${name}`;
  if (node.kind === 'fifo') return succeeds(folder, 'mkfifo', ['-m', '600', path], MAKE_LIMIT_MS);
  const [major, minor] = node.device;
  const letter = node.kind === 'character-device' ? 'c' : 'b';
  return succeeds(folder, 'mknod', ['-m', '600', path, letter, String(major), String(minor)], MAKE_LIMIT_MS);
}

/** Writes everything of the folder's file system to its disk, and says whether it is there. */
export function syncFileSystem(folder: FileHandle): Promise<boolean> {
  return succeeds(folder, 'sync', ['-f', '.'], SYNC_LIMIT_MS);
}

async function succeeds(
  folder: FileHandle,
  program: string,
  args: readonly string[],
  timeout: number,
): Promise<boolean> {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
  // The child goes there before it becomes the program, while it has this process's open files.
  const child = spawn(program, args, { cwd: pathOf(folder), stdio: 'ignore', env, timeout });
  const { failed, closed } = childEnds(child);
  const end = await Promise.race([failed, closed]);
  return !(end instanceof Error) && end.status === 0;
}
