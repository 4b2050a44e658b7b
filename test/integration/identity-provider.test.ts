import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { decodeJwt } from 'jose';
import { request } from 'undici';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  createIdentityProvider,
  type IdentityProviderSettings,
} from '../../src/adapters/identity-provider/identity-provider.ts';
import { verifyIdToken } from '../../src/formats/identity/id-token.ts';
import type { IssuerAlgorithm, PinnedIssuer } from '../../src/formats/identity/pinned-issuer.ts';
import type { BrowserLoginRequest, IdentityProvider, ServiceAccount } from '../../src/ports/identity-provider.ts';
import { serveOnLoopback } from '../support/loopback-server.ts';
import {
  type OpenIdProvider,
  type OpenIdProviderOptions,
  type ServiceAccountEntry,
  startOpenIdProvider,
} from '../support/openid-provider.ts';
import { makePrivateCertificate } from '../support/private-certificate.ts';
import { raised } from '../support/raised.ts';
import { temporaryFolder } from '../support/temporary.ts';

const QUICK = { attempts: 2, baseDelayMs: 1, maxDelayMs: 2 };
const NONCE = 'nonce-of-the-test-nonce-of-the-test-nonce-o';

async function started(options: OpenIdProviderOptions = {}): Promise<OpenIdProvider> {
  const provider = await startOpenIdProvider(options);
  onTestFinished(() => provider[Symbol.asyncDispose]());
  return provider;
}

function clientOf(provider: OpenIdProvider, settings: Partial<IdentityProviderSettings> = {}): IdentityProvider {
  const client = createIdentityProvider({
    issuer: provider.issuer,
    transport: provider.caFile === undefined ? {} : { caFile: provider.caFile },
    now: Date.now,
    retries: QUICK,
    ...settings,
  });
  onTestFinished(() => client.close());
  return client;
}

function keyOf({ keyFile }: ServiceAccountEntry): ServiceAccount {
  const { keyId, userId, key } = JSON.parse(keyFile) as Record<'keyId' | 'userId' | 'key', string>;
  return { kind: 'key', keyId, userId, privateKey: key };
}

function secretOf({ clientId, clientSecret }: ServiceAccountEntry): ServiceAccount {
  return { kind: 'secret', clientId, clientSecret };
}

/** The audience that the provider's storage trusts. */
function storageOf(provider: OpenIdProvider) {
  return { kind: 'storage', project: provider.projects.storage } as const;
}

