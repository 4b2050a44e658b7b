/** Keys of an identity provider, from its key set into the history that the root pins. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { describe, expect, test } from 'vitest';
import {
  decodeKeySet,
  KEY_SET_MAX_BYTES,
  keyThumbprint,
  updateIssuerKeys,
  usableKeys,
} from '../../../../src/formats/repository/issuer-keys.ts';
import { codeOf } from './repository-fixture.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
const ed25519 = generateKeyPairSync('ed25519').publicKey;
const jwk = (key: KeyObject, members: object) => ({ ...key.export({ format: 'jwk' }), ...members });
const set = (...keys: readonly object[]) => Buffer.from(JSON.stringify({ keys }));
const read = (...keys: readonly object[]) => decodeKeySet(set(...keys), 'keys.json');
const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'der' }).toString('base64');

describe('a key set', () => {
  test('gives the keys that sign, by their own algorithm or the usual one', () => {
    const found = read(
      jwk(rsa, { kid: 'a', alg: 'RS512', use: 'sig' }),
      jwk(p256, { kid: 'b' }),
      jwk(p384, { kid: 'c' }),
      jwk(ed25519, { kid: 'd' }),
    );
    expect(found).toEqual([
      { kid: 'a', algorithm: 'RS512', publicKey: spki(rsa) },
      { kid: 'b', algorithm: 'ES256', publicKey: spki(p256) },
      { kid: 'c', algorithm: 'ES384', publicKey: spki(p384) },
      { kid: 'd', algorithm: 'EdDSA', publicKey: spki(ed25519) },
    ]);
  });

  test.each<[string, object]>([
    ['that encrypts', jwk(rsa, { kid: 'x', use: 'enc' })],
    ['without a name', jwk(rsa, {})],
    ['that is a shared secret', { kty: 'oct', k: 'c2VjcmV0', kid: 'x', alg: 'HS256' }],
    ['of an algorithm that it is not for', jwk(rsa, { kid: 'x', alg: 'ES256' })],
    ['for HS256, whatever its kind', jwk(rsa, { kid: 'x', alg: 'HS256' })],
    ['that is too short', jwk(short, { kid: 'x', alg: 'RS256' })],
    ['of which nothing can be read', { kty: 'RSA', kid: 'x', n: '!', e: 'AQAB' }],
  ])('gives no key %s', (_, key) => {
    expect(read(jwk(p256, { kid: 'b' }), key).map(({ kid }) => kid)).toEqual(['b']);
    expect(codeOf(() => read(key))).toBe('KEY_SET_INVALID');
  });

  test('that is none, has two keys of one name, or is far too long, is refused', () => {
    expect(codeOf(() => decodeKeySet(Buffer.from('<html>'), 'x'))).toBe('KEY_SET_INVALID');
    expect(codeOf(() => decodeKeySet(Buffer.from('{"keys":{}}'), 'x'))).toBe('KEY_SET_INVALID');
    expect(codeOf(() => read(jwk(rsa, { kid: 'a' }), jwk(p256, { kid: 'a' })))).toBe('KEY_SET_INVALID');
    const long = Buffer.concat([set(jwk(rsa, { kid: 'a' })), Buffer.alloc(KEY_SET_MAX_BYTES, ' ')]);
    expect(codeOf(() => decodeKeySet(long, 'x'))).toBe('KEY_SET_INVALID');
  });

  test('that a provider answered with is looked at in the same way', () => {
    const key = { kid: 'a', publicKey: spki(rsa), algorithm: 'RS256' };
    expect(usableKeys([key, { ...key, kid: 'b', algorithm: 'HS256' }], 'https://id.ship')).toEqual([key]);
    expect(codeOf(() => usableKeys([], 'https://id.ship'))).toBe('KEY_SET_INVALID');
  });
});

test.each([
  ['RSA', rsa],
  ['EC', p384],
  ['OKP', ed25519],
])('the thumbprint of an %s key is that of RFC 7638, as another library has it', async (_, key) => {
  expect(keyThumbprint(spki(key))).toBe(await calculateJwkThumbprint(key.export({ format: 'jwk' })));
});

describe('the history of keys', () => {
  const now = new Date('2026-03-01T12:00:00.000Z');
  const later = new Date('2026-04-01T12:00:00.000Z');
  const [a] = read(jwk(rsa, { kid: 'a' }));
  const [b] = read(jwk(p256, { kid: 'b' }));
  if (a === undefined || b === undefined) throw new Error('no keys');
  const first = updateIssuerKeys([], [a], now).keys;

  test('begins an hour before a key was seen, since a rotation is seen late', () => {
    expect(first).toEqual([{ ...a, from: '2026-03-01T11:00:00.000Z' }]);
    expect(updateIssuerKeys(first, [a], later)).toEqual({ keys: first, changes: new Map() });
  });

  test('ends a key that is gone, adds one that is new, and forgets none', () => {
    const both = updateIssuerKeys(first, [b], later);
    expect(both.keys).toEqual([
      { ...a, from: '2026-03-01T11:00:00.000Z', until: '2026-04-01T12:00:00.000Z' },
      { ...b, from: '2026-04-01T11:00:00.000Z' },
    ]);
    expect([...both.changes]).toEqual([
      ['a', 'gone'],
      ['b', 'new'],
    ]);
    expect(updateIssuerKeys(both.keys, [b], later)).toEqual({ keys: both.keys, changes: new Map() });
  });

  test('lets no key come back whose time had ended, and says so', () => {
    const ended = updateIssuerKeys(first, [b], later).keys;
    const back = updateIssuerKeys(ended, [a, b], new Date('2026-05-01T00:00:00.000Z'));
    expect(back.keys).toEqual(ended);
    expect([...back.changes]).toEqual([['a', 'back']]);
  });

  test('takes no key under another name whose time had ended', () => {
    const ended = updateIssuerKeys(first, [b], later).keys;
    expect(codeOf(() => updateIssuerKeys(ended, [b, { ...a, kid: 'c' }], later))).toBe('ISSUER_KEY_CHANGED');
    // One that signs at present may have two names.
    expect(updateIssuerKeys(first, [a, { ...a, kid: 'c' }], later).keys).toHaveLength(2);
  });

  test('takes no other key under a known name', () => {
    expect(codeOf(() => updateIssuerKeys(first, [{ ...b, kid: 'a' }], later))).toBe('ISSUER_KEY_CHANGED');
    expect(codeOf(() => updateIssuerKeys(first, [{ ...a, algorithm: 'RS512' }], later))).toBe('ISSUER_KEY_CHANGED');
  });

  test('ends no key before it began, when the clock went back', () => {
    const [ended] = updateIssuerKeys(first, [b], new Date('2020-01-01T00:00:00.000Z')).keys;
    expect(ended?.until).toBe(ended?.from);
  });
});
