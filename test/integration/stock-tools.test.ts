/** README.txt of a medium holds: its commands, cut out and run as they stand, check and open a bundle without Portolan. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Digest, digestOf, hexOf } from '../../src/core/digest.ts';
import { type Ended, run } from '../support/program.ts';
import { createPublisher, manifestOf, PROJECT_FILES, type Publisher } from '../support/publisher.ts';

const TAG = 'demo-1.0.0';
let publisher: Publisher;
beforeAll(async () => {
  publisher = await createPublisher();
});
afterAll(() => publisher.dispose());

/** The commands of README.txt, from the first mark to the last one. */
async function readmeCommands(medium: string): Promise<string> {
  const lines = (await readFile(join(medium, 'README.txt'), 'utf8')).split('\n');
  const marks = lines.flatMap((line, index) => (/^--- .* ---$/.test(line) ? [index] : []));
  expect(marks.length).toBeGreaterThan(2);
  return lines
    .slice(marks[0], marks.at(-1))
    .filter((line) => !/^--- .* ---$/.test(line))
    .join('\n');
}

/** Copies the medium and runs the commands in the copy, with the three variables set. */
async function openByHand(
  options: { readonly medium?: string; readonly identity?: string; readonly publisherKey?: string } = {},
): Promise<Ended & { readonly folder: string }> {
  const folder = await mkdtemp(publisher.at('copy-'));
  await cp(options.medium ?? publisher.medium, folder, { recursive: true });
  const script = await readmeCommands(folder);
  const env = {
    HOME: publisher.root,
    TAG,
    PUBLISHER: options.publisherKey ?? publisher.trust,
    KEY: options.identity ?? publisher.identity,
  };
  return { ...(await run('sh', ['-s'], { cwd: folder, env, input: script })), folder: join(folder, 'opened', TAG) };
}

/** Holds what was opened by hand against the list inside, and against the publisher's own files. */
async function expectOpened(folder: string): Promise<void> {
  const contents = JSON.parse(await readFile(join(folder, 'contents.json'), 'utf8'));
  expect(contents).toMatchObject({ name: 'demo', version: '1.0.0' });
  const names = contents.blobs.map(({ digest }: { digest: Digest }) => hexOf(digest));
  expect((await readdir(join(folder, 'blobs'))).sort()).toEqual(names.sort());
  for (const { digest, sizeBytes } of contents.blobs) {
    const bytes = await readFile(join(folder, 'blobs', hexOf(digest)));
    expect([digestOf(bytes), bytes.length]).toEqual([digest, sizeBytes]);
  }
  const files: { path: string; digest: Digest }[] = contents.files;
  expect(files.map(({ path }) => path).sort()).toEqual(Object.keys(PROJECT_FILES).sort());
  for (const { path, digest } of files) {
    const bytes = await readFile(join(folder, 'blobs', hexOf(digest)));
    expect(Buffer.compare(bytes, PROJECT_FILES[path] as Uint8Array)).toBe(0);
  }
  const roles = new Set(contents.blobs.flatMap(({ roles }: { roles: string[] }) => roles));
  for (const role of [
    'chart',
    'values',
    'migration',
    'configuration',
    'file',
    'image-manifest',
    'image-layer',
    'sbom-index',
  ]) {
    expect(roles).toContain(role);
  }
}

describe('one recipient', () => {
  beforeAll(async () => {
    expect(await publisher.build()).toMatchObject({ status: 0, result: { tag: TAG } });
  });

  test('stock tools check and open everything', async () => {
    const opened = await openByHand();
    expect(opened).toMatchObject({ status: 0 });
    await expectOpened(opened.folder);
  });

  test('the commands stop at a key that did not sign', async () => {
    const other = await mkdtemp(publisher.at('other-'));
    await run('cosign', ['generate-key-pair'], { cwd: other, env: publisher.env });
    const opened = await openByHand({ publisherKey: join(other, 'cosign.pub') });
    expect(opened.status).not.toBe(0);
    await expect(readdir(opened.folder)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('the commands stop at a file that is not what it was', async () => {
    const medium = await mkdtemp(publisher.at('damaged-'));
    await cp(publisher.medium, medium, { recursive: true });
    const { layers } = await manifestOf(medium, TAG);
    for (const { digest } of layers) {
      const path = publisher.blobPath(digest, medium);
      const bytes = await readFile(path);
      await writeFile(path, Buffer.concat([bytes.subarray(0, -1), Buffer.from([(bytes.at(-1) as number) ^ 1])]));
      const opened = await openByHand({ medium });
      expect(opened.status).not.toBe(0);
      expect(opened.stdout + opened.stderr).toContain(hexOf(digest));
      await expect(readdir(opened.folder)).rejects.toMatchObject({ code: 'ENOENT' });
      await writeFile(path, bytes);
    }
  });

  test('the commands stop at an identity that is no recipient', async () => {
    const { path } = await publisher.createIdentity('stranger.txt');
    expect((await openByHand({ identity: path })).status).not.toBe(0);
  });

  test('the commands can be run a second time', async () => {
    const first = await openByHand();
    const folder = join(first.folder, '..', '..');
    const env = { HOME: publisher.root, TAG, PUBLISHER: publisher.trust, KEY: publisher.identity };
    expect(await run('sh', ['-s'], { cwd: folder, env, input: await readmeCommands(folder) })).toMatchObject({
      status: 0,
    });
    await expectOpened(first.folder);
  });
});

test.each([
  ['classic', []],
  ['post-quantum', ['-pq']],
])('each of two %s recipients opens the bundle, with Portolan and without', async (kind, flags) => {
  const medium = publisher.at(`stick-${kind}`);
  const one = await publisher.createIdentity(`one-${kind}.txt`, flags);
  const two = await publisher.createIdentity(`two-${kind}.txt`, flags);
  const built = await publisher.build({ medium, recipients: [one.recipient, two.recipient] });
  expect(built).toMatchObject({ status: 0, result: { tag: TAG } });
  for (const { path } of [one, two]) {
    const opened = await openByHand({ medium, identity: path });
    expect(opened).toMatchObject({ status: 0 });
    await expectOpened(opened.folder);
    expect(await publisher.verify(medium, ['-i', path])).toMatchObject({ status: 0, result: { ok: true } });
    await rm(join(opened.folder, '..', '..'), { recursive: true });
  }
});
