import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { composeInspect, composeUnpack, composeVerify } from '../../../../src/compose/bundle-medium.ts';
import { readIdentities, readTrust } from '../../../../src/compose/keys.ts';
import { silentProgress } from '../../../../src/ports/progress.ts';

const root = join(import.meta.dirname, '..', '..', '..', '..');
const medium = { folder: join(root, 'test', 'golden', 'bundle-v1') };
/** Of the contents that the first version wrote. */
const ROOT = 'sha256:466a607546e2c11d270418f7811c54a43c09e1d72fd40a8c4ddd6f91dca36a85';

const running = { progress: silentProgress, signal: new AbortController().signal };
const keys = async () => ({
  trust: await readTrust(join(root, 'keys.example', 'cosign.pub')),
  identities: await readIdentities([join(root, 'keys.example', 'identity.txt')], () =>
    Promise.reject(new Error('the example identity has no passphrase')),
  ),
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-golden-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a bundle of format version 1, written once', () => {
  it('verifies', async () => {
    const report = await composeVerify(medium, await keys(), running);
    expect(report).toMatchObject({ tag: 'golden-1.0.0', problems: [], remarks: [], root: ROOT });
  });

  it('tells what it holds', async () => {
    const { holder } = await composeInspect(medium, (await keys()).identities, running);
    expect(holder?.contents).toMatchObject({
      sequence: 3,
      audience: ['harbour'],
      features: { blog: true, shop: false },
      files: [{ path: 'numbers.bin' }, { path: 'hello.txt' }, { path: 'empty.txt' }],
    });
  });

  it('opens', async () => {
    const opened = join(folder, 'opened');
    await composeUnpack(medium, opened, { ...(await keys()), form: 'files' }, running);
    const numbers = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * i + 7 * i) % 251));
    expect(Buffer.compare(await readFile(join(opened, 'files', 'numbers.bin')), numbers)).toBe(0);
    expect(await readFile(join(opened, 'files', 'hello.txt'), 'utf8')).toBe('hello\n');
    expect((await readFile(join(opened, 'files', 'empty.txt'))).length).toBe(0);
  });
});
