import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Waits for the browser (RFC 8252, section 7.3). */
export interface Loopback extends AsyncDisposable {
  /** `http://127.0.0.1:PORT/callback`. */
  readonly redirectAddress: string;
  /** The address to which the browser was led with the login's `state`. */
  readonly led: Promise<URL>;
}

export const CALLBACK_PATH = '/callback';

const PAGE =
  '<!doctype html><meta charset="utf-8"><title>Portolan</title><p>This page can be closed. The program in the terminal goes on.</p>';

/** Whoever comes without the login's `state` is sent away, and waiting goes on: any program of this machine can come. */
export async function openLoopback(state: string): Promise<Loopback> {
  const { promise: led, resolve } = Promise.withResolvers<URL>();
  let origin = '';
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const url = URL.canParse(request.url ?? '', origin) ? new URL(request.url ?? '', origin) : undefined;
    const isOurs =
      request.method === 'GET' &&
      // Not by another name: a page elsewhere could have one that leads here.
      `http://${request.headers.host}` === origin &&
      url?.origin === origin &&
      url.pathname === CALLBACK_PATH &&
      url.searchParams.get('state') === state;
    response.writeHead(isOurs ? 200 : 404, {
      'Content-Type': 'text/html; charset=utf-8',
      'Cache-Control': 'no-store',
      'Content-Security-Policy': "default-src 'none'",
      'Referrer-Policy': 'no-referrer',
      Connection: 'close',
    });
    response.end(isOurs ? PAGE : '');
    if (isOurs) resolve(url);
  };
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, handle);
  server.maxConnections = 20;
  await new Promise<void>((listening, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', listening);
  });
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    redirectAddress: `${origin}${CALLBACK_PATH}`,
    led,
    async [Symbol.asyncDispose]() {
      // What is being answered is answered, and kept connections do not hold the program.
      const closed = new Promise((done) => server.close(done));
      server.closeIdleConnections();
      const force = setTimeout(() => server.closeAllConnections(), 1000);
      await closed;
      clearTimeout(force);
    },
  };
}
