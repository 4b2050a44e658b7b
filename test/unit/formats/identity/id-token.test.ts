import { createHmac, generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { verifyIdToken } from '../../../../src/formats/identity/id-token.ts';
import type { PinnedIssuer } from '../../../../src/formats/identity/pinned-issuer.ts';
import { raised } from '../../../support/raised.ts';
import { createTestIssuer, PROJECT, pinnedKey, ROLE_CLAIM, type TokenChanges } from '../../../support/test-issuer.ts';

const NOW = Date.parse('2026-11-29T12:00:00.000Z');
const SECONDS = NOW / 1000;
const issuer = createTestIssuer({ loginClient: 'login' });
const NONCE = 'the-nonce';

function token({ claims, ...changes }: TokenChanges = {}) {
  return issuer.token({ issuedAt: SECONDS - 10, ...changes, claims: { nonce: NONCE, ...claims } });
}

function check(text: string, { pinned = issuer.pinned, at = NOW }: { pinned?: PinnedIssuer; at?: number } = {}) {
  return verifyIdToken(text, pinned, { use: 'enrolment', nonce: NONCE, at });
}

/** Whatever is refused: nothing of the token's parts is in the error. */
async function refusal(text: string, options: { pinned?: PinnedIssuer; at?: number } = {}) {
  const error = await raised(() => check(text, options));
  const shown = JSON.stringify({ ...error, message: error.message, cause: String(error.cause) });
  for (const part of text.split('.').filter(({ length }) => length > 8)) expect(shown).not.toContain(part);
  return error;
}

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('a token of the issuer is taken, and says who logged in when', async () => {
  expect(await check(await token())).toMatchObject({
    issuer: 'https://id.ship.example',
    subject: '284561203846860835',
    roles: ['backup-reader'],
    factors: ['pwd', 'otp', 'mfa'],
    authenticatedAt: new Date(NOW - 30_000),
    expired: false,
    keyId: 'key-1',
  });
});

test('an expired token is told apart, and is good for ever as evidence', async () => {
  const text = await token();
  expect(await check(text, { at: NOW + 3_589_000 })).toMatchObject({ expired: false });
  expect(await check(text, { at: NOW + 3_590_000 })).toMatchObject({ expired: true });
  expect(await check(text, { at: NOW + 10 * 365 * 86_400_000 })).toMatchObject({ expired: true });
});

test.each(['ES256', 'ES384', 'EdDSA'] as const)('a key for %s is taken', async (algorithm) => {
  const pair =
    algorithm === 'EdDSA'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: algorithm === 'ES256' ? 'P-256' : 'P-384' });
  const pinned = { ...issuer.pinned, keys: [pinnedKey(pair.publicKey, { algorithm })] };
  expect(await check(await token({ key: pair.privateKey, header: { alg: algorithm } }), { pinned })).toBeDefined();
});

test('a token that somebody else signed is refused', async () => {
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  expect(await refusal(await token({ key: stranger.privateKey }))).toMatchObject({ code: 'ID_TOKEN_FORGED' });
});

test('a token whose claims were altered is refused', async () => {
  const [header, , signature] = (await token()).split('.');
  const altered = `${header}.${base64url({ iss: issuer.pinned.url, sub: 'mallory' })}.${signature}`;
  expect(await refusal(altered)).toMatchObject({ code: 'ID_TOKEN_FORGED' });
});

test('a token without a signature (none) is refused', async () => {
  const claims = (await token()).split('.')[1];
  for (const alg of ['none', 'None', 'NONE']) {
    expect(await refusal(`${base64url({ alg, kid: 'key-1' })}.${claims}.`)).toMatchObject({
      code: 'ID_TOKEN_ALGORITHM_REFUSED',
    });
  }
});

test('an HMAC by an empty key or by the public key is refused', async () => {
  const [, claims] = (await token()).split('.');
  const publicKey = Buffer.from(issuer.pinned.keys[0]?.publicKey ?? '', 'base64');
  for (const secret of [Buffer.alloc(0), publicKey]) {
    const signed = `${base64url({ alg: 'HS256', kid: 'key-1' })}.${claims}`;
    const forged = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
    expect(await refusal(forged)).toMatchObject({ code: 'ID_TOKEN_ALGORITHM_REFUSED', found: 'HS256' });
  }
});

test('a key signs by its own algorithm alone, whatever the header says', async () => {
  expect(await refusal(await token({ header: { alg: 'RS512' } }))).toMatchObject({
    code: 'ID_TOKEN_ALGORITHM_REFUSED',
    expected: 'RS256',
    found: 'RS512',
  });
});

