/** `bundle copy` by the real command line, on real small file systems, with everything that happens to sticks. */
import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hexOf } from '../../src/core/digest.ts';
import { interruptAt } from '../support/interruption.ts';
import { fillDisk, mountExfat, mountExt4, mountTmpfs, remount } from '../support/mounts.ts';
import {
  goOn,
  type PortolanEnded,
  type ProgramOptions,
  portolan,
  portolanText,
  startPortolan,
  succeed,
  waitUntilStopped,
} from '../support/program.ts';
import { createPublisher, manifestOf, type Publisher, snapshot } from '../support/publisher.ts';

const TAG = 'demo-1.0.0';
const NAMES = ['README.txt', 'blobs', `${TAG}.sigstore.json`, 'index.json', 'oci-layout'].sort();
const MIB = 1024 * 1024;

let publisher: Publisher;
/** Sealed lists and pieces. */
let files: number;
beforeAll(async () => {
  publisher = await createPublisher();
  expect(await publisher.build()).toMatchObject({ status: 0, result: { tag: TAG } });
  files = (await manifestOf(publisher.medium, TAG)).layers.length;
});
afterAll(() => publisher?.dispose());

const folder = () => mkdtemp(publisher.at('case-'));
const copyArgs = (medium: string, args: readonly string[] = []) => [
  ...['bundle', 'copy', publisher.medium, medium],
  ...args,
];
const copy = (medium: string, options: ProgramOptions = {}): Promise<PortolanEnded> =>
  portolan(copyArgs(medium), options);

function expectRefusal(ended: PortolanEnded, status: number, code: string): void {
  expect(ended, ended.stdout + ended.stderr).toMatchObject({ status, error: { code }, result: undefined });
}

async function expectWhole(medium: string): Promise<void> {
  expect((await readdir(medium)).filter((name) => name !== 'lost+found').sort()).toEqual(NAMES);
  expect(await readdir(join(medium, 'blobs', 'sha256'))).toHaveLength(files + 4);
  expect(await publisher.verify(medium)).toMatchObject({ status: 0, result: { ok: true } });
}

const leftovers = async (medium: string) =>
  (await readdir(medium, { recursive: true })).filter((name) => /\.part$|\.tmp$|\.portolan/.test(name));

const thereIn = ({ result }: PortolanEnded) => (result as { there?: { files: number } } | undefined)?.there?.files;

/** A run that stopped itself right before index.json gets its name, or before another path. */
async function stoppedAt(medium: string, path: RegExp) {
  const running = startPortolan(copyArgs(medium), { env: interruptAt(medium, 'SIGSTOP', { path }) });
  await waitUntilStopped(running);
  return running;
}

test('a person sees what was written, what was there and that it was read back', async () => {
  const medium = join(await folder(), 'stick');
  const first = await portolanText(copyArgs(medium, ['--trust', publisher.trust]));
  expect(first).toMatchObject({ status: 0, stderr: '' });
  expect(first.stdout).toContain(`resumed     0 of ${files} files were there`);
  expect(first.stdout).toContain('past the cache');
  const second = await copy(medium);
  expect(second).toMatchObject({
    status: 0,
    result: { files, there: { files }, written: { files: 0 }, readBack: { files } },
  });
  expect(second.result?.readBack).not.toHaveProperty('cached');
  await expectWhole(medium);
  expect(await snapshot(medium)).toEqual(
    new Map(
      [...(await snapshot(publisher.medium))].map(([path, text]) => [path.replace(publisher.medium, medium), text]),
    ),
  );
});

test('wrong use: the same folder, all and one, no such bundle, a folder that is not ours', async () => {
  const medium = join(await folder(), 'stick');
  expectRefusal(await copy(publisher.medium), 2, 'SAME_MEDIUM');
  const all = ['bundle', 'copy', `${publisher.medium}:${TAG}`, medium, '--all'];
  expectRefusal(await portolan(all), 2, 'USAGE');
  expectRefusal(await portolan(['bundle', 'copy', `${publisher.medium}:none-1`, medium]), 1, 'BUNDLE_NOT_FOUND');
  expectRefusal(await portolan(['bundle', 'copy', publisher.at('project'), medium]), 2, 'MEDIUM_NOT_OURS');
  expectRefusal(await copy(publisher.at('project')), 2, 'MEDIUM_NOT_OURS');
  expect(await readdir(join(medium, '..'))).toEqual([]);
});

