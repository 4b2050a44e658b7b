/** docs/sneakernet.md: every command of the page is run, in its order, with a real importer, bundle and stick. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blocksOf } from '../support/document-blocks.ts';
import { buildImporter, CHECKOUT } from '../support/importer.ts';
import { run, succeed } from '../support/program.ts';
import { createPublisher, type Publisher } from '../support/publisher.ts';

/** The page imports into the k3s of its node. There is none here: the images go into a folder instead. */
const IMPORT_INTO_A_FOLDER = { PORTOLAN_ONLY: 'images', PORTOLAN_IMAGES: 'folder=images', PORTOLAN_STATE: 'state' };

let publisher: Publisher;
beforeAll(async () => {
  publisher = await createPublisher();
});
afterAll(() => publisher?.dispose());

test('every command works as the page says', async () => {
  const page = await readFile(join(CHECKOUT, 'docs', 'sneakernet.md'), 'utf8');
  const [names, ...blocks] = blocksOf(page);
  const variables = (names?.text ?? '').split('\n').map((line) => line.split('=')[0]);
  expect(variables).toEqual(['CHECKOUT', 'STORE', 'USB', 'TAG', 'BIN']);

  // A bundle with an importer in it, sealed for the closed side, in the publisher's store.
  await buildImporter(['--out', publisher.at('project', 'files', 'portolan')]);
  const definition = await readFile(publisher.at('project', 'bundle.yaml'), 'utf8');
  const importer = "  - { path: bin/linux-amd64/portolan, source: files/portolan, mode: '0755' }\n";
  await writeFile(publisher.at('project', 'bundle.yaml'), `${definition.replace('1MiB', '16MiB')}${importer}`);

  const [office, closed, bin] = [publisher.at('office'), publisher.at('closed'), publisher.at('bin')];
  const usb = publisher.at('usb');
  for (const folder of [office, closed, bin, usb]) await mkdir(folder);
  await writeFile(join(office, 'cosign.pub'), await readFile(publisher.trust));
  // On the connected side `portolan` is the checkout's; on the closed side the one that was installed.
  await mkdir(publisher.at('office-bin'));
  const shim = publisher.at('office-bin', 'portolan');
  await writeFile(shim, `#!/bin/sh\nexec '${join(CHECKOUT, 'scripts', 'portolan')}' "$@"\n`);
  await chmod(shim, 0o755);
  const env = { CHECKOUT, STORE: publisher.medium, USB: usb, TAG: 'demo-1.0.0', BIN: bin };

  const prints: Record<string, string[]> = {};
  let ran = 0;
  for (const { section, text } of blocks) {
    const isClosed = section.includes('closed side') || section.includes('newer importer');
    const path = `${isClosed ? bin : publisher.at('office-bin')}:${process.env.PATH}`;
    const target = isClosed ? IMPORT_INTO_A_FOLDER : {};
    const options = { cwd: isClosed ? closed : office, env: { ...env, ...target, PATH: path } };
    // The identity is made before the bundle that is sealed for it, wherever the page tells of it.
    if (section.startsWith('2.')) {
      await succeed('age-keygen', ['-o', join(closed, 'key-of-the-test.txt')]);
      const recipient = (await succeed('age-keygen', ['-y', join(closed, 'key-of-the-test.txt')])).trim();
      expect(await publisher.build({ recipients: [recipient] })).toMatchObject({ status: 0 });
    }
    const ended = await run('bash', ['-euo', 'pipefail', '-c', text], options);
    expect(ended, `${text}\n${ended.stdout}\n${ended.stderr}`).toMatchObject({ status: 0 });
    if (text.includes('age-keygen -o key.txt')) {
      await writeFile(join(closed, 'key.txt'), await readFile(join(closed, 'key-of-the-test.txt')));
    }
    // Nothing of the checkout's is needed on the closed side, once the importer is there.
    if (text.includes('fold -w 4')) prints[isClosed ? 'closed' : 'office'] = sheetOf(ended.stdout);
    ran += 1;
  }
  expect(ran).toBe(10);
  expect(prints.office).toHaveLength(2);
  for (const line of prints.office ?? []) expect(line.split(' ')).toHaveLength(16);
  expect(prints.closed).toEqual(prints.office);
  expect(await succeed(join(bin, 'portolan'), ['--version'])).toMatch(/^\d+\.\d+\.\d+\n$/);
});

/** The lines with digests: what is compared by eye. */
function sheetOf(printed: string): string[] {
  return printed.split('\n').filter((line) => /^[0-9a-f]{4} /.test(line));
}