test('a key in the header counts for nothing', async () => {
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const header = { jwk: stranger.publicKey.export({ format: 'jwk' }), jku: 'https://evil.example/jwks' };
  expect(await refusal(await token({ key: stranger.privateKey, header }))).toMatchObject({ code: 'ID_TOKEN_FORGED' });
});

test('a key that the root does not pin is named, and what to do', async () => {
  expect(await refusal(await token({ header: { kid: 'key-2' } }))).toMatchObject({
    code: 'ID_TOKEN_KEY_UNKNOWN',
    expected: 'key-1',
    found: 'key-2',
    hint: expect.stringContaining('portolan keys init'),
  });
  expect(await refusal(await token({ header: { kid: undefined } }))).toMatchObject({ code: 'ID_TOKEN_KEY_UNKNOWN' });
});

test('a rotated key is good for what it signed in its time, and for nothing after it', async () => {
  const [key] = issuer.pinned.keys;
  const pinned = (from: string, until: string) =>
    ({ ...issuer.pinned, keys: [{ ...key, from, until }] }) as PinnedIssuer;
  const text = await token();
  const inTime = pinned('2026-11-29T11:00:00.000Z', '2026-11-29T12:00:00.000Z');
  expect(await check(text, { pinned: inTime, at: NOW + 86_400_000 })).toMatchObject({ expired: true });
  for (const out of [
    pinned('2026-11-01T00:00:00.000Z', '2026-11-29T11:59:49.000Z'),
    pinned('2026-11-29T11:59:51.000Z', '2026-11-30T00:00:00.000Z'),
  ]) {
    expect(await refusal(text, { pinned: out })).toMatchObject({ code: 'ID_TOKEN_KEY_OUT_OF_TIME' });
  }
});

test('another issuer is refused, also one that differs by a slash', async () => {
  for (const iss of ['https://id.evil.example', 'https://id.ship.example/', 'http://id.ship.example']) {
    expect(await refusal(await token({ claims: { iss } }))).toMatchObject({ code: 'ID_TOKEN_ISSUER_WRONG' });
  }
});

const client = issuer.pinned.enrolmentClient;

test.each([
  ['of another client', { aud: 'other', azp: 'other' }],
  ['of the login client', { aud: ['login', PROJECT], azp: 'login' }],
  ['that another client of the project got', { azp: 'other' }],
  ['for the storage as well', { aud: [client, PROJECT, 'storage'] }],
  ['for several, of nobody knows whom', { azp: undefined }],
])('a token %s is refused', async (_, claims) => {
  expect(await refusal(await token({ claims }))).toMatchObject({ code: 'ID_TOKEN_AUDIENCE_WRONG' });
});

test('a token for the client alone needs no authorized party', async () => {
  expect(await check(await token({ claims: { aud: client, azp: undefined } }))).toBeDefined();
});

test('a token of another enrolment is refused, and one without a nonce', async () => {
  for (const nonce of ['another', undefined]) {
    expect(await refusal(await token({ claims: { nonce } }))).toMatchObject({ code: 'ID_TOKEN_NONCE_WRONG' });
  }
});

test('a clock may be off by a minute; five minutes or five years are refused, and the clocks named', async () => {
  expect(await check(await token({ issuedAt: SECONDS + 50 }))).toBeDefined();
  for (const ahead of [300, 5 * 365 * 86_400]) {
    expect(await refusal(await token({ issuedAt: SECONDS + ahead }))).toMatchObject({
      code: 'ID_TOKEN_NOT_YET_VALID',
      hint: expect.stringContaining('clock'),
    });
  }
  expect(await refusal(await token({ claims: { nbf: SECONDS + 300 } }))).toMatchObject({
    code: 'ID_TOKEN_NOT_YET_VALID',
  });
});

test('a token that lives for ever, or not at all, is refused', async () => {
  for (const exp of [SECONDS + 30 * 86_400, SECONDS - 10, SECONDS - 100]) {
    expect(await refusal(await token({ claims: { exp } }))).toMatchObject({ code: 'ID_TOKEN_INVALID' });
  }
});

test('a login without a second factor is refused', async () => {
  for (const amr of [['pwd'], ['otp'], ['user'], [], undefined]) {
    expect(await refusal(await token({ claims: { amr } }))).toMatchObject({ code: 'ID_TOKEN_SECOND_FACTOR_MISSING' });
  }
  const pinned = { ...issuer.pinned, secondFactors: ['hwk'] };
  expect(await check(await token({ claims: { amr: ['hwk'] } }), { pinned })).toBeDefined();
  expect(await refusal(await token(), { pinned })).toMatchObject({ code: 'ID_TOKEN_SECOND_FACTOR_MISSING' });
});

