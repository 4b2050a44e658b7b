import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createIdentityProvider } from '../../src/adapters/identity-provider/identity-provider.ts';
import type { IdentityProvider, ServiceAccount } from '../../src/ports/identity-provider.ts';
import { raised } from '../support/raised.ts';
import { startZitadelExample, type ZitadelExample } from '../support/zitadel-example.ts';

// ZITADEL's own library, as far as its example goes: it has no roles, no audiences of projects, and opaque tokens.
let zitadel: ZitadelExample;

beforeAll(async () => {
  zitadel = await startZitadelExample();
});

afterAll(() => zitadel[Symbol.asyncDispose]());

function client(): IdentityProvider {
  const provider = createIdentityProvider({ issuer: zitadel.issuer, transport: {}, now: Date.now });
  onTestFinished(() => provider.close());
  return provider;
}

const NATIVE = { client: 'native', scopes: ['openid'] };
const STORAGE = { kind: 'storage', project: '1234' } as const;

test('a login with a browser gives an ID token with the nonce', async () => {
  const open = async (address: string) => void zitadel.logIn(address);
  const request = { ...NATIVE, nonce: 'of-the-test', fresh: true, browser: { kind: 'open', open } as const };
  const { idToken } = await client().logIn(request);
  expect(decodeJwt(idToken)).toMatchObject({
    iss: zitadel.issuer,
    sub: 'id1',
    aud: ['native'],
    azp: 'native',
    nonce: 'of-the-test',
    auth_time: expect.any(Number),
    amr: ['pwd'],
  });
});

test('its keys are read', async () => {
  const [key, ...others] = await client().publishedKeys();
  expect(key).toMatchObject({ kid: expect.any(String), algorithm: 'RS256' });
  expect(others).toEqual([]);
});

test('a login by device is refused to a client that may not', async () => {
  const error = await raised(() => client().logInByDevice({ ...NATIVE, show: () => {} }));
  expect(error).toMatchObject({ code: 'IDENTITY_PROVIDER_REFUSED', found: 'unauthorized_client' });
});

test('the secret of a service account is taken, and an opaque token explained', async () => {
  const account: ServiceAccount = { kind: 'secret', clientId: 'sid1', clientSecret: 'verysecret' };
  const { token, expiresAt } = await client().serviceToken(account, { kind: 'api' });
  expect(token).not.toBe('');
  expect(expiresAt).toBeGreaterThan(Date.now());
  expect(await raised(() => client().serviceToken(account, STORAGE))).toMatchObject({ code: 'ACCESS_TOKEN_OPAQUE' });
  const wrong = await raised(() => client().serviceToken({ ...account, clientSecret: 'another' }, STORAGE));
  expect(wrong).toMatchObject({ code: 'IDENTITY_PROVIDER_REFUSED' });
});

test('an assertion by another key is refused', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const account: ServiceAccount = {
    kind: 'key',
    keyId: 'key1',
    userId: 'service',
    privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
  };
  expect(await raised(() => client().serviceToken(account, STORAGE))).toMatchObject({
    code: 'IDENTITY_PROVIDER_REFUSED',
  });
});
