import { mkdir, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { succeed } from './program.ts';

const MIB = 1024 * 1024;

/** Small file systems of their own need root; a run without it must say so instead of passing. */
function requireRoot(): void {
  if (process.geteuid?.() !== 0)
    throw new Error('this test mounts small file systems: run it as root (scripts/test as root)');
}

/** A tmpfs of that size, unmounted when the test ends. */
export async function mountTmpfs(folder: string, sizeMiB: number): Promise<void> {
  requireRoot();
  await mkdir(folder, { recursive: true });
  await succeed('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'portolan-test', folder]);
  onTestFinished(async () => {
    await succeed('umount', [folder]);
  });
}

/** An exFAT file system, as sticks have it: no hard links, no permissions, no case. Unmounted when the test ends. */
export async function mountExfat(folder: string, sizeMiB: number): Promise<void> {
  requireRoot();
  await mkdir(folder, { recursive: true });
  const image = `${folder}.img`;
  await writeFile(image, '');
  await truncate(image, sizeMiB * MIB);
  await succeed('mkfs.exfat', [image]);
  const device = (await succeed('losetup', ['--find', '--show', image])).trim();
  onTestFinished(async () => {
    await succeed('losetup', ['--detach', device]);
    await rm(image);
  });
  await succeed('mount.exfat-fuse', [device, folder]);
  onTestFinished(async () => {
    await succeed('umount', [folder]);
  });
}

/**
 * An ext4 file system, which can be read past the cache. Gives the file that is its disk: to write into it is what a bad
 * disk does. Unmounted when the test ends.
 */
export async function mountExt4(folder: string, sizeMiB: number): Promise<{ image: string; device: string }> {
  requireRoot();
  await mkdir(folder, { recursive: true });
  const image = `${folder}.img`;
  await writeFile(image, '');
  await truncate(image, sizeMiB * MIB);
  await succeed('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image]);
  const device = (await succeed('losetup', ['--find', '--show', image])).trim();
  onTestFinished(async () => {
    await succeed('losetup', ['--detach', device]);
    await rm(image);
  });
  await succeed('mount', ['-t', 'ext4', device, folder]);
  onTestFinished(async () => {
    await succeed('umount', [folder]);
  });
  await rm(join(folder, 'lost+found'), { recursive: true });
  return { image, device };
}

/** Mounts again what is mounted there. */
export async function remount(folder: string, mode: 'ro' | 'rw'): Promise<void> {
  await succeed('mount', ['-o', `remount,${mode}`, folder]);
}

/** Leaves no byte free. Returns what takes it away again. */
export async function fillDisk(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'filler');
  const { bavail, bsize } = await statfs(folder);
  const block = Buffer.alloc(MIB);
  await writeFile(path, '');
  for (let left = bavail * bsize; left > 0; left -= block.length) {
    try {
      await writeFile(path, block.subarray(0, Math.min(left, block.length)), { flag: 'a' });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
      break;
    }
  }
  return () => rm(path);
}
