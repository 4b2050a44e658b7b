import { writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type KubernetesSettings, openKubernetes } from '../../../../src/adapters/kubernetes/open-kubernetes.ts';
import type { Kubernetes } from '../../../../src/ports/kubernetes.ts';
import {
  type ApiFault,
  answerStatus,
  type FaultApiServer,
  startFaultApiServer,
} from '../../../support/fault-api-server.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const RETRY = { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 };
const SECRET = 'a-token-that-must-never-be-shown';
const MAP = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'a', name: 'm' }, data: { x: '1' } };
const KEY = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'a', name: 'm' };

async function open(
  fault: ApiFault,
  settings: Partial<KubernetesSettings> = {},
): Promise<{ kubernetes: Kubernetes; server: FaultApiServer }> {
  const server = await startFaultApiServer(fault);
  onTestFinished(() => server.close());
  return { server, kubernetes: await openAt(server.url, settings) };
}

async function openAt(url: string, settings: Partial<KubernetesSettings> = {}, user = `{ token: ${SECRET} }`) {
  const path = join(await temporaryFolder(), 'config');
  await writeFile(
    path,
    `current-context: here
clusters: [{ name: c, cluster: { server: '${url}' } }]
users: [{ name: u, user: ${user} }]
contexts: [{ name: here, context: { cluster: c, user: u } }]
`,
  );
  const kubernetes = await openKubernetes(
    { kind: 'kubeconfig', paths: [path] },
    { environment: {}, now: () => Date.now(), retry: RETRY, firstRetry: RETRY, ...settings },
  );
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

/** For the first `times` requests of a method. */
function firstTimes(method: string, times: number, act: (request: IncomingMessage, response: ServerResponse) => void) {
  let left = times;
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.method !== method || left === 0) return false;
    left -= 1;
    act(request, response);
    return true;
  };
}

function answerText(text: string) {
  return (_: IncomingMessage, response: ServerResponse): boolean => {
    response.end(text);
    return true;
  };
}

function breakOff(request: IncomingMessage): void {
  request.socket.destroy();
}

describe('what is worth another try', () => {
  it.each([429, 500, 502, 503, 504])('an answer of HTTP %i', async (status) => {
    const { kubernetes, server } = await open({
      before: firstTimes('GET', 2, (_, response) => answerStatus(response, status)),
    });
    expect(await kubernetes.version()).toEqual({ gitVersion: 'v1.34.4' });
    expect(server.requests).toHaveLength(3);
  });

  it.each([
    ['KUBERNETES_UNAUTHORIZED', 401],
    ['KUBERNETES_FORBIDDEN', 403],
    ['KUBERNETES_INVALID', 422],
    ['KUBERNETES_NOT_FOUND', 404],
  ])('not %s', async (code, status) => {
    const { kubernetes, server } = await open({ before: (_, response) => answerStatus(response, status) });
    expect(await raised(() => kubernetes.version())).toMatchObject({ name: 'AdapterError', code });
    expect(server.requests).toHaveLength(1);
  });

  it('gives up after its tries, with the last words of the server', async () => {
    const { kubernetes, server } = await open({
      before: (_, response) => answerStatus(response, 503, { reason: 'ServiceUnavailable', message: 'etcd is away' }),
    });
    const error = await raised(() => kubernetes.version());
    expect(error).toMatchObject({ code: 'KUBERNETES_FAILED', found: 'HTTP 503 ServiceUnavailable' });
    expect(error.message).toContain('etcd is away');
    expect(server.requests).toHaveLength(RETRY.attempts);
  });

  it('a connection that breaks, before and after the answer began', async () => {
    const before = firstTimes('GET', 2, breakOff);
    const { kubernetes } = await open({ before });
    expect(await kubernetes.version()).toEqual({ gitVersion: 'v1.34.4' });
  });

  it('a server that hangs, for a limited time', async () => {
    const { kubernetes, server } = await open({ before: firstTimes('GET', 1, () => {}) }, { callTimeoutMs: 50 });
    expect(await kubernetes.version()).toEqual({ gitVersion: 'v1.34.4' });
    expect(server.requests).toHaveLength(2);
  });

  it('an answer that stops in the middle', async () => {
    const before = firstTimes('GET', 1, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"gitVersion":');
    });
    const { kubernetes } = await open({ before }, { callTimeoutMs: 50 });
    expect(await kubernetes.version()).toEqual({ gitVersion: 'v1.34.4' });
  });
});