describe('a service account', () => {
  test.each([
    ['by its key', keyOf],
    ['by its secret', secretOf],
  ])('gets a token for the storage and nothing else, %s', async (_, accountOf) => {
    const provider = await started();
    const entry = provider.addServiceAccount({ name: 'agent' });
    const before = Date.now();
    const { token, expiresAt } = await clientOf(provider).serviceToken(accountOf(entry), storageOf(provider));
    const { storage } = provider.projects;
    expect(decodeJwt(token)).toMatchObject({
      iss: provider.issuer,
      sub: entry.id,
      aud: [storage],
      [`urn:zitadel:iam:org:project:${storage}:roles`]: { 'backup-writer': expect.anything() },
    });
    expect(expiresAt).toBeGreaterThan(before + 43_000_000);
    expect(expiresAt).toBeLessThanOrEqual(Date.now() + 43_200_000);
  });

  test('whose tokens are opaque is told so, and still may ask the API', async () => {
    const provider = await started();
    const anna = provider.addPerson({ name: 'anna' });
    const account = keyOf(provider.addServiceAccount({ name: 'agent', tokenType: 'opaque' }));
    const client = clientOf(provider);
    expect(await raised(() => client.serviceToken(account, storageOf(provider)))).toMatchObject({
      code: 'ACCESS_TOKEN_OPAQUE',
    });
    const query = { account, project: provider.projects.enrolment, role: 'backup-reader' };
    expect(await client.rolesOf({ ...query, subjects: [anna.id] })).toEqual(new Map([[anna.id, 'holds']]));
  });

  test('may have a clock that differs by twenty seconds', async () => {
    const provider = await started();
    const account = keyOf(provider.addServiceAccount({ name: 'agent' }));
    for (const seconds of [-20, 20]) {
      provider.settings.clockOffsetSeconds = seconds;
      await expect(clientOf(provider).serviceToken(account, storageOf(provider))).resolves.toBeDefined();
    }
  });

  test.each([
    ['five minutes behind', 300, /30\d s behind/],
    ['five minutes ahead', -300, /(299|30\d) s ahead of/],
    ['five years ahead', -157_680_000, /1576\d{5} s ahead of/],
  ])('whose clock is %s is told so', async (_, clockOffsetSeconds, words) => {
    const provider = await started();
    const account = keyOf(provider.addServiceAccount({ name: 'agent' }));
    provider.settings.clockOffsetSeconds = clockOffsetSeconds;
    const error = await raised(() => clientOf(provider).serviceToken(account, storageOf(provider)));
    expect(error).toMatchObject({ code: 'IDENTITY_PROVIDER_REFUSED', found: 'HTTP 500 server_error' });
    expect(error.message).toMatch(words);
    expect(error.hint).toContain('clock');
  });

  test.each<[string, (entry: ServiceAccountEntry, provider: OpenIdProvider) => void]>([
    ['whose key was deleted', (entry) => Object.assign(entry, { publicKey: undefined })],
    ['that was deactivated', (entry) => Object.assign(entry, { active: false })],
    ['that was deleted', (entry, provider) => provider.removeUser(entry.id)],
  ])('%s learns what it may be, and nothing about clocks', async (_, change) => {
    const provider = await started();
    const entry = provider.addServiceAccount({ name: 'agent' });
    const account = keyOf(entry);
    change(entry, provider);
    const error = await raised(() => clientOf(provider).serviceToken(account, storageOf(provider)));
    expect(error).toMatchObject({ code: 'IDENTITY_PROVIDER_REFUSED', found: 'HTTP 500 server_error' });
    expect(error.message).not.toContain('clock');
    expect(error.expected).toContain(entry.keyId);
  });

  test('with a wrong secret, or unknown, is refused with the word of the provider and without the secret', async () => {
    const provider = await started();
    const entry = provider.addServiceAccount({ name: 'agent' });
    const client = clientOf(provider);
    const wrong = await raised(() =>
      client.serviceToken(
        { ...secretOf(entry), clientSecret: 'a-wrong-secret' } as ServiceAccount,
        storageOf(provider),
      ),
    );
    expect(wrong).toMatchObject({ code: 'IDENTITY_PROVIDER_REFUSED', found: 'invalid_request' });
    expect(wrong.message).toContain('Errors.User.Machine.Secret.Invalid');
    const unknown = await raised(() =>
      client.serviceToken({ ...secretOf(entry), clientId: 'nobody' } as ServiceAccount, storageOf(provider)),
    );
    expect(unknown).toMatchObject({ code: 'IDENTITY_PROVIDER_REFUSED', found: 'invalid_client' });
    expect(inspect([wrong, unknown], { depth: 9 })).not.toMatch(new RegExp(`a-wrong-secret|${entry.clientSecret}`));
  });
});

test('a provider that gives back what it was sent does not bring it into a message', async () => {
  const provider = await started();
  const entry = provider.addServiceAccount({ name: 'agent' });
  const client = clientOf(provider);
  await client.publishedKeys();
  provider.settings.brokenStatus = 400;
  const { clientSecret } = entry;
  provider.settings.brokenBody = JSON.stringify({ error: clientSecret, error_description: `not ${clientSecret}` });
  const error = await raised(() => client.serviceToken(secretOf(entry), storageOf(provider)));
  expect(error).toMatchObject({ code: 'IDENTITY_PROVIDER_REFUSED' });
  expect(inspect(error, { depth: 9 })).not.toContain(clientSecret);
});

