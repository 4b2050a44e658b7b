import { rmSync, symlinkSync } from 'node:fs';
import { appendFile, chmod, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { AdapterError } from '../../src/adapters/errors.ts';
import { createFileTreeReader } from '../../src/adapters/file-tree/reader.ts';
import { CHUNK_RECORD_BYTES } from '../../src/formats/repository/chunk-table.ts';
import type { ContentsEntry } from '../../src/formats/repository/contents.ts';
import type { ChunkWriterSettings } from '../../src/ports/chunks.ts';
import type { FileTreeReader, ReadableFolder } from '../../src/ports/file-tree.ts';
import { openSnapshot } from '../../src/usecases/repository/open-snapshot.ts';
import { type BackupRepository, createBackupRepository, signal } from '../support/backup-repository.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { mountTmpfs } from '../support/mounts.ts';
import { describeRestorable, makeNastyTree } from '../support/nasty-tree.ts';
import { filesSource, restoreFolder } from '../support/restored-folder.ts';
import { temporaryFolder } from '../support/temporary.ts';

async function entriesOf(repository: BackupRepository): Promise<ContentsEntry[]> {
  const opened = await openSnapshot(await repository.open(), 'latest', [repository.identity], { signal });
  const entries: ContentsEntry[] = [];
  for await (const entry of opened.contents()) entries.push(entry);
  return entries;
}

async function pathsOf(repository: BackupRepository): Promise<string[]> {
  const files = (await entriesOf(repository)).filter((entry) => entry.entry === 'file');
  return files.map(({ path }) => path).sort();
}

test('a tree comes back with everything that it had, and a second run finds all of it there', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'tree'));
  await makeNastyTree(join(folder, 'tree'));
  await using repository = await createBackupRepository();
  const first = await repository.run([filesSource(join(folder, 'tree'))]);
  expect(first.sources[0]?.notes).toEqual([]);
  // The holes are not stored.
  expect(first.sizeBytes).toBeLessThan(11_000_000);
  const { notes, sources } = await restoreFolder(repository, join(folder, 'out'));
  expect(await describeRestorable(join(folder, 'out/files'))).toEqual(await describeRestorable(join(folder, 'tree')));
  expect(notes).toEqual([expect.stringMatching(/^socket is a socket/)]);
  expect(sources[0]).toMatchObject({ kind: 'files', items: first.sources[0]?.items });
  expect(await readdir(join(folder, 'out'))).toEqual(['files']);
  expect(await repository.run([filesSource(join(folder, 'tree'))])).toMatchObject({ newBytes: 0, newPacks: 0 });
});

test('an empty folder is a snapshot too', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'tree'), { mode: 0o750 });
  await using repository = await createBackupRepository();
  await repository.run([filesSource(join(folder, 'tree'))]);
  await restoreFolder(repository, join(folder, 'out'));
  expect(await describeRestorable(join(folder, 'out/files'))).toEqual(await describeRestorable(join(folder, 'tree')));
});

test('who is not root gets the files as his own, without the bits that would run them as him, and is told', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'tree'));
  await writeFile(join(folder, 'tree/program'), 'x');
  await chmod(join(folder, 'tree/program'), 0o6755);
  await using repository = await createBackupRepository();
  await repository.run([filesSource(join(folder, 'tree'))]);
  const { notes } = await restoreFolder(repository, join(folder, 'out'), { effectiveUid: 1000 });
  expect((await describeRestorable(join(folder, 'out/files')))['./program']?.mode).toBe(0o755);
  expect(notes).toEqual([expect.stringMatching(/only root can give files away/)]);
});

test('many small files share packs, and come back each with its own bytes', async () => {
  const folder = await temporaryFolder();
  const bytes = pseudoRandom('many', 1_000_000);
  for (let place = 0; place < 40; place += 1) {
    await mkdir(join(folder, 'tree', `folder ${place}`), { recursive: true });
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => {
        const start = (place * 50 + index) * 400;
        return writeFile(
          join(folder, 'tree', `folder ${place}`, `file ${index}`),
          bytes.subarray(start, start + 400 + index),
        );
      }),
    );
  }
  await using repository = await createBackupRepository();
  const report = await repository.run([filesSource(join(folder, 'tree'))]);
  expect(report).toMatchObject({ packs: 1, sources: [{ items: 2041 }] });
  await restoreFolder(repository, join(folder, 'out'));
  expect(await describeRestorable(join(folder, 'out/files'))).toEqual(await describeRestorable(join(folder, 'tree')));
});

