import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createBlobStore } from '../../../../src/adapters/blob-store/blob-store.ts';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import {
  type Credentials,
  createAuthorization,
  type TokenRequest,
} from '../../../../src/adapters/registry/authorization.ts';
import { createRegistrySource, type RegistrySourceOptions } from '../../../../src/adapters/registry/registry-source.ts';
import { type Fault, type FaultRegistry, refuse, startFaultRegistry } from '../../../support/fault-registry.ts';
import { createContent, type ImageContent } from '../../../support/image-content.ts';
import { expectCode } from '../../../support/image-source-suite.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const PASSWORD: Credentials = { kind: 'password', username: 'ann', password: 'pass:word' };
const BASIC = `Basic ${Buffer.from('ann:pass:word').toString('base64')}`;
const RETRY = { attempts: 2, baseDelayMs: 1, maxDelayMs: 2 };

function oneImage(): ImageContent {
  const content = createContent();
  content.tag('1.0', content.image());
  return content;
}

async function serve(content: ImageContent, fault: Fault): Promise<FaultRegistry> {
  const registry = await startFaultRegistry(content, { fault });
  onTestFinished(() => registry.close());
  return registry;
}

async function pull(
  registry: FaultRegistry,
  options: Partial<RegistrySourceOptions> & { credentials?: never; has?: Credentials },
) {
  const { has, ...rest } = options;
  const source = createRegistrySource({
    store: createBlobStore(await temporaryFolder(), { resume: RETRY }),
    registries: { [registry.host]: { plainHttp: true } },
    retry: RETRY,
    credentials: async (host) => (host === registry.host ? has : undefined),
    ...rest,
  });
  onTestFinished(() => source.close());
  return source.acquire({ reference: `${registry.host}/cms/web:1.0`, platforms: ['linux/amd64'] });
}

/** A registry that wants `accepted`, and a token service beside it that hands it out. */
function bearer(options: {
  readonly token?: (request: IncomingMessage, body: string, response: ServerResponse) => void;
}) {
  let served = 0;
  const asked: { method: string; url: URL; authorization: string | undefined; body: URLSearchParams }[] = [];
  const fault: Fault = (request, response) => {
    const url = new URL(request.url ?? '', `http://${request.headers.host}`);
    if (url.pathname === '/token') {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        const { method = '', headers } = request;
        asked.push({ method, url, authorization: headers.authorization, body: new URLSearchParams(body) });
        served += 1;
        if (options.token) options.token(request, body, response);
        else response.end(JSON.stringify({ token: `token-${served}` }));
      });
      return true;
    }
    if (served > 0 && request.headers.authorization === `Bearer token-${served}`) return undefined;
    const realm = `http://${request.headers.host}/token`;
    const challenge = `Bearer realm="${realm}",service="registry.example",scope="repository:cms/web:pull"`;
    return refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
  };
  return { fault, asked };
}

