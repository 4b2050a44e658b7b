import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import {
  assumeWebIdentity,
  type WebIdentitySettings,
  wouldGiveKeysFor,
} from '../../../../src/adapters/object-store/s3/web-identity.ts';
import { renewedKeys } from '../../../../src/adapters/object-store/s3/web-identity-renewal.ts';
import { tokenOfFile } from '../../../../src/adapters/object-store/s3/web-identity-token.ts';
import { decideStoreRetry } from '../../../../src/adapters/object-store/store-errors.ts';
import type { SessionKeys } from '../../../../src/formats/storage/web-identity-answer.ts';
import { serveOnLoopback } from '../../../support/loopback-server.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const TOKEN = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIzMTIifQ.c2lnbmF0dXJl';
const SECRET = 'the-secret-key-of-this-test';
const START = Date.UTC(2026, 10, 29, 2, 0, 0);
const QUICK = { attempts: 3, baseDelayMs: 1, maxDelayMs: 2 };

const good = (expiration: number) =>
  '<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AK</AccessKeyId>' +
  `<SecretAccessKey>${SECRET}</SecretAccessKey><SessionToken>session</SessionToken>` +
  `<Expiration>${new Date(expiration).toISOString()}</Expiration>` +
  '</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>';
const bad = (code: string, message: string) =>
  `<ErrorResponse><Error><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`;

interface Service {
  readonly settings: WebIdentitySettings;
  readonly forms: URLSearchParams[];
}

async function service(answer: (response: ServerResponse, count: number) => void, now = START): Promise<Service> {
  const forms: URLSearchParams[] = [];
  const server = await serveOnLoopback((request: IncomingMessage, response) => {
    void text(request).then((body) => {
      forms.push(new URLSearchParams(body));
      expect(`${request.method} ${request.url}`).toBe('POST /');
      answer(response, forms.length);
    });
  });
  onTestFinished(() => server.close());
  const settings = {
    ...{ sts: `http://${server.host}`, token: async () => TOKEN, sessionName: 'portolan', now: () => now },
    ...{ roleArn: 'arn:minio:iam:::role/x', retries: QUICK },
  };
  return { settings, forms };
}

const at = (date: number) => ({ Date: new Date(date).toUTCString() });

