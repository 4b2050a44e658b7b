import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface LoopbackServer {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Breaks the connections that are open. */
  close(): Promise<void>;
}

/** An HTTP server on a free port of loopback, over TLS where there is a certificate. What clients break off is no error. */
export async function serveOnLoopback(handler: RequestListener, tls?: ServerOptions): Promise<LoopbackServer> {
  const server = tls ? createTlsServer(tls, handler) : createServer(handler);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
