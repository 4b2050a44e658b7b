import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FormatError } from '../../../../src/formats/errors.ts';
import { COSIGN_KEY_MAX_BYTES, openCosignKey } from '../../../../src/formats/sigstore/cosign-key.ts';
import { cosignKeyFile, newSigningKey, pemOf, publicPem, sealedFile } from './key-material.ts';

const code = (wanted: string) => expect.objectContaining({ constructor: FormatError, code: wanted });

test('a key file opens under either label, with its password alone', async () => {
  const key = newSigningKey();
  for (const label of ['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY']) {
    const file = cosignKeyFile(key.privateKey, 'päss', { label });
    const opened = await openCosignKey(file, 'päss');
    expect(opened.keyHint).toBe(key.keyHint);
    expect(opened.privateKey.equals(key.privateKey)).toBe(true);
    expect((await openCosignKey(file, Buffer.from('päss'))).keyHint).toBe(key.keyHint);
    await expect(openCosignKey(file, 'pass')).rejects.toEqual(code('WRONG_PASSWORD'));
  }
});

test('an empty password is a password', async () => {
  const key = newSigningKey();
  expect((await openCosignKey(cosignKeyFile(key.privateKey, ''), '')).keyHint).toBe(key.keyHint);
});

test.each([2 ** 15, 2 ** 16, 2 ** 17])('the work factor %i of the library is taken', async (cost) => {
  const key = newSigningKey();
  expect((await openCosignKey(cosignKeyFile(key.privateKey, 'p', { cost }), 'p')).keyHint).toBe(key.keyHint);
});

test.each([
  ['N', { N: 2 ** 30, r: 8, p: 1 }],
  ['N', { N: 2 ** 10, r: 8, p: 1 }],
  ['r', { N: 2 ** 15, r: 1024, p: 1 }],
  ['p', { N: 2 ** 15, r: 8, p: 2 ** 20 }],
  ['N', { N: 1.5, r: 8, p: 1 }],
  ['N', { N: -1, r: 8, p: 1 }],
])('parameters that ask for another amount of work (%s) are refused before any is done', async (_, params) => {
  const change = (json: object) => ({ ...json, kdf: { ...(json as { kdf: object }).kdf, params } });
  const file = cosignKeyFile(newSigningKey().privateKey, 'p', { change });
  await expect(openCosignKey(file, 'p')).rejects.toEqual(code('SIGNING_KEY_UNSUPPORTED'));
});

test.each([
  [
    'another key derivation',
    (json: object) => ({ ...json, kdf: { ...(json as { kdf: object }).kdf, name: 'argon2' } }),
  ],
  ['another cipher', (json: object) => ({ ...json, cipher: { ...(json as { cipher: object }).cipher, name: 'aes' } })],
])('%s is unsupported', async (_, change) => {
  const file = cosignKeyFile(newSigningKey().privateKey, 'p', { change });
  await expect(openCosignKey(file, 'p')).rejects.toEqual(code('SIGNING_KEY_UNSUPPORTED'));
});

test.each([
  ['no kdf', (json: object) => ({ ...json, kdf: undefined })],
  ['a short nonce', (json: object) => ({ ...json, cipher: { name: 'nacl/secretbox', nonce: 'AAAA' } })],
  ['a ciphertext that is not base64', (json: object) => ({ ...json, ciphertext: '***' })],
  ['a number', () => 7],
])('a file with %s is invalid', async (_, change) => {
  const file = cosignKeyFile(newSigningKey().privateKey, 'p', { change });
  await expect(openCosignKey(file, 'p')).rejects.toEqual(code('SIGNING_KEY_INVALID'));
});

test('keys of other kinds are unsupported', async () => {
  const keys = [
    newSigningKey('secp384r1').privateKey,
    generateKeyPairSync('ed25519').privateKey,
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  ];
  for (const key of keys) {
    await expect(openCosignKey(cosignKeyFile(key, 'p'), 'p')).rejects.toEqual(code('SIGNING_KEY_UNSUPPORTED'));
  }
});

test('files that are no key file of cosign are told apart', async () => {
  const key = newSigningKey();
  const plain = Buffer.from(key.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await expect(openCosignKey(plain, 'p')).rejects.toEqual(code('SIGNING_KEY_UNSUPPORTED'));
  await expect(openCosignKey(Buffer.from(publicPem(key.publicKey)), 'p')).rejects.toEqual(
    code('SIGNING_KEY_UNSUPPORTED'),
  );
  await expect(openCosignKey(Buffer.from('hello'), 'p')).rejects.toEqual(code('SIGNING_KEY_INVALID'));
  await expect(openCosignKey(new Uint8Array(), 'p')).rejects.toEqual(code('SIGNING_KEY_INVALID'));
  const notJson = Buffer.from(pemOf('ENCRYPTED SIGSTORE PRIVATE KEY', Buffer.from('{')));
  await expect(openCosignKey(notJson, 'p')).rejects.toEqual(code('SIGNING_KEY_INVALID'));
  await expect(openCosignKey(new Uint8Array(COSIGN_KEY_MAX_BYTES + 1), 'p')).rejects.toEqual(code('KEY_TOO_LARGE'));
  await expect(openCosignKey(sealedFile(Buffer.from('no key'), 'p'), 'p')).rejects.toEqual(code('SIGNING_KEY_INVALID'));
});

test('a key file cut at any place never opens', async () => {
  const file = cosignKeyFile(newSigningKey().privateKey, 'p');
  // The line break after the end mark does not count.
  for (let length = 0; length < file.length - 1; length += 1) {
    const reason = await openCosignKey(file.subarray(0, length), 'p').catch((error: unknown) => error);
    expect(reason).toBeInstanceOf(FormatError);
  }
});

test('a key file with a flipped bit never opens as another key', async () => {
  const key = newSigningKey();
  const file = cosignKeyFile(key.privateKey, 'p');
  await fc.assert(
    fc.asyncProperty(fc.nat(file.length * 8 - 1), async (bit) => {
      const flipped = Uint8Array.from(file);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        // A bit that means nothing, such as that of a line break, may flip.
        expect((await openCosignKey(flipped, 'p')).keyHint).toBe(key.keyHint);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }),
    { numRuns: 30 },
  );
});

test('neither the password nor the key is in any error', async () => {
  const key = newSigningKey();
  const password = 'correct horse battery staple';
  const der = key.privateKey.export({ type: 'pkcs8', format: 'der' });
  const files = [
    sealedFile(der.subarray(0, 100), password),
    cosignKeyFile(newSigningKey('secp384r1').privateKey, password),
    Buffer.from(key.privateKey.export({ type: 'pkcs8', format: 'pem' })),
    sealedFile(der, 'another'),
  ];
  for (const file of files) {
    const error = (await openCosignKey(file, password).catch((reason: unknown) => reason)) as FormatError;
    expect(error).toBeInstanceOf(FormatError);
    const told = JSON.stringify([
      error.message,
      error.stack,
      error.hint,
      error.expected,
      error.found,
      error.at,
      error.cause,
    ]);
    expect(told).not.toContain('horse');
    expect(told).not.toContain(der.toString('base64').slice(60, 90));
    expect(error.cause).toBeUndefined();
  }
});

test('an abort is heard', async () => {
  const file = cosignKeyFile(newSigningKey().privateKey, 'p');
  const reason = new Error('stopped');
  await expect(openCosignKey(file, 'p', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
