import { readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createFileTransfer } from '../../../../src/adapters/medium/file-transfer.ts';
import { kindOfFileSystem } from '../../../../src/adapters/medium/volume.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { pseudoRandom } from '../../../support/image-content.ts';
import { raisedCodes } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const BLOCK = 1024 * 1024;
/** Around every edge: of a byte, of a disk's block, of what is read at once. */
const sizes = fc.oneof(
  fc.integer({ min: 0, max: 9000 }),
  fc.constantFrom(511, 512, 4095, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 4096, 3 * BLOCK - 7),
);

test('any file is copied, hashed and read back as it is', async () => {
  const folder = await temporaryFolder();
  const transfer = createFileTransfer();
  await fc.assert(
    fc.asyncProperty(fc.array(sizes, { minLength: 1, maxLength: 4 }), fc.nat(), async (list, seed) => {
      const files = await Promise.all(
        list.map(async (sizeBytes, index) => {
          const bytes = pseudoRandom(`${seed}-${index}`, sizeBytes);
          const from = join(folder, `from-${index}`);
          await writeFile(from, bytes);
          return { bytes, from, to: join(folder, `to-${seed}-${index}-${performance.now()}`), sizeBytes };
        }),
      );
      // At once, so that a buffer that two share would show.
      await Promise.all(
        files.map(async ({ bytes, from, to, sizeBytes }) => {
          let counted = 0;
          const digest = digestOf(bytes);
          await transfer.copy({ from, to, sizeBytes, digest }, { onBytes: (more) => (counted += more) });
          expect(counted).toBe(sizeBytes);
          expect(await transfer.readBack({ path: to, sizeBytes })).toMatchObject({ digest });
          expect(Buffer.compare(await readFile(to), bytes)).toBe(0);
        }),
      );
    }),
    { numRuns: 20 },
  );
});

describe('what is refused leaves nothing', () => {
  const bytes = pseudoRandom('refused', 5000);
  const digest = digestOf(bytes);

  async function prepared() {
    const folder = await temporaryFolder();
    const from = join(folder, 'from');
    await writeFile(from, bytes);
    return { folder, from, to: join(folder, 'to'), transfer: createFileTransfer() };
  }

  test('another content, another size, no file, a link', async () => {
    const { folder, from, to, transfer } = await prepared();
    const link = join(folder, 'link');
    await symlink(from, link);
    const sizeBytes = bytes.length;
    const codes = async (job: Parameters<typeof transfer.copy>[0]) => raisedCodes(() => transfer.copy(job));
    expect(await codes({ from, to, sizeBytes, digest: digestOf('x') })).toEqual(['AdapterError BLOB_DAMAGED']);
    expect(await codes({ from, to, sizeBytes: 4999, digest })).toEqual(['AdapterError FILE_SIZE_MISMATCH']);
    expect(await codes({ from: join(folder, 'none'), to, sizeBytes, digest })).toEqual(['AdapterError FILE_MISSING']);
    expect(await codes({ from: link, to, sizeBytes, digest })).toEqual(['AdapterError FILE_UNREADABLE']);
    expect((await readdir(folder)).sort()).toEqual(['from', 'link']);
  });

  test('a name that is taken: what lies there is not written to', async () => {
    const { folder, from, to, transfer } = await prepared();
    const precious = join(folder, 'precious');
    await writeFile(precious, 'precious');
    await symlink(precious, to);
    const job = { from, to, sizeBytes: bytes.length, digest };
    expect(await raisedCodes(() => transfer.copy(job))).toEqual(['AdapterError FILE_EXISTS']);
    expect(await readFile(precious, 'utf8')).toBe('precious');
  });
});

test('FAT ends at 4 GiB; memory, programs and other machines may answer from a cache', () => {
  expect(kindOfFileSystem(0x4d44)).toEqual({ maxFileBytes: 4_294_967_295 });
  expect(kindOfFileSystem(0x01021994)).toEqual({ cached: 'memory' });
  expect(kindOfFileSystem(0x65735546)).toEqual({ cached: 'program' });
  // CIFS: the number has its highest bit set, and may come as a negative one.
  expect(kindOfFileSystem(0xff534d42 | 0)).toEqual({ cached: 'network' });
  expect(kindOfFileSystem(0xef53)).toEqual({});
});