describe('a provider', () => {
  test('that is down is told as unreachable, and waited for while tries are left', async () => {
    const provider = await started();
    const account = keyOf(provider.addServiceAccount({ name: 'agent' }));
    await provider.down();
    expect(await raised(() => clientOf(provider).serviceToken(account, storageOf(provider)))).toMatchObject({
      code: 'IDENTITY_PROVIDER_UNREACHABLE',
      found: 'ECONNREFUSED',
    });
    const patient = clientOf(provider, { retries: { attempts: 500, baseDelayMs: 10, maxDelayMs: 10 } });
    const token = patient.serviceToken(account, storageOf(provider));
    await provider.up();
    await expect(token).resolves.toBeDefined();
  });

  test('whose gateway answers for it is told as unreachable', async () => {
    const provider = await started();
    const account = keyOf(provider.addServiceAccount({ name: 'agent' }));
    Object.assign(provider.settings, { brokenStatus: 503, brokenBody: '<html>no upstream</html>' });
    expect(await raised(() => clientOf(provider).serviceToken(account, storageOf(provider)))).toMatchObject({
      code: 'IDENTITY_PROVIDER_UNREACHABLE',
      found: 'HTTP 503',
    });
  });

  test('that is no OpenID provider, or spells its name otherwise, is told apart', async () => {
    const provider = await started();
    const other = clientOf(provider, { issuer: provider.issuer.replace('127.0.0.1', 'localhost') });
    expect(await raised(() => other.publishedKeys())).toMatchObject({
      code: 'IDENTITY_PROVIDER_PROTOCOL',
      expected: provider.issuer.replace('127.0.0.1', 'localhost'),
      found: provider.issuer,
    });
    Object.assign(provider.settings, { brokenStatus: 200, brokenBody: '<html>welcome</html>' });
    expect(await raised(() => clientOf(provider).publishedKeys())).toMatchObject({
      code: 'IDENTITY_PROVIDER_PROTOCOL',
    });
  });

  test.each([
    ['token_endpoint', 'http://HOST/oauth/v2/token'],
    ['jwks_uri', 'http://HOST/oauth/v2/keys'],
    ['token_endpoint', 'https://id.evil.example/oauth/v2/token'],
    ['jwks_uri', 'https://169.254.169.254/latest/meta-data'],
    ['authorization_endpoint', 'file:///etc/passwd'],
    ['device_authorization_endpoint', 'https://id.evil.example:8443/device'],
  ])('whose %s leads away (%s) is not followed', async (member, written) => {
    const certificate = await makePrivateCertificate(join(await temporaryFolder(), 'certificates'));
    const provider = await started({ certificate });
    const away = written.replace('HOST', new URL(provider.issuer).host);
    provider.settings.brokenBody = JSON.stringify({
      issuer: provider.issuer,
      authorization_endpoint: `${provider.issuer}/oauth/v2/authorize`,
      token_endpoint: `${provider.issuer}/oauth/v2/token`,
      jwks_uri: `${provider.issuer}/oauth/v2/keys`,
      [member]: away,
    });
    provider.settings.brokenStatus = 200;
    const account = keyOf(provider.addServiceAccount({ name: 'agent' }));
    const asked = [
      () => clientOf(provider).publishedKeys(),
      () => clientOf(provider).serviceToken(account, storageOf(provider)),
    ];
    for (const ask of asked) {
      expect(await raised(ask)).toMatchObject({ code: 'IDENTITY_PROVIDER_PROTOCOL', found: away });
    }
    expect(provider.requests).toEqual(asked.map(() => 'GET /.well-known/openid-configuration'));
  });

  test.each([301, 302, 307, 308])(
    'that leads elsewhere by HTTP %d is not followed: nothing is sent there',
    async (status) => {
      const seen: string[] = [];
      const elsewhere = await serveOnLoopback((request, response) => {
        seen.push(`${request.method} ${request.url}`);
        response.end('{}');
      });
      onTestFinished(() => elsewhere.close());
      const provider = await started();
      const account = provider.addServiceAccount({ name: 'agent' });
      const { clientId, clientSecret } = account;
      const accounts = [keyOf(account), { kind: 'secret', clientId, clientSecret } as const];
      for (const path of ['/.well-known/openid-configuration', '/oauth/v2/token', '/v2/users']) {
        provider.settings.redirect = { path, status, to: `http://${elsewhere.host}` };
        for (const one of accounts) {
          const query = { account: one, subjects: ['1'], project: provider.projects.enrolment, role: 'backup-reader' };
          expect(await raised(() => clientOf(provider).rolesOf(query)), path).toMatchObject({
            code: expect.stringMatching(/^IDENTITY_PROVIDER_(PROTOCOL|REFUSED)$/),
          });
        }
      }
      expect(seen).toEqual([]);
    },
  );

  test('of a private authority is trusted by its certificate alone', async () => {
    const certificate = await makePrivateCertificate(join(await temporaryFolder(), 'certificates'));
    const provider = await started({ certificate });
    const account = keyOf(provider.addServiceAccount({ name: 'agent' }));
    await expect(clientOf(provider).serviceToken(account, storageOf(provider))).resolves.toBeDefined();
    expect(await raised(() => clientOf(provider, { transport: {} }).publishedKeys())).toMatchObject({
      code: 'IDENTITY_PROVIDER_UNTRUSTED',
    });
  });

  test('that never answers is left after a time', async () => {
    const silent = await serveOnLoopback(() => {});
    onTestFinished(() => silent.close());
    const client = createIdentityProvider({
      ...{ issuer: `http://${silent.host}`, transport: {}, now: Date.now, retries: QUICK, timeoutMs: 50 },
    });
    onTestFinished(() => client.close());
    expect(await raised(() => client.publishedKeys())).toMatchObject({
      code: 'IDENTITY_PROVIDER_UNREACHABLE',
      found: 'TimeoutError',
    });
  });

  test('whose answer never ends, a byte at a time, is left after a time', async () => {
    const dripping = await serveOnLoopback((_, response) => {
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    });
    onTestFinished(() => dripping.close());
    const client = createIdentityProvider({
      ...{ issuer: `http://${dripping.host}`, transport: {}, now: Date.now, retries: QUICK, timeoutMs: 300 },
    });
    onTestFinished(() => client.close());
    expect(await raised(() => client.publishedKeys())).toMatchObject({
      ...{ code: 'IDENTITY_PROVIDER_UNREACHABLE', found: 'TimeoutError' },
    });
  });

  test('that floods its answer is left', async () => {
    const flood = await serveOnLoopback((_, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(65_536, 32)));
      };
      response.on('drain', more);
      more();
    });
    onTestFinished(() => flood.close());
    const client = createIdentityProvider({ issuer: `http://${flood.host}`, transport: {}, now: Date.now });
    onTestFinished(() => client.close());
    expect(await raised(() => client.publishedKeys())).toMatchObject({ code: 'IDENTITY_PROVIDER_PROTOCOL' });
  });

  test('behind a proxy is reached through it', async () => {
    const certificate = await makePrivateCertificate(join(await temporaryFolder(), 'certificates'));
    const provider = await started({ certificate });
    const seen: string[] = [];
    const proxy = createServer().on('connect', (asked, socket, head) => {
      seen.push(asked.url ?? '');
      const [host = '', port = ''] = (asked.url ?? '').split(':');
      const target = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        target.write(head);
        target.pipe(socket).pipe(target);
      });
      for (const end of [socket, target]) end.on('error', () => {});
    });
    await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
    onTestFinished(() => {
      proxy.closeAllConnections();
      proxy.close();
    });
    const httpsProxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const { caFile } = certificate;
    await clientOf(provider, { transport: { caFile, proxy: { httpsProxy } } }).publishedKeys();
    expect(new Set(seen)).toEqual(new Set([new URL(provider.issuer).host]));
  });

  test('that is waited for is left at once on request', async () => {
    const provider = await started();
    const account = keyOf(provider.addServiceAccount({ name: 'agent' }));
    const reason = new Error('interrupted');
    await provider.down();
    const stop = new AbortController();
    const client = clientOf(provider, { retries: { attempts: 9, baseDelayMs: 60_000, maxDelayMs: 60_000 } });
    const waiting = client.serviceToken(account, storageOf(provider), { signal: stop.signal });
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  test('shows the keys that sign, the new one and the old one after a rotation', async () => {
    const provider = await started();
    const client = clientOf(provider);
    const [old = ''] = provider.keys.ids;
    const kid = provider.keys.rotate();
    expect((await client.publishedKeys()).map((key) => key.kid)).toEqual([old, kid]);
    provider.keys.remove(old);
    expect(await client.publishedKeys()).toEqual([{ kid, publicKey: expect.any(String), algorithm: 'RS256' }]);
  });
});

