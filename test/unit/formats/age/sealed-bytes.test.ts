import { randomBytes } from 'node:crypto';
import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from 'age-encryption';
import { describe, expect, test } from 'vitest';
import { openBytes, sealBytes } from '../../../../src/formats/age/sealed-bytes.ts';

const LIMIT = { maxBytes: 1024 * 1024 };

describe.each([
  ['X25519', generateX25519Identity],
  ['post-quantum', generateHybridIdentity],
])('%s', (_, generate) => {
  test.each([0, 1, 65_536, 65_537, 200_000])('%i bytes go both ways through the age library', async (size) => {
    const identity = await generate();
    const recipient = await identityToRecipient(identity);
    const plaintext = randomBytes(size);

    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    const ours = await sealBytes(plaintext, [recipient]);
    expect(Buffer.compare(await decrypter.decrypt(ours), plaintext)).toBe(0);

    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    const theirs = await encrypter.encrypt(plaintext);
    expect(Buffer.compare(await openBytes(theirs, [identity], LIMIT), plaintext)).toBe(0);
  });
});

test('a plaintext above the limit is refused, one at the limit is not', async () => {
  const identity = await generateX25519Identity();
  const file = await sealBytes(randomBytes(1000), [await identityToRecipient(identity)]);
  await expect(openBytes(file, [identity], { maxBytes: 999 })).rejects.toMatchObject({
    name: 'FormatError',
    code: 'SEALED_TOO_LARGE',
  });
  expect((await openBytes(file, [identity], { maxBytes: 1000 })).length).toBe(1000);
});

test('a file cut at any offset is refused', async () => {
  const identity = await generateX25519Identity();
  const file = await sealBytes(randomBytes(40), [await identityToRecipient(identity)]);
  for (let length = 0; length < file.length; length += 1) {
    const error = await openBytes(file.subarray(0, length), [identity], LIMIT).catch((caught) => caught);
    expect(error).toMatchObject({ name: 'FormatError' });
    expect(['AGE_MALFORMED', 'AGE_PAYLOAD_DAMAGED']).toContain(error.code);
  }
});
