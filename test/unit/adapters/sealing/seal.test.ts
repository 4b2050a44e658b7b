import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Decrypter, generateHybridIdentity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { identity, recipients, temporaryFolder, testEngine, wholeFile } from './fixtures.ts';

const folder = temporaryFolder();
const engine = testEngine();
const MIB = 1024 * 1024;

async function decrypt(file: Uint8Array): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  return decrypter.decrypt(file);
}

describe('seal', () => {
  test.each([0, 1, 65_536, 65_537, MIB, MIB + 1, 2 * MIB + 65_536])('a piece of %i bytes', async (size) => {
    const bytes = randomBytes(size);
    const segment = wholeFile(join(folder, `source-${size}`), bytes);
    const outPath = join(folder, `piece-${size}`);
    const read: number[] = [];
    const sealed = await engine.seal({ segments: [segment], plaintextBytes: size, outPath }, recipients, {
      onBytes: (count) => read.push(count),
    });
    const file = readFileSync(outPath);
    expect(sealed).toEqual({ digest: digestOf(file), sizeBytes: file.length });
    expect(Buffer.compare(await decrypt(file), bytes)).toBe(0);
    expect(read.reduce((sum, count) => sum + count, 0)).toBe(size);
  });

  test('segments of any sizes lie end to end, then zeros', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(150_000), { maxLength: 6 }),
        fc.nat(100_000),
        fc.boolean(),
        async (sizes, zeros, oneFile) => {
          run += 1;
          const parts = sizes.map((size) => randomBytes(size));
          const all = Buffer.concat(parts);
          const paths = parts.map((bytes, index) => {
            const path = join(folder, `part-${run}-${index}`);
            writeFileSync(path, bytes);
            return path;
          });
          const joined = join(folder, `all-${run}`);
          writeFileSync(joined, all);
          let offset = 0;
          const segments = parts.map((bytes, index) => {
            const place = oneFile
              ? { path: joined, offsetBytes: offset }
              : { path: paths[index] ?? '', offsetBytes: 0 };
            offset += bytes.length;
            return { ...place, lengthBytes: bytes.length, wholeBlob: digestOf(bytes) };
          });
          const outPath = join(folder, `mixed-${run}`);
          await engine.seal({ segments, plaintextBytes: all.length + zeros, outPath }, recipients);
          const plaintext = await decrypt(readFileSync(outPath));
          expect(Buffer.compare(plaintext, Buffer.concat([all, new Uint8Array(zeros)]))).toBe(0);
        },
      ),
      { numRuns: 25 },
    );
  });

  test('post-quantum recipients', async () => {
    const hybridIdentity = await generateHybridIdentity();
    const bytes = randomBytes(1000);
    const outPath = join(folder, 'hybrid');
    const job = { segments: [wholeFile(join(folder, 'h'), bytes)], plaintextBytes: 1000, outPath };
    await engine.seal(job, [await identityToRecipient(hybridIdentity)]);
    const decrypter = new Decrypter();
    decrypter.addIdentity(hybridIdentity);
    expect(Buffer.compare(await decrypter.decrypt(readFileSync(outPath)), bytes)).toBe(0);
  });

  test('the same piece sealed twice shares no ciphertext', async () => {
    const segments = [wholeFile(join(folder, 'twice'), randomBytes(1000))];
    const seal = (name: string) =>
      engine.seal({ segments, plaintextBytes: 1000, outPath: join(folder, name) }, recipients);
    const [one, two] = await Promise.all([seal('twice-1'), seal('twice-2')]);
    expect(one.digest).not.toBe(two.digest);
    expect(one.sizeBytes).toBe(two.sizeBytes);
  });

  test.each(['fsync', 'fdatasync', 'none'] as const)('sync mode %s', async (sync) => {
    const bytes = randomBytes(100);
    const outPath = join(folder, `sync-${sync}`);
    const segments = [wholeFile(join(folder, `for-${sync}`), bytes)];
    await testEngine({ workers: 1, sync }).seal({ segments, plaintextBytes: 100, outPath }, recipients);
    expect(Buffer.compare(await decrypt(readFileSync(outPath)), bytes)).toBe(0);
  });
});