describe('a write whose answer was lost', () => {
  const lose = (method: string) => ({
    after: firstTimes(method, 1, breakOff),
  });

  it('a create is found to be ours', async () => {
    const { kubernetes, server } = await open(lose('POST'));
    const made = await kubernetes.create(MAP);
    expect(made).toMatchObject({ metadata: { uid: 'u' }, data: { x: '1' } });
    expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(2);
  });

  it("a create meets somebody else's object", async () => {
    let server: FaultApiServer | undefined;
    const opened = await open({
      before: firstTimes('POST', 1, (request) => {
        const metadata = { name: 'm', resourceVersion: '9', managedFields: [{ manager: 'kubectl' }] };
        server?.configMaps.set('a/m', { ...MAP, metadata });
        request.socket.destroy();
      }),
    });
    server = opened.server;
    expect(await raised(() => opened.kubernetes.create(MAP))).toMatchObject({ code: 'KUBERNETES_EXISTS' });
  });

  it('a create that was never uncertain is told that the name is taken, even with the same content', async () => {
    const { kubernetes } = await open({});
    await kubernetes.create(MAP);
    expect(await raised(() => kubernetes.create(MAP))).toMatchObject({ code: 'KUBERNETES_EXISTS' });
  });

  it('a replacement is found to be ours', async () => {
    const { kubernetes, server } = await open(lose('PUT'));
    const made = await kubernetes.create(MAP);
    const replaced = await kubernetes.replace({ ...made, data: { x: '2' } });
    expect(replaced).toMatchObject({ data: { x: '2' } });
    expect(replaced.metadata.resourceVersion).toBe(server.configMaps.get('a/m')?.metadata.resourceVersion);
  });

  it('a replacement of what somebody else wrote is a conflict', async () => {
    const { kubernetes } = await open({});
    const made = await kubernetes.create(MAP);
    await kubernetes.replace({ ...made, data: { x: '2' } });
    expect(await raised(() => kubernetes.replace({ ...made, data: { x: '3' } }))).toMatchObject({
      code: 'KUBERNETES_CONFLICT',
    });
  });

  it('a deletion that was carried out counts as one', async () => {
    const { kubernetes } = await open(lose('DELETE'));
    await kubernetes.create(MAP);
    expect(await kubernetes.delete(KEY)).toBe(true);
    expect(await kubernetes.delete(KEY)).toBe(false);
  });
});

describe('lists', () => {
  const page = (items: readonly string[], next?: string) => ({
    metadata: { continue: next },
    items: items.map((name) => ({ metadata: { name } })),
  });

  it('are read page by page, and from the beginning again when the place to go on is gone', async () => {
    let gone = false;
    const { kubernetes } = await open({
      before: (request, response) => {
        const url = new URL(request.url ?? '', 'http://server');
        if (!url.pathname.endsWith('/configmaps')) return false;
        if (url.searchParams.get('continue') === null) {
          response.end(JSON.stringify(page(['a'], 'next page')));
        } else if (!gone) {
          gone = true;
          answerStatus(response, 410, { reason: 'Expired' });
        } else {
          response.end(JSON.stringify(page(['b'])));
        }
        return true;
      },
    });
    const found = await kubernetes.list({ apiVersion: 'v1', kind: 'ConfigMap', namespace: 'a' });
    expect(found.map(({ metadata, kind, apiVersion }) => [metadata.name, kind, apiVersion])).toEqual([
      ['a', 'ConfigMap', 'v1'],
      ['b', 'ConfigMap', 'v1'],
    ]);
    expect(gone).toBe(true);
  });
});

describe('what the server offers', () => {
  const documents: Readonly<Record<string, object>> = {
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/apis': {
      kind: 'APIGroupList',
      groups: [
        { name: 'apps', versions: [{ groupVersion: 'apps/v1' }] },
        { name: 'metrics.k8s.io', versions: [{ groupVersion: 'metrics.k8s.io/v1beta1' }] },
      ],
    },
    '/apis/apps/v1': {
      kind: 'APIResourceList',
      resources: [
        { name: 'deployments', kind: 'Deployment', namespaced: true, verbs: ['get'] },
        { name: 'deployments/scale', kind: 'Scale', namespaced: true, verbs: ['get'] },
      ],
    },
  };

  it('is read from a server without aggregated discovery, one of whose APIs is away', async () => {
    const { kubernetes } = await open({
      before: ({ url = '' }, response) => {
        if (url.startsWith('/apis/metrics')) return answerStatus(response, 503);
        const document = documents[url];
        if (document !== undefined) response.end(JSON.stringify(document));
        return document !== undefined;
      },
    });
    expect(await kubernetes.apiVersions()).toEqual([
      'apps/v1',
      'apps/v1/Deployment',
      'metrics.k8s.io/v1beta1',
      'v1',
      'v1/ConfigMap',
    ]);
  });
});

