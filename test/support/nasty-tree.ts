import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  chmod,
  chown,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readlink,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pseudoRandom } from './image-content.ts';

const run = promisify(execFile);

const NOT_UTF8 = Buffer.from([0x62, 0x61, 0x64, 0xff, 0xfe, 0x2e]);
const isRoot = process.getuid?.() === 0;

const inFolder = (folder: string, name: Buffer) => Buffer.concat([Buffer.from(`${folder}/`), name]);

/** A folder with everything that a file system can hold; what only root can make where this is root. */
export async function makeNastyTree(folder: string): Promise<void> {
  await mkdir(join(folder, 'd/e/f'), { recursive: true });
  await writeFile(join(folder, 'small.txt'), 'small\n');
  await writeFile(join(folder, 'empty'), '');
  await writeFile(join(folder, 'large'), pseudoRandom('large', 9_000_000));
  await writeFile(join(folder, 'd', `new\nline "quotes" 'single' $HOME \\ * 表 🐘`), 'odd');
  await writeFile(join(folder, 'd', `-rf`), 'dash');
  await writeFile(join(folder, 'd', 'x'.repeat(255)), 'longest name');
  await writeFile(inFolder(join(folder, 'd'), NOT_UTF8), 'not UTF-8');
  await mkdir(inFolder(folder, NOT_UTF8));
  await writeFile(Buffer.concat([inFolder(folder, NOT_UTF8), Buffer.from('/inside')]), pseudoRandom('inside', 400_000));
  await link(join(folder, 'small.txt'), join(folder, 'd/e/hard'));
  await link(inFolder(join(folder, 'd'), NOT_UTF8), join(folder, 'd/e/hard of odd'));
  await symlink('../small.txt', join(folder, 'd/link'));
  await symlink('/nowhere/at all', join(folder, 'dangling'));
  await symlink(NOT_UTF8, inFolder(folder, Buffer.from('to odd')));
  await writeFile(join(folder, 'setuid'), 'program');
  await chmod(join(folder, 'setuid'), 0o6755);
  await mkdir(join(folder, 'sticky'));
  await chmod(join(folder, 'sticky'), 0o1777);
  await writeFile(join(folder, 'd/closed'), 'closed');
  await makeSparse(join(folder, 'sparse'), 60_000_000, [8192, 30_000_000, 59_999_000]);
  await makeSparse(join(folder, 'hole'), 5_000_000, []);
  await run('mkfifo', [join(folder, 'pipe')]);
  await makeSocket(join(folder, 'socket'));
  if (isRoot) {
    await run('mknod', [join(folder, 'null'), 'c', '1', '3']);
    await run('mknod', [join(folder, 'disk'), 'b', '259', '70000']);
    await chown(join(folder, 'd/-rf'), 12_345, 54_321);
    await lchown(join(folder, 'd/link'), 12_345, 54_321);
    await chown(join(folder, 'd/e'), 12_345, 54_321);
  }
  await lutimes(join(folder, 'd/link'), 1_000_000_000.25, 1_000_000_000.25);
  await utimes(join(folder, 'small.txt'), 1_234_567_890.123_456, 1_234_567_890.123_456);
  await utimes(join(folder, 'empty'), -1000, -1000);
  await chmod(join(folder, 'd/closed'), 0o000);
  await utimes(join(folder, 'd/e/f'), 86_400, 86_400);
  await chmod(join(folder, 'd/e'), 0o500);
}

async function makeSparse(path: string, sizeBytes: number, places: readonly number[]): Promise<void> {
  await using file = await open(path, 'w');
  await file.truncate(sizeBytes);
  for (const place of places) await file.write(Buffer.from(`data at ${place}`), 0, null, place);
}

async function makeSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  // Closing it would remove it.
  server.unref();
}

export interface TreeItem {
  readonly kind: string;
  readonly mode: number;
  readonly owner: string;
  /** As a floating point number, which is what Node can set: within a quarter of a microsecond. */
  readonly seconds: number;
  readonly links: number;
  readonly device?: bigint;
  readonly target?: string;
  readonly digest?: string;
  readonly isSparse?: boolean;
}

/** Everything in a folder by its path (bytes as latin1), with all that a restore puts back. */
export async function describeTree(folder: string): Promise<Record<string, TreeItem>> {
  const items: Record<string, TreeItem> = {};
  const visit = async (path: Buffer, shown: string): Promise<void> => {
    const facts = await lstat(path, { bigint: true });
    const kind = facts.mode & 0o170000n;
    items[shown] = {
      kind: kind.toString(8),
      mode: Number(facts.mode & 0o7777n),
      owner: `${facts.uid}:${facts.gid}`,
      seconds: Number(facts.mtimeNs) / 1e9,
      links: facts.isDirectory() ? 0 : Number(facts.nlink),
      ...(facts.isCharacterDevice() || facts.isBlockDevice() ? { device: facts.rdev } : {}),
      ...(facts.isSymbolicLink() ? { target: (await readlink(path, { encoding: 'buffer' })).toString('latin1') } : {}),
      ...(facts.isFile()
        ? { digest: await digestOf(path), isSparse: facts.size - facts.blocks * 512n > 1_000_000n }
        : {}),
    };
    if (!facts.isDirectory()) return;
    const names = (await readdir(path, { encoding: 'buffer' })) as Buffer[];
    for (const name of names.sort(Buffer.compare)) {
      await visit(Buffer.concat([path, Buffer.from('/'), name]), `${shown}/${name.toString('latin1')}`);
    }
  };
  await visit(Buffer.from(folder), '.');
  return items;
}

/** The same without what no restore makes. */
export async function describeRestorable(folder: string): Promise<Record<string, TreeItem>> {
  const { './socket': _, ...items } = await describeTree(folder);
  return items;
}

async function digestOf(path: Buffer): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest('hex');
}