describe('an exFAT stick', () => {
  test('killed at many of its changes, the next run takes what was complete, and the medium is whole', async () => {
    const disk = await folder();
    await mountExfat(disk, 64);
    let killed = 0;
    let resumed = 0;
    for (let call = 1; ; call += 7) {
      const medium = join(disk, 'stick');
      const ended = await copy(medium, { env: interruptAt(medium, 'SIGKILL', { call }) });
      if (ended.status === 0) break;
      expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: null, signal: 'SIGKILL' });
      killed += 1;
      const blobs = await readdir(join(medium, 'blobs', 'sha256')).catch(() => []);
      const { layers } = await manifestOf(publisher.medium, TAG);
      const complete = layers.filter(({ digest }) => (blobs as string[]).includes(hexOf(digest))).length;
      const next = await copy(medium);
      expect(next, next.stdout + next.stderr).toMatchObject({
        status: 0,
        result: { there: { files: complete }, written: { files: files - complete }, readBack: { cached: 'program' } },
      });
      resumed = Math.max(resumed, complete);
      await expectWhole(medium);
      await rm(medium, { recursive: true });
    }
    expect(killed).toBeGreaterThan(5);
    expect(resumed).toBe(files);
  });

  test('is being written by another process: the second says so', async () => {
    const disk = await folder();
    await mountExfat(disk, 64);
    const medium = join(disk, 'stick');
    const running = await stoppedAt(medium, /\/index\.json$/);
    expectRefusal(await copy(medium), 1, 'MEDIUM_BUSY');
    goOn(running);
    expect(await running.ended).toMatchObject({ status: 0 });
    await expectWhole(medium);
  });
});

describe('space', () => {
  test('that is too little for what is missing is told beforehand; for what is there none is needed', async () => {
    const disk = await folder();
    await mountTmpfs(disk, 3);
    expectRefusal(await copy(disk), 1, 'MEDIUM_TOO_SMALL');
    expect(await readdir(disk)).toEqual([]);

    const full = await folder();
    await mountTmpfs(full, 8);
    expect(await copy(full)).toMatchObject({ status: 0, result: { readBack: { cached: 'memory' } } });
    const { layers } = await manifestOf(full, TAG);
    const last = layers.at(-1);
    await rm(publisher.blobPath(last?.digest ?? '', full));
    await writeFile(join(full, 'lost+found'), Buffer.alloc(5 * MIB - 4 * 64 * 1024 - MIB));
    const again = await copy(full);
    expect(again, again.stdout).toMatchObject({ status: 0, result: { written: { files: 1 } } });
    await expectWhole(full);
  });

  test('that ends on the way: what was complete stays for the next run, and nothing half', async () => {
    const disk = await folder();
    await mountTmpfs(disk, 16);
    const running = await stoppedAt(disk, /-3\.part$/);
    const free = await fillDisk(disk);
    goOn(running);
    expectRefusal(await running.ended, 1, 'NO_SPACE');
    expect(await leftovers(disk)).toEqual([]);
    await free();
    const next = await copy(disk);
    expect(next).toMatchObject({ status: 0 });
    expect(thereIn(next)).toBeGreaterThan(0);
    await expectWhole(disk);
  });
});

test('a read-only stick: as a target refused, as a source read', async () => {
  const disk = await folder();
  await mountTmpfs(disk, 32);
  await cp(publisher.medium, disk, { recursive: true });
  await remount(disk, 'ro');
  expectRefusal(await copy(disk), 1, 'READ_ONLY');
  expectRefusal(await copy(join(disk, 'new')), 1, 'READ_ONLY');
  const medium = join(await folder(), 'stick');
  expect(await portolan(['bundle', 'copy', disk, medium])).toMatchObject({ status: 0 });
  await remount(disk, 'rw');
  await expectWhole(medium);
});

/** Writes over a piece where it lies on the disk of a file system, beneath the caches of the file system. */
async function damageOnDisk(image: string, piece: string): Promise<void> {
  const bytes = await readFile(piece);
  const disk = await readFile(image);
  const at = disk.indexOf(bytes.subarray(0, 4096));
  expect(at).toBeGreaterThan(0);
  await using file = await open(image, 'r+');
  await file.write(Buffer.alloc(512, 0xff), 0, 512, at + 1024);
  await file.sync();
}

