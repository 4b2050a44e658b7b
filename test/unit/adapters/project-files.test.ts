import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProjectFiles } from '../../../src/adapters/project-files/project-files.ts';
import { digestOf } from '../../../src/core/digest.ts';
import { raisedCodes } from '../../support/raised.ts';

const files = createProjectFiles();
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-files-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('project files', () => {
  it('tell what lies in a folder, sorted, links followed', async () => {
    await writeFile(join(folder, 'b'), '12');
    await chmod(join(folder, 'b'), 0o755);
    await mkdir(join(folder, 'a'));
    await symlink('b', join(folder, 'link'));
    await symlink('nowhere', join(folder, 'lost'));
    await symlink('loop', join(folder, 'loop'));
    expect(await files.list(folder)).toEqual([
      { name: 'a', kind: 'folder', isLink: false, sizeBytes: 0, executable: false },
      { name: 'b', kind: 'file', isLink: false, sizeBytes: 2, executable: true },
      { name: 'link', kind: 'file', isLink: true, sizeBytes: 2, executable: true },
      { name: 'loop', kind: 'absent', isLink: true, sizeBytes: 0, executable: false },
      { name: 'lost', kind: 'absent', isLink: true, sizeBytes: 0, executable: false },
    ]);
    expect(await files.kind(join(folder, 'lost'))).toBe('absent');
    expect(await files.kind(join(folder, 'b', 'below'))).toBe('absent');
    expect(await files.kind('/dev/null')).toBe('other');
  });

  it('read a file up to its limit and no further', async () => {
    const path = join(folder, 'a');
    await writeFile(path, 'hello');
    expect(Buffer.from(await files.read(path, 5)).toString()).toBe('hello');
    expect(await raisedCodes(() => files.read(path, 4))).toEqual(['AdapterError FILE_TOO_LARGE']);
    expect(await raisedCodes(() => files.read(folder, 4))).toEqual(['AdapterError FILE_UNREADABLE']);
    expect(await raisedCodes(() => files.read('/dev/zero', 4))).toEqual(['AdapterError FILE_UNREADABLE']);
    expect(await raisedCodes(() => files.read(join(folder, 'b'), 4))).toEqual(['AdapterError FILE_MISSING']);
  });

  it('hash a file where it lies', async () => {
    const content = Buffer.alloc(3_000_000, 'portolan');
    const path = join(folder, 'a');
    await writeFile(path, content);
    let seen = 0;
    const onBytes = (bytes: number) => {
      seen += bytes;
    };
    expect(await files.hash(path, { onBytes })).toEqual({ digest: digestOf(content), sizeBytes: content.length, path });
    expect(seen).toBe(content.length);
    expect(await raisedCodes(() => files.hash(folder))).toEqual(['AdapterError FILE_UNREADABLE']);
    expect(await raisedCodes(() => files.hash(join(folder, 'b')))).toEqual(['AdapterError FILE_MISSING']);
  });

  it('stop hashing at the abort signal', async () => {
    const path = join(folder, 'a');
    await writeFile(path, Buffer.alloc(3_000_000));
    await expect(files.hash(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('write a file whole and leave nothing beside it', async () => {
    const path = join(folder, 'a');
    await files.write(path, 'one');
    await files.write(path, 'two');
    expect(Buffer.from(await files.read(path, 10)).toString()).toBe('two');
    expect(await readdir(folder)).toEqual(['a']);
    expect(await raisedCodes(() => files.write(join(folder, 'x', 'a'), 'one'))).toEqual([
      'AdapterError FILE_UNWRITABLE',
    ]);
    expect(await raisedCodes(() => files.makeFolder(join(path, 'x')))).toEqual(['AdapterError FILE_UNWRITABLE']);
  });
});
