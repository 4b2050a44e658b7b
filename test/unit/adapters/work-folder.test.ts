import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createWorkFolder } from '../../../src/adapters/work-folder/work-folder.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const MODULE = new URL('../../../src/adapters/work-folder/work-folder.ts', import.meta.url).href;

/** A process that makes a folder, writes a secret into it, and is killed. */
function leaveBehind(parent: string): void {
  const program = `const { createWorkFolder } = await import(${JSON.stringify(MODULE)});
const work = await createWorkFolder(${JSON.stringify(parent)});
await work.write('values.json', [Buffer.from('secret')]);
process.kill(process.pid, 'SIGKILL');`;
  expect(spawnSync(process.execPath, ['--input-type=module', '--eval', program]).signal).toBe('SIGKILL');
}

describe('a work folder', () => {
  it('is gone at the end, with what was written into it', async () => {
    const parent = await temporaryFolder();
    {
      await using work = await createWorkFolder(parent);
      const path = await work.write('a', Readable.from([Buffer.from('text')]));
      expect(await readFile(path, 'utf8')).toBe('text');
    }
    expect(await readdir(parent)).toEqual([]);
  });

  it('of a run that was killed is removed by the next one; those of others and of the living stay', async () => {
    const parent = await temporaryFolder();
    leaveBehind(parent);
    const [left] = await readdir(parent);
    expect(left).toMatch(/^portolan-/);
    await mkdir(join(parent, 'portolan-abcdef'));
    await writeFile(join(parent, 'portolan-abcdef', 'file'), 'of something else');
    await using living = await createWorkFolder(parent);
    await using _mine = await createWorkFolder(parent);
    const names = await readdir(parent);
    expect(names).not.toContain(left);
    expect(names).toContain('portolan-abcdef');
    expect(names.map((name) => join(parent, name))).toContain(living.path);
    expect(names).toHaveLength(3);
  });
});