/** What a root would pin of the provider now. */
async function pinnedIssuer(provider: OpenIdProvider, client: IdentityProvider): Promise<PinnedIssuer> {
  const keys = (await client.publishedKeys()).map((key) => ({
    ...key,
    algorithm: key.algorithm as IssuerAlgorithm,
    from: new Date(Date.now() - 3_600_000).toISOString(),
  }));
  return {
    url: provider.issuer,
    enrolmentClient: provider.clients.enrolment,
    loginClient: provider.clients.login,
    roleClaim: provider.roleClaim,
    readerRole: 'backup-reader',
    keys,
  };
}

function enrolmentOf(provider: OpenIdProvider, browser: BrowserLoginRequest['browser']): BrowserLoginRequest {
  return {
    client: provider.clients.enrolment,
    scopes: ['openid', 'urn:zitadel:iam:org:project:role:backup-reader'],
    nonce: NONCE,
    fresh: true,
    browser,
  };
}

/** A browser in which somebody does something with the address of the login. */
function opening(work: (address: string) => Promise<unknown>) {
  let done: Promise<unknown> = Promise.resolve();
  const open = async (address: string) => {
    done = work(address);
  };
  return { browser: { kind: 'open', open } as const, done: () => done };
}

describe('a login with a browser', () => {
  test('gives an ID token that stands with what the root pins', async () => {
    const provider = await started();
    const client = clientOf(provider);
    const anna = provider.addPerson({ name: 'anna' });
    const { browser, done } = opening((address) => anna.logIn(address));
    const { idToken } = await client.logIn(enrolmentOf(provider, browser));
    expect(await done()).toMatchObject({ page: expect.stringContaining('can be closed') });
    const rules = { use: 'enrolment', nonce: NONCE, at: Date.now() } as const;
    expect(await verifyIdToken(idToken, await pinnedIssuer(provider, client), rules)).toMatchObject({
      subject: anna.id,
      roles: ['backup-reader'],
      factors: ['pwd', 'otp', 'mfa'],
      expired: false,
    });
  });

  test('waits on when others than the browser come to its address', async () => {
    const provider = await started();
    const anna = provider.addPerson({ name: 'anna' });
    const statuses: number[] = [];
    const { browser } = opening(async (address) => {
      const query = new URL(address).searchParams;
      const back = query.get('redirect_uri') ?? '';
      const stolen = `${back}?code=stolen&state=${query.get('state')}`;
      const come = async (url: string, how: object = {}) => {
        const { statusCode, body } = await request(url, how);
        await body.dump();
        statuses.push(statusCode);
      };
      await come(`${back}?code=stolen&state=guessed`);
      await come(stolen, { headers: { host: 'rebound.example' } });
      await come(stolen, { method: 'POST' });
      await come(new URL('/', back).href);
      await anna.logIn(address);
    });
    const { idToken } = await clientOf(provider).logIn(enrolmentOf(provider, browser));
    expect(decodeJwt(idToken).sub).toBe(anna.id);
    expect(statuses).toEqual([404, 404, 404, 404]);
  });

  test('of somebody who may not log in is refused', async () => {
    const provider = await started();
    const anna = provider.addPerson({ name: 'anna' });
    anna.active = false;
    const { browser } = opening((address) => anna.logIn(address));
    expect(await raised(() => clientOf(provider).logIn(enrolmentOf(provider, browser)))).toMatchObject({
      code: 'LOGIN_REFUSED',
      found: expect.stringContaining('access_denied'),
    });
  });

  test('that nobody finishes ends after a time, and at once on request', async () => {
    const provider = await started();
    const { browser } = opening(async () => {});
    const impatient = clientOf(provider, { loginTimeoutMs: 50 });
    expect(await raised(() => impatient.logIn(enrolmentOf(provider, browser)))).toMatchObject({
      code: 'LOGIN_TIMEOUT',
    });
    const reason = new Error('interrupted');
    const stop = new AbortController();
    const stopping = opening(async () => stop.abort(reason)).browser;
    const login = clientOf(provider).logIn(enrolmentOf(provider, stopping), { signal: stop.signal });
    await expect(login).rejects.toBe(reason);
  });

  test('whose token carries another nonce, or is of another time, is refused', async () => {
    const provider = await started();
    const anna = provider.addPerson({ name: 'anna' });
    const { browser } = opening((address) => anna.logIn(address));
    const login = () => raised(() => clientOf(provider).logIn(enrolmentOf(provider, browser)));
    provider.settings.alterIdToken = (claims) => ({ ...claims, nonce: 'replayed' });
    expect(await login()).toMatchObject({ code: 'IDENTITY_PROVIDER_PROTOCOL' });
    provider.settings.alterIdToken = undefined;
    provider.settings.clockOffsetSeconds = -157_680_000;
    const error = await login();
    expect(error).toMatchObject({ code: 'IDENTITY_PROVIDER_PROTOCOL' });
    expect(error.message).toMatch(/clock of this machine is 1576\d{5} s ahead/);
  });

  test('elsewhere is finished by the address that the person brings', async () => {
    const provider = await started();
    const anna = provider.addPerson({ name: 'anna' });
    const ask = async (address: string) => ` ${(await anna.logIn(address, { leave: false })).address}\n`;
    const { idToken } = await clientOf(provider).logIn(enrolmentOf(provider, { kind: 'paste', ask }));
    expect(decodeJwt(idToken)).toMatchObject({ sub: anna.id, nonce: NONCE });
  });

  test.each<[string, (address: string) => string]>([
    ['no address', () => 'the code is 1234'],
    ['the address of the login itself', (address) => address],
    ['the address of another login', () => 'http://127.0.0.1:61080/callback?code=stolen&state=another'],
  ])('elsewhere takes %s for none of it', async (_, brought) => {
    const provider = await started();
    const ask = async (address: string) => brought(address);
    const error = await raised(() => clientOf(provider).logIn(enrolmentOf(provider, { kind: 'paste', ask })));
    expect(error).toMatchObject({ code: 'LOGIN_ADDRESS_INVALID' });
    expect(inspect(error)).not.toContain('stolen');
  });
});

