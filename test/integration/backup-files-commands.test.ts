import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeTree } from '../support/nasty-tree.ts';
import { portolan, portolanText, succeed } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

const PASSWORD = 'throw-away password';

test('folders are backed up and restored as a person does it, and the repository never backs up itself', async () => {
  const root = await temporaryFolder();
  const at = (...names: string[]) => join(root, ...names);
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  await succeed('age-keygen', ['-pq', '-o', at('key.txt')]);
  const recipient = (await succeed('age-keygen', ['-y', at('key.txt')])).trim();
  const env = { COSIGN_PASSWORD: PASSWORD, XDG_CONFIG_HOME: at('config'), PORTOLAN_JSON: undefined };
  const common = ['--repo', at('srv/backups'), '--state', at('state')];
  const key = ['--sign-key', at('cosign.key')];
  const options = { env, cwd: root };
  for (let place = 0; place < 120; place += 1) {
    await mkdir(at(`srv/data/${place % 7}`), { recursive: true });
    await writeFile(at(`srv/data/${place % 7}/${place}`), `file ${place}`);
  }
  await mkdir(at('etc'));
  await writeFile(at('etc/settings.tmp'), 'x');
  await writeFile(at('etc/settings'), 'x');
  const init = await portolan(['backup', 'init', '-r', recipient, '--writer', 'w', ...key, ...common], options);
  expect(init.status, init.stdout).toBe(0);

  const run = ['backup', 'run', '--files', 'srv', '--files', at('etc'), '--exclude-files', '*.tmp', ...key, ...common];
  const first = await portolan(run, options);
  expect(first.result).toMatchObject({
    sources: [
      {
        kind: 'files',
        name: 'files',
        place: at('srv'),
        notes: ['backups is left out: it is the repository', `nothing in ${at('srv')} fits *.tmp`],
      },
      { kind: 'files', name: 'files-2', place: at('etc'), items: 2 },
    ],
  });
  expect((await portolan(run, options)).result).toMatchObject({ sequence: 2, collapsed: false });

  const restore = ['restore', '-i', at('key.txt'), '--to', `folder:${at('out')}`, ...common];
  expect((await portolan([...restore, '--plan'], options)).result).toMatchObject({
    plan: true,
    sources: [{}, { items: 2 }],
  });
  const restored = await portolanText(restore, options);
  expect(restored.status, restored.stderr).toBe(0);
  expect(restored.stdout).toMatch(/^\S+out: restored\n {2}files +129 files/);
  expect(await readdir(at('out/files-2'))).toEqual(['settings']);
  expect(await describeTree(at('out/files/data'))).toEqual(await describeTree(at('srv/data')));
  expect((await portolan(restore, options)).error).toMatchObject({ code: 'RESTORE_FOLDER_NOT_EMPTY' });

  // As when a volume is not mounted.
  await rm(at('srv/data'), { recursive: true });
  const collapsed = await portolan(run, options);
  expect(collapsed.result).toMatchObject({ collapsed: true });
  expect(collapsed.events).toContainEqual({
    event: 'warning',
    message: expect.stringContaining('Is something not mounted?'),
  });
  expect((await portolan(['backup', 'run', ...key, ...common], options)).error).toMatchObject({
    code: 'NOTHING_TO_BACK_UP',
  });
  const missing = await portolan(['backup', 'run', '--files', 'nowhere', ...key, ...common], options);
  expect(missing.error).toMatchObject({ code: 'FILE_MISSING', at: { file: at('nowhere') } });
});
