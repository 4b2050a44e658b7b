import { connect, createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

export interface RelaySettings {
  /** Of the loopback. */
  readonly port: number;
  readonly to: { readonly host: string; readonly port: number };
  /** Without a connection for so long, it ends: nobody watches any more. */
  readonly idleMs: number;
  readonly onListening: () => void;
}

/**
 * Passes connections of the loopback on, byte for byte, until nobody used it for a while or the signal aborts. In a Pod it is reached
 * through the API server alone: whoever may forward ports of Pods in its namespace.
 */
export async function relay(
  settings: RelaySettings,
  { signal }: { readonly signal: AbortSignal },
): Promise<{ readonly connections: number }> {
  const { port, to, idleMs, onListening } = settings;
  const open = new Set<Socket>();
  let connections = 0;
  let idle: NodeJS.Timeout | undefined;
  const server = createServer(async (near) => {
    clearTimeout(idle);
    connections += 1;
    const far = connect(to);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 30_000);
      socket.on('error', () => {});
      socket.once('close', () => {
        open.delete(socket);
        if (open.size === 0 && server.listening) wait();
      });
    }
    await Promise.allSettled([pipeline(near, far), pipeline(far, near)]);
    near.destroy();
    far.destroy();
  });
  const wait = () => {
    clearTimeout(idle);
    idle = setTimeout(() => server.close(), idleMs);
  };
  const stop = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('close', resolve);
      server.listen({ host: '127.0.0.1', port }, () => {
        wait();
        onListening();
      });
      if (signal.aborted) stop();
    });
    signal.throwIfAborted();
    return { connections };
  } finally {
    clearTimeout(idle);
    signal.removeEventListener('abort', stop);
  }
}