describe('a login by device', () => {
  const scopesOf = ({ projects }: OpenIdProvider) => [
    ...['openid', 'urn:zitadel:iam:org:projects:roles'],
    `urn:zitadel:iam:org:project:id:${projects.enrolment}:aud`,
  ];

  test('is finished with the code, as slowly as the provider asks', async () => {
    const provider = await started();
    const client = clientOf(provider);
    const anna = provider.addPerson({ name: 'anna' });
    provider.settings.slowDowns = 1;
    const { idToken } = await client.logInByDevice({
      client: provider.clients.login,
      scopes: scopesOf(provider),
      show: ({ completeAddress, code }) => {
        expect(completeAddress).toContain(code);
        void anna.logIn(completeAddress ?? '');
      },
    });
    expect(decodeJwt(idToken)).not.toHaveProperty('nonce');
    const rules = { use: 'login', at: Date.now() } as const;
    expect(await verifyIdToken(idToken, await pinnedIssuer(provider, client), rules)).toMatchObject({
      subject: anna.id,
      roles: ['backup-reader'],
    });
  });

  test('that is refused, or that nobody finishes, ends', async () => {
    const provider = await started();
    const anna = provider.addPerson({ name: 'anna' });
    anna.active = false;
    const request = { client: provider.clients.login, scopes: scopesOf(provider) };
    const show = ({ completeAddress }: { readonly completeAddress: string | undefined }) => {
      void anna.logIn(completeAddress ?? '');
    };
    expect(await raised(() => clientOf(provider).logInByDevice({ ...request, show }))).toMatchObject({
      code: 'LOGIN_REFUSED',
    });
    const impatient = clientOf(provider, { loginTimeoutMs: 50 });
    expect(await raised(() => impatient.logInByDevice({ ...request, show: () => {} }))).toMatchObject({
      code: 'LOGIN_TIMEOUT',
    });
    const reason = new Error('interrupted');
    const stop = new AbortController();
    const stopped = clientOf(provider).logInByDevice(
      { ...request, show: () => stop.abort(reason) },
      { signal: stop.signal },
    );
    await expect(stopped).rejects.toBe(reason);
  });

  test('by a client that may not is refused', async () => {
    const provider = await started();
    const request = { client: provider.clients.enrolment, scopes: ['openid'], show: () => {} };
    expect(await raised(() => clientOf(provider).logInByDevice(request))).toMatchObject({
      code: 'IDENTITY_PROVIDER_REFUSED',
    });
  });
});