describe('registry: bearer tokens', () => {
  it('fetches a token without credentials, once for all requests', async () => {
    const { fault, asked } = bearer({});
    const registry = await serve(oneImage(), fault);
    expect(await pull(registry, {})).toBeDefined();
    expect(asked.length).toBe(1);
    expect(asked[0]?.authorization).toBeUndefined();
    expect(asked[0]?.url.searchParams.get('service')).toBe('registry.example');
    expect(asked[0]?.url.searchParams.getAll('scope')).toEqual(['repository:cms/web:pull']);
  });

  it('gives a password to the token service and never to the registry', async () => {
    const { fault, asked } = bearer({});
    const registry = await serve(oneImage(), fault);
    expect(await pull(registry, { has: PASSWORD })).toBeDefined();
    expect(asked[0]?.authorization).toBe(BASIC);
    const toRegistry = registry.requests.filter(({ path }) => !path.startsWith('/token'));
    expect(toRegistry.some(({ headers }) => headers.authorization?.startsWith('Basic'))).toBe(false);
  });

  it('exchanges an identity token by POST (OAuth2)', async () => {
    const token = (_request: IncomingMessage, _body: string, response: ServerResponse) =>
      void response.end(JSON.stringify({ access_token: 'token-1' }));
    const { fault, asked } = bearer({ token });
    const registry = await serve(oneImage(), fault);
    expect(await pull(registry, { has: { kind: 'identity-token', token: 'refresh' } })).toBeDefined();
    expect(asked[0]?.method).toBe('POST');
    expect(Object.fromEntries(asked[0]?.body ?? [])).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'refresh',
      client_id: 'portolan',
      service: 'registry.example',
      scope: 'repository:cms/web:pull',
    });
  });

  it('falls back to the OAuth2 form with a password where GET is not known', async () => {
    const content = oneImage();
    const forms: URLSearchParams[] = [];
    const fault: Fault = (request, response) => {
      if (request.headers.authorization === 'Bearer from-form') return undefined;
      if (request.method === 'POST') {
        let body = '';
        request.on('data', (chunk) => {
          body += chunk;
        });
        request.on('end', () => {
          forms.push(new URLSearchParams(body));
          response.end(JSON.stringify({ token: 'from-form' }));
        });
        return true;
      }
      if (request.url?.startsWith('/token')) return refuse(response, 405, 'METHOD');
      const challenge = `Bearer realm="http://${request.headers.host}/token"`;
      return refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    };
    const registry = await serve(content, fault);
    expect(await pull(registry, { has: PASSWORD })).toBeDefined();
    expect(forms[0]?.get('grant_type')).toBe('password');
    expect(forms[0]?.get('password')).toBe('pass:word');
  });

  it('uses a registry token as it is', async () => {
    const fault: Fault = (request, response) =>
      request.headers.authorization === 'Bearer ready'
        ? undefined
        : refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Bearer realm="https://unused.invalid/"' });
    const registry = await serve(oneImage(), fault);
    expect(await pull(registry, { has: { kind: 'registry-token', token: 'ready' } })).toBeDefined();
  });

  it('renews a token that runs out in the middle', async () => {
    let served = 0;
    const uses = new Map<string, number>();
    const fault: Fault = (request, response) => {
      if (request.url?.startsWith('/token')) {
        served += 1;
        return response.end(JSON.stringify({ token: `token-${served}` })) && true;
      }
      const header = request.headers.authorization ?? '';
      uses.set(header, (uses.get(header) ?? 0) + 1);
      // Each token is good for two requests.
      if (header !== '' && (uses.get(header) ?? 0) <= 2) return undefined;
      const challenge = `Bearer realm="http://${request.headers.host}/token"`;
      return refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    };
    const registry = await serve(oneImage(), fault);
    expect(await pull(registry, { parallel: 1 })).toBeDefined();
    expect(served).toBeGreaterThan(1);
  });

  it.each([
    ['refuses the credentials', 401, '{"details":"incorrect username or password"}', 'REGISTRY_UNAUTHORIZED'],
    ['answers something else than JSON', 200, '<html>', 'REGISTRY_PROTOCOL'],
    ['answers no token', 200, '{}', 'REGISTRY_PROTOCOL'],
    ['answers a token with a line break', 200, '{"token":"a\\r\\nx-injected: 1"}', 'REGISTRY_PROTOCOL'],
    ['is down', 503, '', 'REGISTRY_FAILED'],
  ])('says so when the token service %s', async (_name, status, body, code) => {
    const token = (_request: IncomingMessage, _body: string, response: ServerResponse) =>
      void response.writeHead(status).end(body);
    const { fault, asked } = bearer({ token });
    const registry = await serve(oneImage(), fault);
    const failure = await pull(registry, { has: PASSWORD }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(AdapterError);
    expect(failure).toMatchObject({ code });
    expect(JSON.stringify([failure, String(failure)])).not.toMatch(/pass:word|YW5u/);
    expect(asked.length).toBe(status === 503 ? RETRY.attempts : 1);
  });

  it.each([
    ['with a password in it', 'https://user:secret@token.example/token'],
    ['of another scheme', 'file:///etc/passwd'],
    ['that is no address', 'token'],
  ])('sends nothing to a token service %s', async (_name, realm) => {
    const registry = await serve(oneImage(), (_request, response) =>
      refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': `Bearer realm="${realm}"` }),
    );
    await expectCode(pull(registry, { has: PASSWORD }), AdapterError, 'REGISTRY_PROTOCOL');
  });

  it('asks one token for all who wait, and asks again when the asker was stopped', async () => {
    const stop = new AbortController();
    let asked = 0;
    const requestToken: TokenRequest = async (_url, _request, _target, signal) => {
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
      signal?.throwIfAborted();
      return { status: 200, bytes: Buffer.from('{"token":"t"}'), fail: () => new AdapterError('REGISTRY_FAILED', '') };
    };
    const { answer } = createAuthorization(
      async () => undefined,
      requestToken,
      () => false,
    );
    const target = { host: 'registry.example', repository: 'cms/web', what: 'manifests/1.0' };
    const ask = (signal?: AbortSignal) => answer(target, 'Bearer realm="https://token.example/"', undefined, signal);
    const stopped = ask(stop.signal);
    const patient = [ask(), ask()];
    stop.abort(new Error('stop'));
    await expect(stopped).rejects.toThrow('stop');
    expect(await Promise.all(patient)).toEqual(['Bearer t', 'Bearer t']);
    expect(asked).toBe(2);
  });

  it('sends nothing to a token service over plain HTTP, unless the registry itself is asked that way', async () => {
    const sent: string[] = [];
    const requestToken: TokenRequest = async (url) => {
      sent.push(url.origin);
      return { status: 200, bytes: Buffer.from('{"token":"t"}'), fail: () => new AdapterError('REGISTRY_FAILED', '') };
    };
    const answer = (isPlainHttp: (host: string) => boolean) =>
      createAuthorization(async () => PASSWORD, requestToken, isPlainHttp).answer(
        { host: 'registry.example', repository: 'cms/web', what: 'manifests/1.0' },
        'Bearer realm="http://token.example/token"',
        undefined,
      );
    await expectCode(
      answer(() => false),
      AdapterError,
      'REGISTRY_PROTOCOL',
    );
    expect(sent).toEqual([]);
    expect(await answer((host) => host === 'registry.example')).toBe('Bearer t');
    expect(await answer((host) => host === 'token.example')).toBe('Bearer t');
  });
});

