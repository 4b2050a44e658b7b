import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openMedium } from '../../../../src/adapters/medium/medium.ts';
import { readIdentities, readTrust } from '../../../../src/compose/keys.ts';
import { digestOf, hexOf } from '../../../../src/core/digest.ts';
import { openForImport } from '../../../../src/usecases/import/open-bundle.ts';
import { streamBlobs } from '../../../../src/usecases/import/stream-blobs.ts';
import { type BundleFixture, createBundleFixture, PIECE_BYTES } from '../../../support/bundle-fixture.ts';
import { writeForgedBundle } from '../../../support/forged-bundle.ts';
import { pseudoRandom } from '../../../support/image-content.ts';

const FILES = {
  'large.bin': pseudoRandom('large', 5 * PIECE_BYTES + 4321),
  'exact.bin': pseudoRandom('exact', 2 * PIECE_BYTES),
  'middle.bin': pseudoRandom('middle', PIECE_BYTES - 1),
  'small.txt': new TextEncoder().encode('small'),
  'empty.txt': new Uint8Array(0),
};

let fixture: BundleFixture;
beforeAll(async () => {
  fixture = await createBundleFixture();
  await fixture.build(FILES);
});
afterAll(() => fixture.dispose());

const neverAsked = () => Promise.reject(new Error('no passphrase'));

async function source() {
  const medium = await openMedium(fixture.mediumFolder);
  const request = { trust: fixture.trust, identities: [fixture.identity] };
  return await openForImport(request, { medium, engine: fixture.engine }, []);
}

const wanted = Object.values(FILES).map((bytes) => ({ digest: digestOf(bytes), sizeBytes: bytes.length }));

async function collect(blobs: AsyncIterable<{ digest: string; bytes: AsyncIterable<Uint8Array> }>) {
  const got = new Map<string, Buffer>();
  for await (const { digest, bytes } of blobs) {
    const parts: Uint8Array[] = [];
    for await (const part of bytes) parts.push(part);
    got.set(digest, Buffer.concat(parts));
  }
  return got;
}

describe('a stream of blobs', () => {
  it('gives every blob whole, and no other', async () => {
    const got = await collect(streamBlobs(wanted, await source(), { hash: true }));
    expect(got.size).toBe(wanted.length);
    for (const bytes of Object.values(FILES)) expect(got.get(digestOf(bytes))?.equals(bytes)).toBe(true);
  });

  it('reads what lies first first', async () => {
    const opened = await source();
    const order = [...(await collect(streamBlobs([...wanted].reverse(), opened, { hash: false }))).keys()];
    const places = order.map((digest) => opened.lists.extents.get(digest as never)?.[0] ?? [0, 0, 0]);
    const sorted = [...places].sort(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d);
    expect(places).toEqual(sorted);
  });

  it('counts the bytes that it gave', async () => {
    const counts: number[] = [];
    await collect(streamBlobs(wanted, await source(), { hash: false, onBytes: (bytes) => void counts.push(bytes) }));
    expect(counts.reduce((sum, bytes) => sum + bytes, 0)).toBe(
      wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    );
  });

  it('gives the same from memory that serves again and again', async () => {
    const memories = new Set<ArrayBufferLike>();
    const got = new Map<string, Buffer>();
    let parts = 0;
    for await (const { digest, bytes } of streamBlobs(wanted, await source(), { hash: true, reuseMemory: true })) {
      const copies: Buffer[] = [];
      for await (const part of bytes) {
        parts += 1;
        memories.add(part.buffer);
        // By value: the next part may come in the same memory.
        copies.push(Buffer.from(part));
      }
      got.set(digest, Buffer.concat(copies));
    }
    for (const bytes of Object.values(FILES)) expect(got.get(digestOf(bytes))?.equals(bytes)).toBe(true);
    expect(memories.size).toBeLessThan(parts);
  });

  it('stops at once when it is told to', async () => {
    const controller = new AbortController();
    const stream = streamBlobs(wanted, await source(), { hash: false, signal: controller.signal });
    const read = async () => {
      for await (const { bytes } of stream) for await (const _ of bytes) controller.abort(new Error('enough'));
    };
    await expect(read()).rejects.toThrow('enough');
  });

  it('refuses a reader that leaves a blob half read', async () => {
    const stream = streamBlobs(wanted, await source(), { hash: false });
    const read = async () => {
      for await (const _ of stream);
    };
    await expect(read()).rejects.toThrow('not read to its end');
  });

  it('names the piece that is damaged, and the one that is missing', async () => {
    const opened = await source();
    const folder = join(fixture.mediumFolder, 'blobs', 'sha256');
    for (const { digest } of opened.bundle.manifest.pieces) {
      const path = join(folder, hexOf(digest));
      const good = await readFile(path);
      const bad = Buffer.from(good);
      bad[bad.length - 20] = (bad[bad.length - 20] as number) ^ 1;
      await writeFile(path, bad);
      await expect(
        collect(streamBlobs(wanted, opened, { hash: true, checkPadding: true })),
        path,
      ).rejects.toMatchObject({
        code: 'FILE_OF_BUNDLE_DAMAGED',
        at: { file: path },
      });
      await rm(path);
      await expect(collect(streamBlobs(wanted, opened, { hash: false })), path).rejects.toMatchObject({
        code: 'FILE_OF_BUNDLE_MISSING',
        at: { file: path },
      });
      await writeFile(path, good);
    }
    expect((await readdir(folder)).length).toBeGreaterThan(0);
  });
});

describe('a stream from a bundle that its publisher packed wrongly', () => {
  it.each([
    ['a blob that is not what it is called', 'BLOB_NOT_TRUE', (pieces: Buffer[]) => void pieces[0]?.write('F')],
    [
      'padding that is not zero',
      'PIECE_PADDING_NOT_ZERO',
      (pieces: Buffer[]) => void pieces[1]?.writeUInt8(1, PIECE_BYTES - 1),
    ],
  ])('refuses %s', async (_, code, forge) => {
    const forged = await writeForgedBundle(await mkdtemp(join(fixture.root, 'forged-')), ({ pieces }) => forge(pieces));
    const medium = await openMedium(forged.folder);
    const opened = await openForImport(
      { trust: await readTrust(forged.trust), identities: await readIdentities([forged.identity], neverAsked) },
      { medium, engine: fixture.engine },
      [],
    );
    const blobs = opened.lists.contents.blobs.filter(({ sizeBytes }) => sizeBytes > 0);
    await expect(collect(streamBlobs(blobs, opened, { hash: true, checkPadding: true }))).rejects.toMatchObject({
      code,
    });
    await rm(forged.folder, { recursive: true });
  });
});