describe('a seal that fails leaves nothing behind', () => {
  const out = join(folder, 'failed');
  mkdirSync(out);
  const outPath = join(out, 'piece');
  const good = wholeFile(join(folder, 'good'), randomBytes(3000));

  async function failure(segments: readonly (typeof good)[], to = recipients, path = outPath): Promise<unknown> {
    const job = { segments, plaintextBytes: 3 * MIB, outPath: path };
    const error = await engine.seal(job, to).then(
      () => expect.unreachable(),
      (caught) => caught,
    );
    expect(readdirSync(out)).toEqual([]);
    return error;
  }

  test('a blob that is not what its digest says', async () => {
    const path = join(folder, 'changed-blob');
    const other = wholeFile(path, randomBytes(2 * MIB));
    writeFileSync(path, randomBytes(2 * MIB));
    expect(await failure([good, other])).toMatchObject({
      name: 'AdapterError',
      code: 'BLOB_DIGEST_MISMATCH',
      at: { file: path, digest: other.wholeBlob },
      expected: other.wholeBlob,
    });
  });

  test('a source that is too short', async () => {
    const path = join(folder, 'short');
    const segment = wholeFile(path, randomBytes(2 * MIB));
    writeFileSync(path, randomBytes(2 * MIB - 1));
    expect(await failure([segment])).toMatchObject({ code: 'SOURCE_CHANGED', at: { file: path } });
  });

  test('a source that is missing, or a folder', async () => {
    const missing = { ...good, path: join(folder, 'nowhere') };
    expect(await failure([missing])).toMatchObject({
      name: 'AdapterError',
      code: 'FILE_MISSING',
      at: { file: missing.path },
    });
    expect(await failure([{ ...good, path: folder }])).toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  test('recipients that cannot be used', async () => {
    const hybrid = await identityToRecipient(await generateHybridIdentity());
    expect(await failure([good], [...recipients, hybrid])).toMatchObject({
      name: 'FormatError',
      code: 'RECIPIENTS_MIXED',
    });
    expect(await failure([good], [])).toMatchObject({ name: 'FormatError', code: 'RECIPIENTS_EMPTY' });
  });

  test('a target folder that does not exist', async () => {
    const path = join(folder, 'no-such-folder', 'piece');
    expect(await failure([good], recipients, path)).toMatchObject({ code: 'FILE_UNWRITABLE', at: { file: path } });
  });

  test('a file or link that is there already is left as it is', async () => {
    const path = join(folder, 'present');
    writeFileSync(path, 'mine');
    symlinkSync(path, join(folder, 'link'));
    for (const taken of [path, join(folder, 'link')]) {
      expect(await failure([good], recipients, taken)).toMatchObject({ code: 'FILE_EXISTS', at: { file: taken } });
    }
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });
});

describe('digest', () => {
  test.each([0, 1, 256 * 1024, 256 * 1024 + 1, 3 * MIB])('of %i bytes', async (size) => {
    const bytes = randomBytes(size);
    const path = join(folder, `hashed-${size}`);
    writeFileSync(path, bytes);
    let read = 0;
    const options = {
      onBytes: (count: number) => {
        read += count;
      },
    };
    expect(await engine.digest({ path, sizeBytes: size }, options)).toBe(digestOf(bytes));
    expect(read).toBe(size);
  });

  test('a wrong size and a missing file are told apart', async () => {
    const { path } = good();
    await expect(engine.digest({ path, sizeBytes: 9 })).rejects.toMatchObject({
      name: 'AdapterError',
      code: 'FILE_SIZE_MISMATCH',
      expected: 9,
      found: 10,
    });
    await expect(engine.digest({ path: `${path}x`, sizeBytes: 10 })).rejects.toMatchObject({ code: 'FILE_MISSING' });
  });

  function good() {
    return wholeFile(join(folder, 'ten'), randomBytes(10));
  }
});