describe('a bad disk', () => {
  test('that keeps other bytes than were written is found out past the cache, and the file is named and removed', async () => {
    const disk = await folder();
    const { image } = await mountExt4(disk, 64);
    const running = await stoppedAt(disk, /-3\.part$/);
    // Some pieces have their names by now. One of them goes bad on the disk, and the cache still has it right.
    const [name = ''] = (await readdir(join(disk, 'blobs', 'sha256'))).sort();
    const piece = join(disk, 'blobs', 'sha256', name);
    const good = await readFile(piece);
    await damageOnDisk(image, piece);
    expect(Buffer.compare(await readFile(piece), good)).toBe(0);
    goOn(running);
    const ended = await running.ended;
    expectRefusal(ended, 3, 'COPY_NOT_RIGHT');
    expect(ended.error?.others).toMatchObject([{ at: { file: piece } }]);
    const left = await readdir(disk, { recursive: true });
    expect(left).not.toContain('index.json');
    expect(left).not.toContain(join('blobs', 'sha256', name));
    expect(await copy(disk)).toMatchObject({ status: 0, result: { written: { files: 1 } } });
    await expectWhole(disk);
  });

  test('that is smaller than it says keeps nothing behind its end', async () => {
    const disk = await folder();
    const { image } = await mountExt4(disk, 64);
    const running = await stoppedAt(disk, /-3\.part$/);
    await truncate(image, 4 * MIB);
    goOn(running);
    expectRefusal(await running.ended, 3, 'COPY_NOT_RIGHT');
    expect(await readdir(disk)).not.toContain('index.json');
  });

  test('under a medium that was whole: the next copy writes that piece again', async () => {
    const disk = await folder();
    const { image } = await mountExt4(disk, 64);
    expect(await copy(disk)).toMatchObject({ status: 0 });
    const { layers } = await manifestOf(disk, TAG);
    await damageOnDisk(image, publisher.blobPath(layers[1]?.digest ?? '', disk));
    const again = await copy(disk);
    expect(again).toMatchObject({ status: 0, result: { written: { files: 1 } } });
    expect(again.events.map(({ event }) => event)).toContain('warning');
  });
});

describe('pulled out', () => {
  test('while it is written to: told, with what to do', async () => {
    const disk = await folder();
    const { image, device } = await mountExt4(disk, 64);
    const running = await stoppedAt(disk, /-3\.part$/);
    // The disk ends early now: whatever lies behind answers with an input/output error.
    await truncate(image, 4 * MIB);
    await succeed('losetup', ['--set-capacity', device]);
    goOn(running);
    const ended = await running.ended;
    expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: 1, result: undefined });
    // The kernel makes a file system read-only whose disk fails.
    expect(['DISK_GONE', 'READ_ONLY']).toContain(ended.error?.code);
    expect(ended.error?.hint).toBeTypeOf('string');
  });

  test('the mount is gone, and its folder is another one now: nothing is written there', async () => {
    const parent = await folder();
    const disk = join(parent, 'usb');
    await mkdir(disk);
    await mountTmpfs(disk, 32);
    const running = await stoppedAt(disk, /-3\.part$/);
    await succeed('umount', ['--lazy', disk]);
    goOn(running);
    expectRefusal(await running.ended, 1, 'DISK_GONE');
    expect(await readdir(disk)).toEqual([]);
    await succeed('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'portolan-test', disk]);
    expect(await copy(disk)).toMatchObject({ status: 0 });
    await expectWhole(disk);
  });

  test('the source is gone on the way: it is told', async () => {
    const disk = await folder();
    await mountTmpfs(disk, 32);
    await cp(publisher.medium, disk, { recursive: true });
    const medium = join(await folder(), 'stick');
    const running = startPortolan(['bundle', 'copy', disk, medium], {
      env: interruptAt(medium, 'SIGSTOP', { path: /blobs\/sha256$/ }),
    });
    await waitUntilStopped(running);
    await succeed('umount', ['--lazy', disk]);
    goOn(running);
    const ended = await running.ended;
    expectRefusal(ended, 1, 'DISK_GONE');
    expect(ended.error?.at).toEqual({ file: disk });
    expect(await leftovers(medium).catch(() => [])).toEqual([]);
    await succeed('mount', ['-t', 'tmpfs', 'portolan-test', disk]);
  });
});