test('a small file that cannot be read with the others fails the run, which names it', async () => {
  const folder = await temporaryFolder();
  for (const name of ['a', 'bad', 'c']) await writeFile(join(folder, name), name);
  await using repository = await createBackupRepository();
  const createWriter = async (settings: ChunkWriterSettings) => {
    const writer = await createChunkWriter(settings);
    return {
      ...writer,
      async smallFiles(paths: readonly Uint8Array[]) {
        const table = await writer.smallFiles(paths);
        const place = paths.findIndex((path) => Buffer.from(path).toString().endsWith('/bad'));
        return table.fill(0, place * CHUNK_RECORD_BYTES, (place + 1) * CHUNK_RECORD_BYTES);
      },
      file: async (path: string | Uint8Array) => {
        expect(Buffer.from(path).toString()).toMatch(/bad$/);
        throw new AdapterError('FILE_UNREADABLE', 'EIO');
      },
    };
  };
  const work = repository.run([filesSource(folder)], { createChunkWriter: createWriter });
  await expect(work).rejects.toMatchObject({ code: 'BACKUP_FILES_UNREADABLE', at: { file: `${folder}/bad` } });
});

test('patterns leave out what they fit, with what is below, and one that fits nothing is told', async () => {
  const folder = await temporaryFolder();
  for (const path of ['a.tmp', 'keep', 'cache/x', 'deep/cache/y', 'deep/b.tmp', 'deep/logs/2026/l.log', 'logs/z']) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), path);
  }
  await using repository = await createBackupRepository();
  const exclude = ['*.tmp', '/cache', 'deep/**/l.log', 'nothing'];
  const report = await repository.run([filesSource(folder, { exclude })]);
  expect(await pathsOf(repository)).toEqual([
    ...['.', 'deep', 'deep/cache', 'deep/cache/y', 'deep/logs', 'deep/logs/2026', 'keep', 'logs', 'logs/z'],
  ]);
  expect(report.sources[0]?.notes).toEqual([`nothing in ${folder} fits nothing`]);
});

test('other file systems are taken unless that is not wanted, those that the kernel makes up never', async () => {
  const folder = await temporaryFolder();
  await mountTmpfs(join(folder, 'mounted'), 1);
  await writeFile(join(folder, 'mounted/file'), 'on another file system');
  await using repository = await createBackupRepository();
  await repository.run([filesSource(folder)]);
  expect(await pathsOf(repository)).toEqual(['.', 'mounted', 'mounted/file']);
  const report = await repository.run([filesSource(folder, { oneFileSystem: true })]);
  expect(await pathsOf(repository)).toEqual(['.']);
  expect(report.sources[0]?.notes).toEqual(['mounted is left out: it is another file system']);

  await using reader = createFileTreeReader();
  await using proc = await reader.openRoot('/proc');
  expect(await proc.isInvented()).toBe(true);
  await using root = await reader.openRoot(folder);
  expect(await root.isInvented()).toBe(false);
});

/** A reader that does something when a name is about to be opened by a worker. */
function meddling(onPath: (place: string, name: string) => void): FileTreeReader {
  const reader = createFileTreeReader();
  const wrap = (folder: ReadableFolder): ReadableFolder => ({
    ...folder,
    pathOf: (name) => {
      onPath(folder.place, name.toString());
      return folder.pathOf(name);
    },
    enter: async (name) => {
      const child = await folder.enter(name);
      return child === undefined ? undefined : wrap(child);
    },
  });
  return { ...reader, openRoot: async (path) => wrap(await reader.openRoot(path)) };
}

