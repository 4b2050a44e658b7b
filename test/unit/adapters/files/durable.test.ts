import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import {
  isTemporaryName,
  renameDurable,
  syncFolder,
  temporaryName,
  writeFileDurable,
} from '../../../../src/adapters/files/durable.ts';
import { fileError } from '../../../../src/adapters/files/file-error.ts';
import { expectCode } from '../../../support/image-source-suite.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

describe('durable writes', () => {
  it('writes, replaces, and leaves nothing else in the folder', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'file');
    await writeFileDurable(path, 'first');
    await writeFileDurable(path, Buffer.from('second'), { mode: 0o600 });
    expect(await readFile(path, 'utf8')).toBe('second');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('replaces a link by a file and does not write through it', async () => {
    const folder = await temporaryFolder();
    const [target, link] = [join(folder, 'target'), join(folder, 'link')];
    await writeFile(target, 'untouched');
    await symlink(target, link);
    await writeFileDurable(link, 'new');
    expect(await readFile(target, 'utf8')).toBe('untouched');
    expect(await readFile(link, 'utf8')).toBe('new');
  });

  it('leaves the former file and no part of the new one when it fails', async () => {
    const folder = await temporaryFolder();
    // A folder cannot be replaced by a file: the rename fails after everything else succeeded.
    await mkdir(join(folder, 'taken', 'inner'), { recursive: true });
    await expectCode(writeFileDurable(join(folder, 'taken'), 'new'), AdapterError, 'FILE_UNWRITABLE');
    expect(await readdir(folder)).toEqual(['taken']);
    await expectCode(writeFileDurable(join(folder, 'absent', 'file'), 'new'), AdapterError, 'FILE_UNWRITABLE');
    await expectCode(renameDurable(join(folder, 'absent'), join(folder, 'file')), AdapterError, 'FILE_UNWRITABLE');
    await expectCode(syncFolder(join(folder, 'absent')), AdapterError, 'FILE_UNWRITABLE');
  });

  it('says that a disk is full (/dev/full answers every write so)', async () => {
    const failure = await writeFile('/dev/full', 'x').catch((error: unknown) => error);
    expect(fileError(failure, '/media/stick/file', 'write')).toMatchObject({
      code: 'NO_SPACE',
      at: { file: '/media/stick/file' },
    });
  });

  it('tells reading from writing, and passes other errors through', async () => {
    const failure = await readFile('/nowhere/at/all').catch((error: unknown) => error);
    expect(fileError(failure, '/nowhere/at/all', 'read')).toMatchObject({ code: 'FILE_MISSING' });
    const own = new AdapterError('NO_SPACE', 'already ours');
    expect(fileError(own, 'x', 'read')).toBe(own);
    expect(fileError('text', 'x', 'read')).toBe('text');
    const readOnly = Object.assign(new Error('EROFS'), { code: 'EROFS', syscall: 'open' });
    expect(fileError(readOnly, 'x', 'write')).toMatchObject({ code: 'READ_ONLY' });
  });

  it('names temporary files beside the final one, and knows them again', async () => {
    const name = temporaryName('/some/folder/index.json');
    expect(dirname(name)).toBe('/some/folder');
    expect(isTemporaryName(basename(name))).toBe(true);
    expect(temporaryName('/some/folder/index.json')).not.toBe(name);
    for (const other of ['index.json', '.index.json', 'index.json.tmp', '.index.json.0123.tmp']) {
      expect(isTemporaryName(other)).toBe(false);
    }
  });

  it('syncs a folder that exists, whatever its rights allow', async () => {
    const folder = await temporaryFolder();
    await chmod(folder, 0o500);
    await syncFolder(folder);
    await chmod(folder, 0o700);
  });
});