test('a login long before the token is refused, and one that nobody dates', async () => {
  const issuedAt = SECONDS - 10;
  expect(await check(await token({ claims: { auth_time: issuedAt - 300 } }))).toBeDefined();
  for (const auth_time of [issuedAt - 301, 0, issuedAt + 61, undefined]) {
    expect(await refusal(await token({ claims: { auth_time } }))).toMatchObject({ code: 'ID_TOKEN_LOGIN_TOO_OLD' });
  }
  const pinned = { ...issuer.pinned, maxLoginAgeSeconds: 60 };
  expect(await refusal(await token({ claims: { auth_time: issuedAt - 61 } }), { pinned })).toMatchObject({
    code: 'ID_TOKEN_LOGIN_TOO_OLD',
    expected: 'at most 60 s before the token',
  });
});

test('without the role a token is refused, also with other roles or that of another project', async () => {
  for (const claims of [
    { [ROLE_CLAIM]: undefined },
    { [ROLE_CLAIM]: { viewer: { '1': 'ship.example' } } },
    { [ROLE_CLAIM]: { 'backup-reader': {} } },
    { [ROLE_CLAIM]: undefined, 'urn:zitadel:iam:org:project:roles': { 'backup-reader': { '1': 'ship.example' } } },
  ]) {
    expect(await refusal(await token({ claims }))).toMatchObject({ code: 'ID_TOKEN_ROLE_MISSING' });
  }
});

test('a role that another organization granted does not count', async () => {
  const pinned = { ...issuer.pinned, organization: '42' };
  expect(await refusal(await token(), { pinned })).toMatchObject({ code: 'ID_TOKEN_ROLE_MISSING' });
  const claims = { [ROLE_CLAIM]: { 'backup-reader': { '42': 'ship.example' }, other: { '1': 'x' } } };
  expect(await check(await token({ claims }), { pinned })).toMatchObject({ roles: ['backup-reader'] });
});

test('a token that says more of the person than evidence may is refused, and ZITADEL’s switch named', async () => {
  for (const name of ['email', 'name', 'preferred_username', 'phone_number', 'urn:zitadel:iam:user:metadata']) {
    expect(await refusal(await token({ claims: { [name]: 'anna@ship.example' } }))).toMatchObject({
      code: 'ID_TOKEN_PROFILE_CLAIMS',
      found: name,
      hint: expect.stringContaining('User Info inside ID Token'),
    });
  }
});

test.each([
  ['no token at all', 'hello'],
  ['of two parts', 'aGVsbG8.aGVsbG8'],
  ['empty', ''],
  ['with a header that is not JSON', 'aGVsbG8.e30.AAAA'],
  ['longer than any', 'A'.repeat(40_000)],
])('what is %s is refused', async (_, text) => {
  expect(await refusal(text)).toMatchObject({ code: 'ID_TOKEN_INVALID' });
});

test('signed claims that are not right are refused, and named', async () => {
  for (const [name, value] of [
    ['sub', undefined],
    ['sub', 'two words'],
    ['aud', []],
    ['iat', 'yesterday'],
    ['exp', 1e300],
    ['amr', 'mfa'],
    ['auth_time', -1],
  ] as const) {
    const error = await refusal(await token({ claims: { [name]: value } }));
    expect(error).toMatchObject({ code: 'ID_TOKEN_INVALID', message: expect.stringContaining(name) });
  }
  expect(await refusal(await token({ claims: { [ROLE_CLAIM]: ['backup-reader'] } }))).toMatchObject({
    code: 'ID_TOKEN_INVALID',
  });
  const [, payload, signature] = (await token()).split('.');
  const critical = base64url({ alg: 'RS256', kid: 'key-1', crit: ['unheard-of'], 'unheard-of': 1 });
  expect(await refusal(`${critical}.${payload}.${signature}`)).toMatchObject({ code: 'ID_TOKEN_INVALID' });
});

test('the token of a login is another client’s, and needs no second factor', async () => {
  const claims = { aud: ['login', 'other-project'], azp: 'login', amr: ['pwd'], auth_time: 1, name: 'Anna' };
  const text = await token({ claims });
  expect(await verifyIdToken(text, issuer.pinned, { use: 'login', at: NOW })).toMatchObject({ factors: ['pwd'] });
  expect(
    await raised(async () => verifyIdToken(await token(), issuer.pinned, { use: 'login', at: NOW })),
  ).toMatchObject({
    code: 'ID_TOKEN_AUDIENCE_WRONG',
  });
  const { loginClient: _, ...nameless } = issuer.pinned;
  expect(await raised(() => verifyIdToken(text, nameless, { use: 'login', at: NOW }))).toMatchObject({
    code: 'ID_TOKEN_AUDIENCE_WRONG',
  });
});
