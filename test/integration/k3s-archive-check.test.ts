/** The checker of archives refuses what k3s would ignore or choke on: it is worth as much as it refuses. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { digestOf } from '../../src/core/digest.ts';
import { run, succeed } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

const NAME = 'registry.example.com/one:1';
const TYPES = 'application/vnd.oci.image';

/** An OCI layout of one image as an archive; `without` leaves a blob out. */
async function archive(file: string, options: { readonly name?: string; readonly without?: 'layer' } = {}) {
  const folder = join(await temporaryFolder(), 'layout');
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  const blob = async (mediaType: string, content: string, kept = true) => {
    const bytes = Buffer.from(content);
    const digest = digestOf(bytes);
    if (kept) await writeFile(join(folder, 'blobs', digest.replace(':', '/')), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layer = await blob(`${TYPES}.layer.v1.tar`, 'not looked into', options.without !== 'layer');
  const rootfs = { type: 'layers', diff_ids: [layer.digest] };
  const config = await blob(
    `${TYPES}.config.v1+json`,
    JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs, config: {} }),
  );
  const type = `${TYPES}.manifest.v1+json`;
  const manifest = await blob(type, JSON.stringify({ schemaVersion: 2, mediaType: type, config, layers: [layer] }));
  const annotations = { 'io.containerd.image.name': options.name ?? NAME };
  const index = { schemaVersion: 2, manifests: [options.name === '' ? manifest : { ...manifest, annotations }] };
  await writeFile(join(folder, 'index.json'), JSON.stringify(index));
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const path = join(folder, '..', file);
  await succeed('tar', ['--create', '--auto-compress', '--file', path, '--directory', folder, '.']);
  await rm(folder, { recursive: true });
  return path;
}

const check = (...args: string[]) => run('wharfie-check', args);

test.each(['one.tar', 'one.tar.gz', 'one.tgz', 'one.tar.bz2'])(
  '%s is taken, and its references are told',
  async (file) => {
    expect(await check(await archive(file))).toMatchObject({ status: 0, stdout: `${NAME}\n` });
  },
);

test('of several archives, those that are whole are told beside those that are not', async () => {
  const [good, bad] = [await archive('one.tar'), await archive('two.tar', { without: 'layer' })];
  expect(await check(good, bad)).toMatchObject({ status: 1, stdout: `${NAME}\n` });
});

test('an ending that k3s ignores is refused', async () => {
  const path = await archive('one.tar');
  for (const ending of ['.TAR', '.oci', '.tar.xz']) {
    const other = path.replace('.tar', ending);
    await rename(path, other);
    expect((await check(other)).status).toBe(1);
    await rename(other, path);
  }
});

test('a missing layer is refused, unless the archive is said to be a part', async () => {
  const path = await archive('one.tar', { without: 'layer' });
  expect((await check(path)).status).toBe(1);
  expect(await check('-partial', path)).toMatchObject({ status: 0, stdout: `${NAME}\n` });
});

test.each([
  ['', 'no name'],
  ['registry.example.com/one', 'no tag'],
  ['one:1', 'no registry'],
])('an image named %j is refused (%s)', async (name) => {
  expect((await check('-partial', await archive('one.tar', { name }))).status).toBe(1);
});

test('what is no archive of images is refused', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'one.tar');
  for (const bytes of ['', 'no archive', Buffer.alloc(10_240)]) {
    await writeFile(path, bytes);
    expect((await check(path)).status).toBe(1);
  }
});