test('what vanishes while it is read is told and is not in the snapshot; the rest is', async () => {
  const folder = await temporaryFolder();
  for (const name of ['gone', 'replaced', 'stays']) await writeFile(join(folder, name), name);
  await using repository = await createBackupRepository();
  const files = meddling((place, name) => {
    if (name === 'stays') return;
    // Asked for with the others, and then by itself.
    rmSync(join(place, name), { force: true });
    if (name === 'replaced') symlinkSync('/etc/passwd', join(place, name));
  });
  const report = await repository.run([filesSource(folder, { files })]);
  expect(await pathsOf(repository)).toEqual(['.', 'stays']);
  expect([...(report.sources[0]?.notes ?? [])].sort()).toEqual([
    'gone vanished before it was read',
    'replaced vanished before it was read',
  ]);
});

test.each([
  { change: 'grows', act: (path: string) => appendFile(path, ' and more'), content: 'as it was and more' },
  { change: 'shrinks', act: (path: string) => truncate(path, 2), content: 'as' },
])(
  'a file that $change after it was looked at is one state, and its size is that of its bytes',
  async ({ act, content }) => {
    const folder = await temporaryFolder();
    const path = join(folder, 'file');
    await writeFile(path, 'as it was');
    await using repository = await createBackupRepository();
    const createWriter = async (settings: ChunkWriterSettings) => {
      const writer = await createChunkWriter(settings);
      return {
        ...writer,
        smallFiles: async (...args: Parameters<typeof writer.smallFiles>) => {
          await act(path);
          return await writer.smallFiles(...args);
        },
      };
    };
    await repository.run([filesSource(folder)], { createChunkWriter: createWriter });
    const out = await temporaryFolder();
    await restoreFolder(repository, join(out, 'out'));
    expect(await readFile(join(out, 'out/files/file'), 'utf8')).toBe(content);
  },
);

test('a file that is always written to is taken as it is, and told', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'log');
  await writeFile(path, 'line\n');
  await using repository = await createBackupRepository();
  const createWriter = async (settings: ChunkWriterSettings) => {
    const writer = await createChunkWriter(settings);
    return {
      ...writer,
      smallFiles: async (paths: readonly Uint8Array[]) => new Uint8Array(paths.length * CHUNK_RECORD_BYTES),
      file: async () => {
        await appendFile(path, 'line\n');
        throw new AdapterError('SOURCE_CHANGED', 'it changed');
      },
    };
  };
  const report = await repository.run([filesSource(folder)], { createChunkWriter: createWriter });
  expect(report.sources[0]?.notes).toEqual(['log was written to while it was read: it may be inconsistent']);
  const out = await temporaryFolder();
  await restoreFolder(repository, join(out, 'out'));
  expect(await readFile(join(out, 'out/files/log'), 'utf8')).toBe('line\n'.repeat(4));
});

test('everything that may not be read is named before a byte is read, and nothing is committed', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'private'));
  await writeFile(join(folder, 'secret'), 'x');
  await writeFile(join(folder, 'open'), 'x');
  const reader = createFileTreeReader();
  const files: FileTreeReader = {
    ...reader,
    openRoot: async (path) => {
      const root = await reader.openRoot(path);
      return {
        ...root,
        look: async (names, options) => {
          const facts = await root.look(names, options);
          return facts.map((one, index) => one && { ...one, isReadable: names[index]?.toString() === 'open' });
        },
      };
    },
  };
  await using repository = await createBackupRepository();
  await expect(repository.run([filesSource(folder, { files })])).rejects.toMatchObject({
    code: 'BACKUP_FILES_UNREADABLE',
    found: 'private, secret',
  });
  await expect(repository.run([filesSource(folder, { files, exclude: ['secret', 'private'] })])).resolves.toBeDefined();
});

test('a folder that is suddenly almost empty is a collapse', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'one'), 'x');
  await using repository = await createBackupRepository();
  const countsBefore = { version: 1, items: 500, sizeBytes: 1 } as const;
  const report = await repository.run([filesSource(folder, { countsBefore })]);
  expect(report).toMatchObject({ collapsed: true });
  expect(report.sources[0]?.collapses).toEqual([expect.stringMatching(/had 500 files and folders, and has 2/)]);
});