describe('what is told', () => {
  it.each([
    ['an abort', 'abort'],
    ['an abort while waiting for another try', 'retry'],
  ])('%s ends the call with its own reason', async (_, when) => {
    const stop = new AbortController();
    const reason = new Error('stopped by a person');
    const { kubernetes } = await open(
      {
        before: (_request, response) => {
          setTimeout(() => stop.abort(reason), 20);
          if (when === 'retry') answerStatus(response, 429, {}, { 'retry-after': '30' });
          return true;
        },
      },
      { retry: RETRY },
    );
    await expect(kubernetes.version({ signal: stop.signal })).rejects.toBe(reason);
  });

  it('no server: unreachable, and no secret in the error', async () => {
    const { server, kubernetes } = await open({});
    await server.close();
    const error = await raised(() => kubernetes.version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNREACHABLE', at: { url: server.url } });
    expect(JSON.stringify([error, error.message, error.stack, error.cause])).not.toContain(SECRET);
  });

  it('what the server says about a Secret is not repeated', async () => {
    const { kubernetes } = await open({
      before: (request, response) => {
        if (request.url === '/api/v1') {
          const resources = [{ name: 'secrets', kind: 'Secret', namespaced: true, verbs: [] }];
          response.end(JSON.stringify({ resources }));
          return true;
        }
        const causes = [{ field: 'data[x]', reason: 'FieldValueInvalid', message: `Invalid value: "${SECRET}"` }];
        return answerStatus(response, 422, { reason: 'Invalid', message: `value "${SECRET}"`, details: { causes } });
      },
    });
    const error = await raised(() => kubernetes.create({ ...MAP, kind: 'Secret' }));
    expect(error).toMatchObject({ code: 'KUBERNETES_INVALID' });
    expect(error.message).toContain('data[x]');
    expect(error.message).not.toContain(SECRET);
  });

  it('a clock that differs from that of a server which refuses the credentials', async () => {
    const { kubernetes } = await open(
      { before: (_, response) => answerStatus(response, 401, { reason: 'Unauthorized' }) },
      { now: () => Date.parse('2019-01-01T00:00:00Z') },
    );
    const error = await raised(() => kubernetes.version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNAUTHORIZED' });
    expect(error.message).toContain('2019-01-01');
  });

  it('an answer that is no JSON, or larger than agreed', async () => {
    const { kubernetes } = await open({ before: answerText('<html>') });
    expect(await raised(() => kubernetes.version())).toMatchObject({ code: 'KUBERNETES_FAILED' });
    const long = await open({ before: answerText('x'.repeat(200_000)) });
    const logs = long.kubernetes.logs({ namespace: 'a', pod: 'p' }, { tailLines: 1, limitBytes: 1000 });
    await expect(logs).rejects.toMatchObject({ code: 'KUBERNETES_FAILED' });
  });

  it('a kind that the server does not know', async () => {
    const { kubernetes } = await open({});
    const odd = { apiVersion: 'v1', kind: 'Odd', namespace: 'a', name: 'm' };
    expect(await kubernetes.resource('v1', 'Odd')).toBeUndefined();
    expect(await kubernetes.get(odd)).toBeUndefined();
    expect(await kubernetes.list(odd)).toEqual([]);
    expect(await kubernetes.delete(odd)).toBe(false);
    expect(await raised(() => kubernetes.create({ ...MAP, kind: 'Odd' }))).toMatchObject({
      code: 'KUBERNETES_KIND_UNKNOWN',
    });
  });
});

function replaceToken(file: string, response: ServerResponse): boolean {
  writeFileSync(file, 'new\n');
  return answerStatus(response, 401);
}

describe('credentials', () => {
  it('a token file is read again after a 401', async () => {
    const tokenFile = join(await temporaryFolder(), 'token');
    await writeFile(tokenFile, 'old\n');
    const server = await startFaultApiServer({
      before: (request, response) =>
        request.headers.authorization === 'Bearer new' ? false : replaceToken(tokenFile, response),
    });
    onTestFinished(() => server.close());
    const kubernetes = await openAt(server.url, {}, `{ tokenFile: '${tokenFile}' }`);
    expect(await kubernetes.version()).toEqual({ gitVersion: 'v1.34.4' });
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new']);
  });

  it('basic and impersonation stand in headers', async () => {
    const server = await startFaultApiServer();
    onTestFinished(() => server.close());
    const user = '{ username: ann, password: "pass:word", as: bob, as-uid: "7", as-groups: [a, b] }';
    await (await openAt(server.url, {}, user)).version();
    expect(server.requests[0]?.headers).toMatchObject({
      authorization: `Basic ${Buffer.from('ann:pass:word').toString('base64')}`,
      'impersonate-user': 'bob',
      'impersonate-uid': '7',
      'impersonate-group': 'a, b',
    });
  });
});