describe('registry: basic authorization', () => {
  const guarded: Fault = (request, response) =>
    request.headers.authorization === BASIC
      ? undefined
      : refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="registry"' });

  it('sends a password to the registry that asked for it', async () => {
    const registry = await serve(oneImage(), guarded);
    expect(await pull(registry, { has: PASSWORD })).toBeDefined();
    expect(registry.requests.filter(({ headers }) => headers.authorization === undefined).length).toBe(1);
  });

  it('says so without credentials, and with wrong ones, after one try', async () => {
    for (const has of [undefined, { ...PASSWORD, password: 'wrong' } as Credentials]) {
      const registry = await serve(oneImage(), guarded);
      const options = has ? { has } : {};
      await expectCode(pull(registry, options), AdapterError, 'REGISTRY_UNAUTHORIZED', { found: 'HTTP 401' });
      expect(registry.requests.length).toBe(has ? 2 : 1);
    }
  });

  it('says so at a 401 without any challenge', async () => {
    const registry = await serve(oneImage(), (_request, response) => refuse(response, 401, 'UNAUTHORIZED'));
    await expectCode(pull(registry, { has: PASSWORD }), AdapterError, 'REGISTRY_UNAUTHORIZED');
  });
});

describe('registry: redirects', () => {
  const REDIRECTS = [301, 302, 303, 307, 308];

  it.each(REDIRECTS)('follows %i to another host without credentials', async (status) => {
    const content = oneImage();
    const storage = await serve(content, () => undefined);
    const registry = await serve(content, (request, response) => {
      if (request.headers.authorization !== BASIC) {
        return refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="registry"' });
      }
      if (!request.url?.includes('/blobs/')) return undefined;
      response.writeHead(status, { location: `http://${storage.host}${request.url}?signature=abc` }).end();
      return true;
    });
    const registries = { [registry.host]: { plainHttp: true }, [storage.host]: { plainHttp: true } };
    expect(await pull(registry, { has: PASSWORD, registries })).toBeDefined();
    expect(storage.requests.length).toBeGreaterThan(0);
    for (const { headers, path } of storage.requests) {
      expect(headers.authorization).toBeUndefined();
      expect(path).toContain('signature=abc');
    }
  });

  it('keeps credentials away for good, when the other host sends us back', async () => {
    const content = oneImage();
    let home = '';
    const storage = await serve(content, (request, response) => {
      response.writeHead(302, { location: `http://${home}${request.url}?back` }).end();
      return true;
    });
    const registry = await serve(content, (request, response) => {
      if (request.url?.endsWith('?back')) return undefined;
      if (request.headers.authorization !== BASIC) {
        return refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="registry"' });
      }
      if (!request.url?.includes('/blobs/')) return undefined;
      response.writeHead(307, { location: `http://${storage.host}${request.url}` }).end();
      return true;
    });
    home = registry.host;
    const registries = { [registry.host]: { plainHttp: true }, [storage.host]: { plainHttp: true } };
    expect(await pull(registry, { has: PASSWORD, registries })).toBeDefined();
    const back = registry.requests.filter(({ path }) => path.endsWith('?back'));
    expect(back.length).toBeGreaterThan(0);
    for (const { headers } of back) expect(headers.authorization).toBeUndefined();
  });

  it('does not answer the challenge of a host that it was redirected to', async () => {
    const content = oneImage();
    const storage = await serve(content, (_request, response) =>
      refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="trap"' }),
    );
    const registry = await serve(content, (request, response) => {
      response.writeHead(307, { location: `http://${storage.host}${request.url}` }).end();
      return true;
    });
    const registries = { [registry.host]: { plainHttp: true }, [storage.host]: { plainHttp: true } };
    await expectCode(pull(registry, { has: PASSWORD, registries }), AdapterError, 'REGISTRY_UNAUTHORIZED');
    expect(storage.requests.length).toBe(1);
  });

  it.each([
    ['in a circle', (request: IncomingMessage) => `http://${request.headers.host}${request.url}`],
    ['to plain HTTP that nobody asked for', () => 'http://storage.example/blob'],
    ['to a file', () => 'file:///etc/passwd'],
    ['to nowhere', () => 'http://'],
  ])('refuses a redirect %s', async (_name, location) => {
    const registry = await serve(oneImage(), (request, response) => {
      response.writeHead(302, { location: location(request) }).end();
      return true;
    });
    await expectCode(pull(registry, {}), AdapterError, 'REGISTRY_PROTOCOL');
  });
});
