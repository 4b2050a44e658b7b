import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface LocalPort extends AsyncDisposable {
  readonly address: '127.0.0.1';
  readonly port: number;
}

/**
 * A port of this machine's loopback whose connections go where `connect` leads. One that leads nowhere is closed, which who
 * connected takes for a server that is not there yet. `onFailure` hears why.
 */
export async function openLocalPort(
  connect: () => Promise<Duplex>,
  { onFailure }: { readonly onFailure: (cause: unknown) => void },
): Promise<LocalPort> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: false }, async (socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => open.delete(socket));
    let far: Duplex | undefined;
    try {
      far = await connect();
      far.on('error', () => {});
      await Promise.race([pipeline(socket, far), pipeline(far, socket)]);
    } catch (cause) {
      onFailure(cause);
    } finally {
      socket.destroySoon();
      far?.destroy();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, resolve);
  });
  const where = server.address();
  if (where === null || typeof where === 'string') throw new Error('a port of the loopback has no number');
  return {
    address: '127.0.0.1',
    port: where.port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
