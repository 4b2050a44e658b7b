import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AdapterError } from '../errors.ts';
import { isErrno } from '../files/file-error.ts';

export interface MetricsServerSettings {
  /** A name or an address, without brackets. */
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly contentType: string;
  /** What is told; `undefined` while there is nothing yet. */
  readonly metrics: () => string | undefined;
  /** Whether the program is at work; that the storage is gone is no reason to start it again. */
  readonly isAlive: () => boolean;
}

export interface MetricsServer extends AsyncDisposable {
  /** `http://127.0.0.1:9464/metrics`. */
  readonly address: string;
}

/** A few monitors, and no more of anybody. */
const MAX_CONNECTIONS = 32;
/** Whoever takes longer to ask, or to take what is answered, is left. */
const SLOW_MS = 10_000;
const CLOSE_MS = 1000;

interface Page {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

const TEXT = 'text/plain; charset=utf-8';

/** Serves /metrics and /healthz, and nothing else. @throws AdapterError METRICS_ADDRESS_UNUSABLE */
export async function openMetricsServer(settings: MetricsServerSettings): Promise<MetricsServer> {
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const page: Page = isRead
      ? pageOf(request.url ?? '', settings)
      : { status: 405, type: TEXT, text: 'GET or HEAD\n' };
    response.writeHead(page.status, {
      'Content-Type': page.type,
      'Content-Length': Buffer.byteLength(page.text),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(isRead ? {} : { Allow: 'GET, HEAD' }),
      // What somebody sends beside the question is not read.
      ...(hasBody(request) ? { Connection: 'close' } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : page.text);
  };
  const server = createServer(
    {
      headersTimeout: SLOW_MS,
      requestTimeout: SLOW_MS,
      keepAliveTimeout: SLOW_MS / 2,
      connectionsCheckingInterval: SLOW_MS / 2,
      maxHeaderSize: 8192,
    },
    handle,
  );
  server.maxConnections = MAX_CONNECTIONS;
  // Of a socket on which nothing moves, in either direction.
  server.setTimeout(SLOW_MS, (socket) => socket.destroy());
  await listen(server, settings);
  const { address, family, port } = server.address() as AddressInfo;
  return {
    address: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/metrics`,
    async [Symbol.asyncDispose]() {
      // What is being answered is answered; a monitor that keeps its connection does not hold the program.
      const closed = new Promise((done) => server.close(done));
      server.closeIdleConnections();
      const force = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
      await closed;
      clearTimeout(force);
    },
  };
}

function pageOf(url: string, { metrics, isAlive, contentType }: MetricsServerSettings): Page {
  const [path] = url.split('?', 1);
  if (path === '/metrics') {
    const text = metrics();
    return text === undefined
      ? { status: 503, type: TEXT, text: 'nothing was read yet\n' }
      : { status: 200, type: contentType, text };
  }
  if (path === '/healthz') {
    return isAlive() ? { status: 200, type: TEXT, text: 'ok\n' } : { status: 503, type: TEXT, text: 'stuck\n' };
  }
  return { status: 404, type: TEXT, text: '/metrics or /healthz\n' };
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

async function listen(server: ReturnType<typeof createServer>, { host, port }: MetricsServerSettings): Promise<void> {
  try {
    await new Promise<void>((listening, reject) => {
      server.once('error', reject);
      server.listen(port, host, listening);
    });
  } catch (cause) {
    throw new AdapterError('METRICS_ADDRESS_UNUSABLE', `Nothing can be served at ${host}, port ${port}`, {
      cause,
      ...(isErrno(cause) ? { found: cause.code } : {}),
      hint: 'Name an address of this machine and a port that is free in --listen.',
    });
  }
}
