import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeTar, tarHeader } from '../../../../src/formats/archive/tar.ts';
import { readTarDirectory } from '../../../../src/formats/archive/tar-directory.ts';

async function archiveOf(files: readonly (readonly [string, Uint8Array])[]): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const entries = files.map(([path, bytes]) => ({
    path,
    sizeBytes: bytes.length,
    executable: false,
    open: () => [bytes],
  }));
  for await (const part of encodeTar(entries)) parts.push(part);
  return Buffer.concat(parts);
}

const directoryOf = (bytes: Buffer) =>
  readTarDirectory(async (offset, length) => bytes.subarray(offset, offset + length));

describe('the directory of a tar archive', () => {
  it('finds every file of the writer, where its content is', async () => {
    const path = fc.string({ minLength: 1, maxLength: 300, unit: fc.constantFrom('a', 'ü', '/', '-', '7') });
    const files = fc.array(fc.tuple(path, fc.uint8Array({ maxLength: 1500 })), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(files, async (list) => {
        const bytes = await archiveOf(list);
        const found = await directoryOf(bytes);
        expect(found?.map((entry) => entry.path)).toEqual(list.map(([name]) => name));
        for (const [at, entry] of (found ?? []).entries()) {
          expect(bytes.subarray(entry.offset, entry.offset + entry.sizeBytes)).toEqual(
            Buffer.from(list[at]?.[1] ?? []),
          );
        }
      }),
    );
  });

  it('takes no archive that is cut for a whole one', async () => {
    const bytes = await archiveOf([
      ['one', Buffer.alloc(700)],
      ['ü'.repeat(90), Buffer.alloc(3)],
    ]);
    for (let length = 0; length < bytes.length - 1024 + 512; length += 1) {
      expect(await directoryOf(bytes.subarray(0, length))).toBeUndefined();
    }
  });

  it('sees each changed bit of a header', async () => {
    const bytes = await archiveOf([['one', Buffer.alloc(10)]]);
    const whole = await directoryOf(bytes);
    for (let bit = 0; bit < 512 * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const found = await directoryOf(changed);
      // Blanks and zeros around the checksum's own digits say nothing.
      if (bit >> 3 >= 148 && bit >> 3 < 156) continue;
      expect(found).toBeUndefined();
    }
    expect(whole).toHaveLength(1);
  });

  it('finds what lies behind a file of more than 8 GiB', async () => {
    const sizeBytes = 9 * 1024 ** 3 + 5;
    const large = Buffer.from(tarHeader({ path: 'large', sizeBytes, executable: false }));
    const behind = large.length + Math.ceil(sizeBytes / 512) * 512;
    const small = Buffer.from(tarHeader({ path: 'small', sizeBytes: 1, executable: false }));
    const found = await readTarDirectory(async (offset, length) => {
      if (offset < large.length) return large.subarray(offset, offset + length);
      if (offset >= behind && offset < behind + small.length)
        return small.subarray(offset - behind).subarray(0, length);
      return Buffer.alloc(length);
    });
    expect(found).toEqual([
      { path: 'large', offset: large.length, sizeBytes },
      { path: 'small', offset: behind + small.length, sizeBytes: 1 },
    ]);
  });
});
