import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerOptions } from 'node:https';
import { serveOnLoopback } from './loopback-server.ts';

/** What a test does beside or instead of answering. */
export interface ApiFault {
  /** Instead of the answer; nothing is carried out. True when it answered, or hangs on purpose. */
  readonly before?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** After it was carried out, instead of the answer. */
  readonly after?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

export interface FaultApiServer {
  readonly url: string;
  readonly requests: readonly {
    readonly method: string;
    readonly path: string;
    readonly headers: IncomingMessage['headers'];
  }[];
  /** By `NAMESPACE/NAME`. */
  readonly configMaps: Map<string, Stored>;
  close(): Promise<void>;
}

interface Stored {
  readonly metadata: { readonly name: string; readonly resourceVersion: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

/**
 * The ConfigMaps of an API server, in memory: for the faults that a real one shows only when it dies. How a real one behaves is
 * tested on a real one.
 */
export async function startFaultApiServer(fault: ApiFault = {}, tls?: ServerOptions): Promise<FaultApiServer> {
  const requests: { method: string; path: string; headers: IncomingMessage['headers'] }[] = [];
  const configMaps = new Map<string, Stored>();
  let version = 1;
  const carryOut = async (request: IncomingMessage): Promise<{ status: number; body: unknown }> => {
    const url = new URL(request.url ?? '', 'http://server');
    const text = await readText(request);
    if (url.pathname === '/version') return { status: 200, body: { gitVersion: 'v1.34.4' } };
    if (url.pathname === '/api/v1') return { status: 200, body: RESOURCES };
    const [, namespace = '', name] =
      /^\/api\/v1\/namespaces\/([^/]+)\/configmaps(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    if (namespace === '') return refusal(404, 'NotFound', 'the server could not find the requested resource');
    if (request.method === 'GET' && name === undefined)
      return { status: 200, body: { items: [...configMaps.values()] } };
    const sent = (text === '' ? { metadata: {} } : JSON.parse(text)) as Stored;
    const key = `${namespace}/${name ?? sent.metadata?.name}`;
    const there = configMaps.get(key);
    if (request.method === 'GET') return there === undefined ? missing(key) : { status: 200, body: there };
    if (request.method === 'DELETE') return configMaps.delete(key) ? { status: 200, body: {} } : missing(key);
    if (request.method === 'POST' && there !== undefined) return refusal(409, 'AlreadyExists', `${key} already exists`);
    const { resourceVersion } = sent.metadata;
    if (
      request.method === 'PUT' &&
      resourceVersion !== undefined &&
      resourceVersion !== there?.metadata.resourceVersion
    ) {
      return refusal(409, 'Conflict', 'the object has been modified');
    }
    version += 1;
    const managedFields = [{ manager: url.searchParams.get('fieldManager'), operation: 'Update' }];
    const stored = {
      ...sent,
      metadata: { ...sent.metadata, managedFields, uid: 'u', resourceVersion: String(version) },
    };
    configMaps.set(key, stored as Stored);
    return { status: request.method === 'POST' ? 201 : 200, body: stored };
  };
  const handler = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    if (fault.before?.(request, response)) return;
    const { status, body } = await carryOut(request);
    if (fault.after?.(request, response)) return;
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const server = await serveOnLoopback(handler, tls);
  return {
    url: `${tls ? 'https' : 'http'}://${server.host}`,
    requests,
    configMaps,
    close: () => server.close(),
  };
}

/** A `Status` as an API server answers it. */
export function answerStatus(
  response: ServerResponse,
  status: number,
  said: { readonly reason?: string; readonly message?: string; readonly details?: unknown } = {},
  headers: Readonly<Record<string, string>> = {},
): true {
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, ...said };
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  return true;
}

const RESOURCES = {
  kind: 'APIResourceList',
  groupVersion: 'v1',
  resources: [{ name: 'configmaps', kind: 'ConfigMap', namespaced: true, verbs: ['get', 'create'] }],
};

function refusal(status: number, reason: string, message: string) {
  return { status, body: { kind: 'Status', status: 'Failure', code: status, reason, message } };
}

function missing(key: string) {
  return refusal(404, 'NotFound', `configmaps "${key}" not found`);
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
