import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { pinnedIssuerSchema } from '../../../../src/formats/identity/pinned-issuer.ts';
import { createTestIssuer, pinnedKey } from '../../../support/test-issuer.ts';

const { pinned } = createTestIssuer();
const isTaken = (change: object) => pinnedIssuerSchema.safeParse({ ...pinned, ...change }).success;

test('an issuer is taken as its tokens spell it', () => {
  expect(isTaken({})).toBe(true);
  expect(isTaken({ url: 'http://localhost:8080' })).toBe(true);
  expect(isTaken({ url: 'https://id.example/realms/ship' })).toBe(true);
});

test.each([
  'https://id.example/',
  'https://ID.example',
  'https://id.example?a',
  'https://id.example#a',
  'ftp://id.example',
  // Tokens and secrets would go there in the clear.
  'http://id.example',
  'http://10.0.0.7:8080',
  'http://localhost.example',
  'https://u:p@id.example',
  'id.example',
])('an issuer spelled %s is refused', (url) => {
  expect(isTaken({ url })).toBe(false);
});

test('a key must be one of its algorithm, and never a shared secret', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  expect(isTaken({ keys: [pinnedKey(publicKey, { algorithm: 'ES256' })] })).toBe(true);
  expect(isTaken({ keys: [pinnedKey(publicKey, { algorithm: 'RS256' })] })).toBe(false);
  expect(isTaken({ keys: [pinnedKey(publicKey, { algorithm: 'ES384' })] })).toBe(false);
  expect(isTaken({ keys: [{ ...pinnedKey(publicKey), algorithm: 'HS256' }] })).toBe(false);
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
  expect(isTaken({ keys: [pinnedKey(short.publicKey)] })).toBe(false);
  expect(isTaken({ keys: [{ ...pinned.keys[0], publicKey: 'AAAA' }] })).toBe(false);
});

test('keys have a name each, and a time that does not end before it begins', () => {
  const [key] = pinned.keys;
  expect(isTaken({ keys: [] })).toBe(false);
  expect(isTaken({ keys: [key, key] })).toBe(false);
  expect(isTaken({ keys: [{ ...key, until: '2019-01-01T00:00:00.000Z' }] })).toBe(false);
  expect(isTaken({ keys: [{ ...key, until: '2020-01-01T00:00:00.000Z' }] })).toBe(true);
});

test('what the schema does not know is refused', () => {
  expect(isTaken({ secondFactor: 'mfa' })).toBe(false);
  expect(isTaken({ secondFactors: [] })).toBe(false);
  expect(isTaken({ maxLoginAgeSeconds: 0 })).toBe(false);
});