describe('roles', () => {
  test('are those of now: kept, lost, of users who are locked out or gone', async () => {
    const provider = await started();
    const names = ['kept', 'lost', 'inactive', 'deleted'] as const;
    const people = Object.fromEntries(names.map((name) => [name, provider.addPerson({ name })]));
    const { kept, lost, inactive, deleted } = people as Record<(typeof names)[number], (typeof people)[string]>;
    if (!kept || !lost || !inactive || !deleted) throw new Error('nobody is there');
    const query = {
      account: keyOf(provider.addServiceAccount({ name: 'agent' })),
      subjects: [kept.id, lost.id, inactive.id, deleted.id],
      project: provider.projects.enrolment,
      role: 'backup-reader',
    };
    const client = clientOf(provider);
    expect([...(await client.rolesOf(query)).values()]).toEqual(['holds', 'holds', 'holds', 'holds']);
    lost.roles.set(provider.projects.enrolment, ['another-role']);
    inactive.active = false;
    provider.removeUser(deleted.id);
    expect([...(await client.rolesOf(query)).values()]).toEqual(['holds', 'lost', 'gone', 'gone']);
    expect([...(await client.rolesOf({ ...query, organization: 'another' })).values()]).not.toContain('holds');
    expect([...(await client.rolesOf({ ...query, organization: provider.organization.id })).values()]).toContain(
      'holds',
    );
  });

  test('of many users are read page by page', async () => {
    const provider = await started();
    provider.settings.apiPageSize = 7;
    const people = Array.from({ length: 30 }, (_, index) => provider.addPerson({ name: `person-${index}` }));
    const roles = await clientOf(provider).rolesOf({
      account: keyOf(provider.addServiceAccount({ name: 'agent' })),
      subjects: people.map(({ id }) => id),
      project: provider.projects.enrolment,
      role: 'backup-reader',
    });
    expect(new Set(roles.values())).toEqual(new Set(['holds']));
    expect(roles.size).toBe(30);
  });

  test('are gone when all who are asked for were deleted, as long as the account sees others', async () => {
    const provider = await started();
    const anna = provider.addPerson({ name: 'anna' });
    provider.addPerson({ name: 'ben' });
    const account = keyOf(provider.addServiceAccount({ name: 'agent' }));
    provider.removeUser(anna.id);
    const query = { account, project: provider.projects.enrolment, role: 'backup-reader', subjects: [anna.id] };
    expect(await clientOf(provider).rolesOf(query)).toEqual(new Map([[anna.id, 'gone']]));
  });

  test('that the account may not see are not taken for lost ones', async () => {
    const provider = await started();
    const anna = provider.addPerson({ name: 'anna' });
    const entry = provider.addServiceAccount({ name: 'agent' });
    entry.mayReadUsers = false;
    const query = { project: provider.projects.enrolment, role: 'backup-reader', subjects: [anna.id] };
    expect(await raised(() => clientOf(provider).rolesOf({ ...query, account: keyOf(entry) }))).toMatchObject({
      code: 'IDENTITY_ROLES_HIDDEN',
    });
  });
});
