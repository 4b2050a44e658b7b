import { createECDH, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FormatError } from '../../../../src/formats/errors.ts';
import { isKeyHint, parsePublicKey, parseSpki } from '../../../../src/formats/sigstore/public-key.ts';
import { decodeTrust, TRUST_MAX_BYTES } from '../../../../src/formats/sigstore/trust.ts';
import { cosignKeyFile, newSigningKey, pemOf, publicPem } from './key-material.ts';

const [first, second] = [newSigningKey(), newSigningKey()];
const firstPem = publicPem(first.publicKey);
const secondPem = publicPem(second.publicKey);
const firstBase64 = first.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const code = (wanted: string) => expect.objectContaining({ constructor: FormatError, code: wanted });
const decode = (value: unknown) =>
  decodeTrust(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), 'trust.json');

test('a file with one public key', () => {
  const trust = decodeTrust(Buffer.from(firstPem), 'cosign.pub');
  expect(trust.keys.map(({ keyHint, name }) => [keyHint, name])).toEqual([[first.keyHint, 'cosign.pub']]);
  expect(trust.minimumSequence.size).toBe(0);
  expect(trust.audience).toEqual([]);
  expect(isKeyHint(first.keyHint)).toBe(true);
});

test('several keys one after the other, with comments and a key that stands twice', () => {
  const trust = decode(`# release keys\n${firstPem}\nold one:\r\n${secondPem.replaceAll('\n', '\r\n')}${firstPem}`);
  expect(trust.keys.map(({ keyHint }) => keyHint)).toEqual([first.keyHint, second.keyHint]);
  expect(new Set(trust.keys.map(({ name }) => name)).size).toBe(2);
});

test('a trust.json with all members', () => {
  const trust = decode({
    keys: [{ name: 'release', publicKey: firstPem }, { publicKey: secondPem }],
    minimumSequence: { cms: 42, __proto__x: 0 },
    audience: ['harbour-7'],
  });
  expect(trust.keys.map(({ keyHint }) => keyHint)).toEqual([first.keyHint, second.keyHint]);
  expect(trust.keys[0]?.name).toBe('release');
  expect(trust.minimumSequence.get('cms')).toBe(42);
  expect(trust.audience).toEqual(['harbour-7']);
});

test('a bundle name that is also a member of objects', () => {
  const trust = decode(`{"keys":[{"publicKey":"${firstBase64}"}],"minimumSequence":{"constructor":7}}`);
  expect(trust.minimumSequence.get('constructor')).toBe(7);
  expect(trust.minimumSequence.get('toString')).toBeUndefined();
});

test('a key as base64 alone', () => {
  expect(decode({ keys: [{ publicKey: `${firstBase64}\n` }] }).keys[0]?.keyHint).toBe(first.keyHint);
});

test.each([
  ['no keys', { keys: [] }, 'keys'],
  ['no list of keys', {}, 'keys'],
  ['an unknown member', { keys: [{ publicKey: firstPem }], audiences: [] }, undefined],
  ['an unknown member of a key', { keys: [{ publicKey: firstPem, path: 'x' }] }, 'keys[0]'],
  ['a negative sequence', { keys: [{ publicKey: firstPem }], minimumSequence: { cms: -1 } }, 'minimumSequence.cms'],
  ['a broken sequence', { keys: [{ publicKey: firstPem }], minimumSequence: { cms: 1.5 } }, 'minimumSequence.cms'],
  ['an audience that is no list', { keys: [{ publicKey: firstPem }], audience: 'harbour' }, 'audience'],
  ['a key that stands twice', { keys: [{ publicKey: firstPem }, { publicKey: firstBase64 }] }, 'keys[1]'],
  ['a list', [], undefined],
])('%s: the error names the place', (_, value, key) => {
  expect(() => decode(value)).toThrow(code('TRUST_INVALID'));
  try {
    decode(value);
  } catch (error) {
    expect((error as FormatError).at).toEqual({ file: 'trust.json', ...(key === undefined ? {} : { key }) });
  }
});

test('all faults of a file are told at once', () => {
  try {
    decode({ keys: [], audience: 'harbour' });
    expect.unreachable();
  } catch (error) {
    expect((error as FormatError).others.map(({ at }) => at?.key)).toEqual(['audience']);
  }
});

test('JSON that is none', () => {
  expect(() => decode('{"keys":')).toThrow(code('TRUST_INVALID'));
});

test('keys of other kinds are unsupported, wherever they stand', () => {
  for (const key of [
    generateKeyPairSync('ed25519').publicKey,
    generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey,
    newSigningKey('secp384r1').publicKey,
  ]) {
    expect(() => decode(publicPem(key))).toThrow(code('PUBLIC_KEY_UNSUPPORTED'));
    expect(() => decode({ keys: [{ publicKey: publicPem(key) }] })).toThrow(code('PUBLIC_KEY_UNSUPPORTED'));
  }
});

test('what is no public key is refused; a private key is not repeated in the error', () => {
  const plain = first.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const sealed = Buffer.from(cosignKeyFile(first.privateKey, 'p')).toString();
  for (const text of [
    '',
    'hello',
    plain,
    sealed,
    firstPem.slice(0, 90),
    pemOf('PUBLIC KEY', Buffer.from('x')),
    pemOf('CERTIFICATE', Buffer.from('x')),
  ]) {
    expect(() => decode(text)).toThrow(code('PUBLIC_KEY_INVALID'));
  }
  try {
    decode(plain);
  } catch (error) {
    const { message, hint, stack, found } = error as FormatError;
    expect(JSON.stringify([message, hint, stack, found])).not.toContain(plain.split('\n')[1]);
  }
});

test('the unusual spelling of a key has no hint of its own', () => {
  const point = createECDH('prime256v1');
  point.setPrivateKey(Buffer.alloc(32, 1));
  const compressed = Buffer.concat([
    Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
    Buffer.from(point.getPublicKey('hex', 'compressed'), 'hex'),
  ]);
  expect(() => parseSpki(compressed)).toThrow(code('PUBLIC_KEY_INVALID'));
});

test('one key where one is wanted', () => {
  expect(parsePublicKey(firstPem).equals(first.publicKey)).toBe(true);
  expect(() => parsePublicKey(firstPem + secondPem)).toThrow(code('PUBLIC_KEY_INVALID'));
});

test('an endless file is not read', () => {
  expect(() => decodeTrust(new Uint8Array(TRUST_MAX_BYTES + 1))).toThrow(code('KEY_TOO_LARGE'));
  const many = Buffer.from(firstPem.repeat(Math.floor(TRUST_MAX_BYTES / firstPem.length)));
  expect(decodeTrust(many).keys).toHaveLength(1);
});

test('cut at any place, a file of one key is refused', () => {
  const text = firstPem.trimEnd();
  for (let length = 0; length < text.length; length += 1) {
    expect(() => decode(text.slice(0, length))).toThrow(code('PUBLIC_KEY_INVALID'));
  }
});

test('with any one bit flipped, a file of one key is never read as that key', () => {
  const bytes = Buffer.from(firstPem.trimEnd());
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Uint8Array.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    try {
      expect(decodeTrust(flipped).keys.map(({ keyHint }) => keyHint)).not.toContain(first.keyHint);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }
});

test('arbitrary bytes are refused with our own error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      expect(() => decodeTrust(bytes)).toThrow(FormatError);
    }),
  );
});
