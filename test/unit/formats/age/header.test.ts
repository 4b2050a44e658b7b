import { Decrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  createHeader,
  headerLengthBytes,
  MAX_HEADER_BYTES,
  openHeader,
  splitFile,
  viewHeader,
} from '../../../../src/formats/age/header.ts';
import { failureOf, visibleTextOf } from './bytes.ts';

const identities = [await generateX25519Identity(), await generateX25519Identity()] as const;
const stranger = await generateX25519Identity();
const hybridIdentity = await generateHybridIdentity();
const recipients = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
const hybrid = await identityToRecipient(hybridIdentity);

test('each recipient gets the file key out, and so does the library', async () => {
  const { header, fileKey } = await createHeader(recipients);
  for (const identity of identities) {
    expect(await openHeader(header, [stranger, identity])).toEqual(fileKey);
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    expect(await decrypter.decryptHeader(header)).toEqual(fileKey);
  }
  expect(fileKey.length).toBe(16);
});

test('a post-quantum recipient gets the file key out', async () => {
  const { header, fileKey } = await createHeader([hybrid]);
  expect(await openHeader(header, [stranger, hybridIdentity])).toEqual(fileKey);
});

test('two headers never share a file key', async () => {
  const [one, two] = await Promise.all([createHeader(recipients), createHeader(recipients)]);
  expect(one.fileKey).not.toEqual(two.fileKey);
});

test('a courier sees types and number of recipients', async () => {
  const { header } = await createHeader(recipients);
  expect(await viewHeader(header)).toEqual({ stanzaTypes: ['X25519', 'X25519'] });
  expect(await viewHeader((await createHeader([hybrid])).header)).toEqual({ stanzaTypes: ['mlkem768x25519'] });
});

test('a mix, an empty list and a broken recipient are refused', async () => {
  await expect(createHeader([hybrid, ...recipients])).rejects.toMatchObject({ code: 'RECIPIENTS_MIXED' });
  await expect(createHeader([])).rejects.toMatchObject({ code: 'RECIPIENTS_EMPTY' });
  await expect(createHeader(['age1broken'])).rejects.toMatchObject({ code: 'RECIPIENT_INVALID' });
});

test('more recipients than a header takes are refused when sealing', async () => {
  const many: string[] = [];
  for (let index = 0; index < 45; index += 1) many.push(await identityToRecipient(await generateHybridIdentity()));
  await expect(createHeader(many)).rejects.toMatchObject({ name: 'FormatError', code: 'AGE_HEADER_TOO_LARGE' });
});

test('the header is found in any prefix that holds it, and not before', async () => {
  const { header } = await createHeader(recipients);
  const file = Buffer.concat([header, Buffer.from('\n--- not a header\n'), Buffer.alloc(100, 7)]);
  for (let length = 0; length < header.length; length += 1) {
    expect(headerLengthBytes(file.subarray(0, length))).toBeUndefined();
  }
  for (let length = header.length; length <= file.length; length += 1) {
    expect(headerLengthBytes(file.subarray(0, length))).toBe(header.length);
  }
  expect(splitFile(file).payload.length).toBe(file.length - header.length);
  expect(failureOf(() => splitFile(header.subarray(0, 50)))).toMatchObject({ code: 'AGE_MALFORMED' });
});

test('what is no age file is refused at once, and an endless header at its limit', () => {
  for (const text of ['hello', 'age-encryption.org/v2\n', '-----BEGIN AGE ENCRYPTED FILE-----\n', '\n']) {
    expect(failureOf(() => headerLengthBytes(Buffer.from(text)))).toMatchObject({ code: 'AGE_MALFORMED' });
  }
  const endless = Buffer.from(`age-encryption.org/v1\n${'-> x y\n\n'.repeat(MAX_HEADER_BYTES / 8)}`);
  expect(failureOf(() => headerLengthBytes(endless))).toMatchObject({ code: 'AGE_HEADER_TOO_LARGE' });
  expect(headerLengthBytes(endless.subarray(0, MAX_HEADER_BYTES - 1))).toBeUndefined();
});

test('no identity that fits: the error tells the types, not the keys', async () => {
  const { header } = await createHeader(recipients);
  const error = await openHeader(header, [stranger, hybridIdentity]).catch((caught) => caught);
  expect(error).toMatchObject({ name: 'FormatError', code: 'NO_MATCHING_IDENTITY' });
  expect(visibleTextOf(error)).not.toContain(stranger.slice(17, 40));
  await expect(openHeader(header, [])).rejects.toMatchObject({ code: 'NO_MATCHING_IDENTITY' });
});

test('a mistyped identity is refused and never shown', async () => {
  const { header } = await createHeader(recipients);
  const mistyped = `${stranger.slice(0, -1)}B`;
  const error = await openHeader(header, [mistyped]).catch((caught) => caught);
  expect(error).toMatchObject({ name: 'FormatError', code: 'IDENTITY_INVALID' });
  expect(visibleTextOf(error)).not.toContain(stranger.slice(17, 40));
});

test('a changed header does not open, wherever it was changed', async () => {
  const { header } = await createHeader(recipients);
  await fc.assert(
    fc.asyncProperty(fc.nat(header.length * 8 - 1), async (bit) => {
      const flipped = Uint8Array.from(header);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const error = await openHeader(flipped, identities).catch((caught) => caught);
      expect(error).toMatchObject({ name: 'FormatError' });
      expect(['AGE_MALFORMED', 'AGE_HEADER_FORGED', 'NO_MATCHING_IDENTITY']).toContain(error.code);
    }),
    { numRuns: 200 },
  );
});

test('a stanza taken out or put in breaks the MAC', async () => {
  const { header } = await createHeader(recipients);
  const text = Buffer.from(header).toString('latin1');
  const added = text.replace('\n---', '\n-> grease x\n\n---');
  await expect(openHeader(Buffer.from(added, 'latin1'), identities)).rejects.toMatchObject({
    code: 'AGE_HEADER_FORGED',
  });
  const [intro, first, ...rest] = text.split('\n-> ');
  expect(first).toBeDefined();
  const removed = [intro, ...rest].join('\n-> ');
  await expect(openHeader(Buffer.from(removed, 'latin1'), [identities[1]])).rejects.toMatchObject({
    code: 'AGE_HEADER_FORGED',
  });
});