describe('the token service', () => {
  test('is asked for keys of 15 minutes, with the token in the body alone', async () => {
    const { settings, forms } = await service((response) =>
      response.writeHead(200, at(START)).end(good(START + 900_000)),
    );
    expect(await assumeWebIdentity(settings)).toEqual({
      ...{ accessKeyId: 'AK', secretAccessKey: SECRET, sessionToken: 'session' },
      expiration: new Date(START + 900_000),
    });
    expect(forms.map((form) => Object.fromEntries(form))).toEqual([
      {
        ...{ Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15', RoleArn: 'arn:minio:iam:::role/x' },
        ...{ RoleSessionName: 'portolan', DurationSeconds: '900', WebIdentityToken: TOKEN },
      },
    ]);
  });

  test('has a clock of its own: keys live as long as it says by ours', async () => {
    const theirs = START - 20 * 60_000;
    const { settings } = await service((response) => response.writeHead(200, at(theirs)).end(good(theirs + 900_000)));
    expect((await assumeWebIdentity(settings)).expiration).toEqual(new Date(START + 900_000));
  });

  test.each([
    ['AccessDenied', 'no', /trusts this identity/],
    ['InvalidIdentityToken', 'signature', /trusts the issuer/],
    ['ExpiredTokenException', 'Token expired', /has expired/],
    ['InvalidParameterValue', 'Token is expired', /has expired/],
    ['InvalidParameterValue', 'Token is not valid yet', /of the future/],
    ['InvalidParameterValue', 'RoleARN x is not defined', /--role-arn/],
    ['InvalidParameterValue', 'STS JWT Token has `azp` claim invalid', /another audience/],
  ])('that answers %s (%s) is explained', async (code, message, hint) => {
    const { settings, forms } = await service((response) =>
      response.writeHead(400, at(START)).end(bad(code, `${message} ${TOKEN}`)),
    );
    const error = await raised(() => assumeWebIdentity(settings));
    expect(error).toMatchObject({ name: 'AdapterError', code: 'STS_REFUSED', found: `HTTP 400 ${code}` });
    expect(error.hint).toMatch(hint);
    expect(error.hint).not.toMatch(/clock of this machine/);
    expect(inspect(error, { depth: 9 })).not.toContain(TOKEN);
    expect(forms).toHaveLength(1);
  });

  test.each([
    [START - 300_000, /300 s ahead of/],
    [START + 86_400_000, /86400 s behind/],
  ])('with another time of day (%d) is told so', async (theirs, hint) => {
    const { settings } = await service((response) =>
      response.writeHead(400, at(theirs)).end(bad('ExpiredTokenException', '')),
    );
    expect((await raised(() => assumeWebIdentity(settings))).hint).toMatch(hint);
  });

  test('that is busy, or cannot reach the provider, is asked again', async () => {
    const { settings, forms } = await service((response, count) => {
      if (count === 1) response.writeHead(503).end();
      else if (count === 2) response.writeHead(400).end(bad('IDPCommunicationError', ''));
      else response.writeHead(200, at(START)).end(good(START + 900_000));
    });
    expect(await assumeWebIdentity(settings)).toMatchObject({ accessKeyId: 'AK' });
    expect(forms).toHaveLength(3);
  });

  test.each([
    ['a page', (response: ServerResponse) => response.writeHead(200).end('<html></html>'), 'STS_ANSWER_INVALID'],
    [
      'without an end',
      (response: ServerResponse) => response.writeHead(200).end('x'.repeat(1 << 20)),
      'STS_ANSWER_INVALID',
    ],
    ['a page that refuses', (response: ServerResponse) => response.writeHead(404).end('<html></html>'), 'STS_REFUSED'],
    [
      'cut off',
      (response: ServerResponse) => response.writeHead(200, { 'content-length': 900 }).destroy(),
      'STORE_UNREACHABLE',
    ],
  ] as const)('that answers %s is no token service', async (_, answer, code) => {
    const { settings } = await service(answer);
    expect(await raised(() => assumeWebIdentity(settings))).toMatchObject({ code });
  });

  test('that is silent is not waited for beyond its time', async () => {
    const { settings } = await service(() => {});
    const once = { ...settings, timeoutMs: 50, retries: { ...QUICK, attempts: 1 } };
    expect(await raised(() => assumeWebIdentity(once))).toMatchObject({ code: 'STORE_TIMEOUT' });
    const stop = new AbortController();
    const asked = assumeWebIdentity(settings, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
  });

  test('that answers a byte at a time, without an end, is left after its time', async () => {
    const { settings } = await service((response) => {
      const timer = setInterval(() => response.write(' '), 10);
      response.on('close', () => clearInterval(timer));
    });
    const once = { ...settings, timeoutMs: 200, retries: { ...QUICK, attempts: 1 } };
    expect(await raised(() => assumeWebIdentity(once))).toMatchObject({ code: 'STORE_TIMEOUT' });
  });

  test.each([301, 302, 303, 307, 308])('that leads elsewhere by HTTP %d gets the token alone', async (status) => {
    const seen: string[] = [];
    const elsewhere = await serveOnLoopback((request, response) => {
      seen.push(String(request.url));
      response.end(good(START + 900_000));
    });
    onTestFinished(() => elsewhere.close());
    const { settings, forms } = await service((response) =>
      response.writeHead(status, { Location: `http://${elsewhere.host}/` }).end(),
    );
    expect(await raised(() => assumeWebIdentity(settings))).toMatchObject({
      ...{ code: 'STS_REFUSED', found: `HTTP ${status}` },
    });
    expect([forms.length, seen]).toEqual([1, []]);
  });

  test('that says a great deal is read no longer than a few words', async () => {
    const { settings } = await service((response) =>
      response.writeHead(400).end(bad('AccessDenied', 'role '.repeat(12_000))),
    );
    const before = performance.now();
    const { message } = await raised(() => assumeWebIdentity(settings));
    expect(message.length).toBeLessThan(400);
    expect(performance.now() - before).toBeLessThan(500);
  });

  test('would give longer keys, or would not', async () => {
    const { settings, forms } = await service((response, count) =>
      count === 1 ? response.writeHead(200).end(good(START)) : response.writeHead(403).end(bad('AccessDenied', '')),
    );
    expect(await wouldGiveKeysFor(settings, 3600)).toBe(true);
    expect(await wouldGiveKeysFor(settings, undefined)).toBe(false);
    expect(forms.map((form) => form.get('DurationSeconds'))).toEqual(['3600', null]);
  });
});

test('a token in a file is read as it is at the time, and never shown', async () => {
  const file = join(await temporaryFolder(), 'token');
  const token = tokenOfFile(file);
  expect(await raised(() => token({}))).toMatchObject({ code: 'STORE_CREDENTIALS_MISSING', found: 'no file' });
  for (const content of ['', 'a secret of another kind', `${TOKEN}\n${TOKEN}`]) {
    await writeFile(file, content);
    const error = await raised(() => token({}));
    expect(error).toMatchObject({ code: 'STORE_CREDENTIALS_MISSING' });
    if (content !== '') expect(inspect(error, { depth: 9 })).not.toContain(content);
  }
  await writeFile(file, `${TOKEN}\n`);
  expect(await token({})).toBe(TOKEN);
});

describe('keys that are renewed', () => {
  const MINUTE_MS = 60_000;

  /** A clock that the test moves, and a service that it answers for. */
  function scene() {
    let now = START;
    const asked: { resolve(): void; reject(failure: Error): void; readonly signal: AbortSignal }[] = [];
    const failures: unknown[] = [];
    const obtain = ({ signal }: { readonly signal: AbortSignal }) =>
      new Promise<SessionKeys>((resolve, reject) => {
        const number = asked.length + 1;
        const keys = () => ({
          ...{ accessKeyId: `AK${number}`, secretAccessKey: SECRET, sessionToken: 'session' },
          expiration: new Date(now + 15 * MINUTE_MS),
        });
        asked.push({ resolve: () => resolve(keys()), reject, signal });
      });
    const renewed = renewedKeys(obtain, { now: () => now, onFailure: (failure) => void failures.push(failure) });
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    return {
      ...{ renewed, asked, failures, settled },
      pass: (minutes: number) => {
        now += minutes * MINUTE_MS;
      },
      current: async () => (await renewed.credentials({})).accessKeyId,
      async first() {
        const one = renewed.credentials({});
        asked[0]?.resolve();
        return await one;
      },
    };
  }

  test('are asked for once by all who need them at once', async () => {
    const { renewed, asked } = scene();
    const all = [renewed.credentials({}), renewed.credentials({}), renewed.credentials({})];
    expect(asked).toHaveLength(1);
    asked[0]?.resolve();
    expect((await Promise.all(all)).map(({ accessKeyId }) => accessKeyId)).toEqual(['AK1', 'AK1', 'AK1']);
  });

  test('are renewed when a third of their life is left, and nobody waits for it', async () => {
    const { first, pass, current, asked, settled } = scene();
    const { renewFrom } = await first();
    expect(renewFrom).toEqual(new Date(START + 10 * MINUTE_MS));
    pass(9);
    expect(await current()).toBe('AK1');
    expect(asked).toHaveLength(1);
    pass(2);
    expect(await current()).toBe('AK1');
    expect(await current()).toBe('AK1');
    expect(asked).toHaveLength(2);
    asked[1]?.resolve();
    await settled();
    expect(await current()).toBe('AK2');
  });

  test('are used until they expire while they cannot be renewed, which is tried every 15 seconds', async () => {
    const { first, pass, current, asked, failures, settled } = scene();
    await first();
    pass(11);
    await current();
    const down = new AdapterError('IDENTITY_PROVIDER_UNREACHABLE', 'down');
    asked[1]?.reject(down);
    await settled();
    expect(failures).toEqual([down]);
    expect(await current()).toBe('AK1');
    pass(0.2);
    expect(await current()).toBe('AK1');
    expect(asked).toHaveLength(2);
    pass(0.1);
    expect(await current()).toBe('AK1');
    expect(asked).toHaveLength(3);
    asked[2]?.resolve();
    await settled();
    expect(await current()).toBe('AK3');
  });

  test('that have expired are waited for; an outage of the provider is then tried again like one of the storage', async () => {
    const { renewed, first, pass, asked } = scene();
    await first();
    pass(16);
    const one = renewed.credentials({});
    const down = new AdapterError('IDENTITY_PROVIDER_UNREACHABLE', 'down');
    asked[1]?.reject(down);
    expect(await raised(() => one)).toBe(down);
    expect(decideStoreRetry(down)).toEqual({});
    const again = renewed.credentials({});
    asked[2]?.resolve();
    expect(await again).toMatchObject({ accessKeyId: 'AK3' });
  });

  test('that were never there are not: whoever begins wants to know', async () => {
    const { renewed, asked } = scene();
    const one = renewed.credentials({});
    const down = new AdapterError('IDENTITY_PROVIDER_UNREACHABLE', 'down');
    asked[0]?.reject(down);
    expect(await raised(() => one)).toBe(down);
    expect(decideStoreRetry(down)).toBe('give-up');
  });

  test('that the storage refuses are not given out again', async () => {
    const { renewed, first, asked } = scene();
    const refused = await first();
    const one = renewed.credentials({ refused });
    asked[1]?.resolve();
    expect(await one).toMatchObject({ accessKeyId: 'AK2' });
    // Another request may have been on its way with the old ones.
    expect(await renewed.credentials({ refused })).toMatchObject({ accessKeyId: 'AK2' });
    expect(asked).toHaveLength(2);
  });

  test('are still asked for when one of those who wait gives up; closing ends it', async () => {
    const { renewed, asked } = scene();
    const stop = new AbortController();
    const impatient = renewed.credentials({ signal: stop.signal });
    const patient = renewed.credentials({});
    stop.abort(new Error('enough'));
    await expect(impatient).rejects.toThrow('enough');
    await expect(renewed.credentials({ signal: stop.signal })).rejects.toThrow('enough');
    expect(asked).toHaveLength(1);
    renewed.close();
    expect(asked[0]?.signal.aborted).toBe(true);
    asked[0]?.resolve();
    expect(await patient).toMatchObject({ accessKeyId: 'AK1' });
  });
});
