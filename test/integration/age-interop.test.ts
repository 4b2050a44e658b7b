/** Portolan and the age program read what the other wrote. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Encrypter } from 'age-encryption';
import { afterAll, describe, expect, test } from 'vitest';
import { createSealingEngine } from '../../src/adapters/sealing/engine.ts';
import { digestOf } from '../../src/core/digest.ts';
import { parseIdentityFile, recipientOf } from '../../src/formats/age/identity-file.ts';
import { parseRecipientsFile } from '../../src/formats/age/recipients.ts';
import { openBytes, sealBytes } from '../../src/formats/age/sealed-bytes.ts';

const folder = mkdtempSync(join(tmpdir(), 'portolan-age-'));
const engine = createSealingEngine({ workers: 2 });
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

const MIB = 1024 * 1024;
const SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, MIB, 3 * MIB + 7];

function age(...args: readonly string[]): Buffer {
  return execFileSync('age', args, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * MIB });
}

describe.each([
  ['X25519', [], 'age1'],
  ['post-quantum', ['-pq'], 'age1pq1'],
])('%s', (kind, flags, prefix) => {
  const keyPath = join(folder, `key-${kind}`);
  execFileSync('age-keygen', [...flags, '-o', keyPath], { stdio: 'ignore' });
  const recipientsText = execFileSync('age-keygen', ['-y', keyPath], { encoding: 'utf8' });

  async function keys() {
    const identities = await parseIdentityFile(readFileSync(keyPath));
    const recipients = parseRecipientsFile(recipientsText).map(({ text }) => text);
    return { identities, recipients };
  }

  test('identity and recipient agree with age-keygen', async () => {
    const { identities, recipients } = await keys();
    expect(recipients[0]?.startsWith(prefix)).toBe(true);
    expect(await Promise.all(identities.map((identity) => recipientOf(identity)))).toEqual(recipients);
  });

  test.each(SIZES)('age opens sealed bytes and pieces of %i bytes', async (size) => {
    const { recipients } = await keys();
    const bytes = randomBytes(size);
    const small = join(folder, `small-${kind}-${size}`);
    writeFileSync(small, await sealBytes(bytes, recipients));
    expect(Buffer.compare(age('-d', '-i', keyPath, small), bytes)).toBe(0);

    const source = join(folder, `source-${kind}-${size}`);
    writeFileSync(source, bytes);
    const segments = [{ path: source, offsetBytes: 0, lengthBytes: size, wholeBlob: digestOf(bytes) }];
    const outPath = join(folder, `piece-${kind}-${size}`);
    await engine.seal({ segments, plaintextBytes: size + 1000, outPath }, recipients);
    const padded = Buffer.concat([bytes, Buffer.alloc(1000)]);
    expect(Buffer.compare(age('-d', '-i', keyPath, outPath), padded)).toBe(0);
  });

  test.each(SIZES)('Portolan opens what age wrote of %i bytes', async (size) => {
    const { identities, recipients } = await keys();
    const bytes = randomBytes(size);
    const plain = join(folder, `plain-${kind}-${size}`);
    const path = join(folder, `age-${kind}-${size}`);
    writeFileSync(plain, bytes);
    age('-r', recipients[0] ?? '', '-o', path, plain);
    const file = readFileSync(path);
    expect(Buffer.compare(await openBytes(file, identities, { maxBytes: size }), bytes)).toBe(0);

    const target = join(folder, `opened-${kind}-${size}`);
    writeFileSync(target, Buffer.alloc(size));
    const expected = { digest: digestOf(file), sizeBytes: file.length };
    const write = { pieceOffsetBytes: 0, lengthBytes: size, path: target, fileOffsetBytes: 0 };
    await engine.open({ path, expected, plaintextBytes: size, writes: [write], zeroRuns: [] }, identities);
    expect(Buffer.compare(readFileSync(target), bytes)).toBe(0);
  });

  test('several recipients: each opens it with age', async () => {
    const otherPath = join(folder, `other-${kind}`);
    execFileSync('age-keygen', [...flags, '-o', otherPath], { stdio: 'ignore' });
    const other = execFileSync('age-keygen', ['-y', otherPath], { encoding: 'utf8' });
    const recipients = parseRecipientsFile(recipientsText + other).map(({ text }) => text);
    const path = join(folder, `several-${kind}`);
    writeFileSync(path, await sealBytes(Buffer.from('for both'), recipients));
    for (const key of [keyPath, otherPath]) expect(age('-d', '-i', key, path).toString()).toBe('for both');
  });

  test('age refuses a piece with a flipped bit, as Portolan does', async () => {
    const { identities, recipients } = await keys();
    const file = Buffer.from(await sealBytes(randomBytes(1000), recipients));
    file[file.length - 20] = (file[file.length - 20] ?? 0) ^ 1;
    const path = join(folder, `flipped-${kind}`);
    writeFileSync(path, file);
    expect(spawnSync('age', ['-d', '-i', keyPath, path]).status).toBe(1);
    await expect(openBytes(file, identities, { maxBytes: MIB })).rejects.toMatchObject({ code: 'AGE_PAYLOAD_DAMAGED' });
  });

  test('an armored file of age is recognised and refused where a binary one belongs', async () => {
    const { identities, recipients } = await keys();
    const plain = join(folder, `for-armor-${kind}`);
    writeFileSync(plain, 'hello');
    const armored = age('-a', '-r', recipients[0] ?? '', plain);
    await expect(openBytes(armored, identities, { maxBytes: MIB })).rejects.toMatchObject({ code: 'AGE_MALFORMED' });
  });
});

test('an identity file that a passphrase protects, at the work factor of age -p', async () => {
  const keyPath = join(folder, 'protected-key');
  execFileSync('age-keygen', ['-o', keyPath], { stdio: 'ignore' });
  const encrypter = new Encrypter();
  encrypter.setPassphrase('a passphrase of a test');
  encrypter.setScryptWorkFactor(18);
  const file = await encrypter.encrypt(readFileSync(keyPath));
  const identities = await parseIdentityFile(file, { askPassphrase: async () => 'a passphrase of a test' });
  expect(identities).toEqual(await parseIdentityFile(readFileSync(keyPath)));
});
