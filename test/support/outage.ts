import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A network between a client and a server on this machine, which goes away and comes back. */
export interface Outage extends AsyncDisposable {
  readonly port: number;
  /** Connections break, and new ones are refused. */
  refuse(): Promise<void>;
  /** Nothing arrives any more in either direction, and nobody is told. New connections are taken, and nothing comes of them. */
  swallow(): Promise<void>;
  comeBack(): Promise<void>;
}

export async function startOutage(upstreamPort: number): Promise<Outage> {
  const sockets = new Set<Socket>();
  let isSwallowing = false;
  const server = createServer((client) => {
    const target = connect(upstreamPort, '127.0.0.1');
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => {
        if (!isSwallowing) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  const breakAll = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  const hangUp = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      breakAll();
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    refuse: hangUp,
    async swallow() {
      isSwallowing = true;
    },
    async comeBack() {
      isSwallowing = false;
      if (server.listening) breakAll();
      else await listen(port);
    },
    async [Symbol.asyncDispose]() {
      if (server.listening) await hangUp();
    },
  };
}
